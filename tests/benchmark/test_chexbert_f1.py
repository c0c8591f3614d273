"""CheXbert F1: the numbers of scikit-learn, from column sums; who labels, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.chexbert import AVERAGES, FIVE, OBSERVATIONS, REPORT_COLUMN, ChexbertF1, Network, NoChexbert, UnreadableTable
from benchmark.records import Lesions, UserError

HEADER = ",".join((REPORT_COLUMN, *OBSERVATIONS))
BLANK_CELL = {0: "", 1: "1.0", 2: "0.0", 3: "-1.0"}


def table(path: Path, rows: dict[str, Sequence[int]]) -> Path:
    """As CheXbert's label.py writes it, numbers with a point for the empty cells beside them."""
    lines = [HEADER]
    lines += [",".join((f'"{text}"', *(BLANK_CELL[code] for code in codes))) for text, codes in rows.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def random_table(path: Path, cases: int, seed: int = 0) -> tuple[Path, list[str], list[str], np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    # Half of what is positive in the reference is so in the report; Fracture is never positive, in either.
    theirs = generator.choice(4, (cases, 14), p=[0.6, 0.2, 0.1, 0.1])
    ours = np.where(generator.random((cases, 14)) < 0.5, theirs, generator.choice(4, (cases, 14), p=[0.7, 0.1, 0.1, 0.1]))
    theirs[:, OBSERVATIONS.index("Fracture")] = ours[:, OBSERVATIONS.index("Fracture")] = 2
    hypotheses, references = [f"said {case}" for case in range(cases)], [f"true {case}" for case in range(cases)]
    rows = dict(zip(hypotheses, ours, strict=True)) | dict(zip(references, theirs, strict=True))
    return table(path, rows), hypotheses, references, ours, theirs


@pytest.mark.parametrize("uncertain", ["positive", "negative"])
@pytest.mark.filterwarnings("ignore")
def test_every_average_is_scikit_learns(tmp_path: Path, uncertain: str) -> None:
    """To 1e-12, of all 14 and of the 5; scikit-learn sees the labels and not our sums."""
    file, hypotheses, references, ours, theirs = random_table(tmp_path / "labels.csv", 400)
    metric = ChexbertF1(labels=file, uncertain=uncertain)  # type: ignore[arg-type]
    rows = metric.statistics(hypotheses, references)
    found = metric.values(rows.sum(axis=0))
    positive = [1, 3] if uncertain == "positive" else [1]
    said, true = np.isin(ours, positive), np.isin(theirs, positive)
    for group, names in (("14", OBSERVATIONS), ("5", FIVE)):
        places = [OBSERVATIONS.index(name) for name in names]
        for average in AVERAGES:
            wanted = precision_recall_fscore_support(true[:, places], said[:, places], average=average, zero_division=0)
            for name, number in zip(("precision", "recall", "f1"), wanted, strict=False):
                assert found[f"{average}_{name}_{group}"] == pytest.approx(number, abs=1e-12), (average, name, group)
    of_each = precision_recall_fscore_support(true, said, average=None, zero_division=0)
    for place, name in enumerate(OBSERVATIONS):
        for what, numbers in zip(("precision", "recall", "f1", "support"), of_each, strict=True):
            assert found[f"{name.lower()}.{what}"] == pytest.approx(numbers[place], abs=1e-12)
    assert found["fracture.f1"] == 0, "and pulls the macro average down, as the package does"


def test_three_cases_counted_by_hand(tmp_path: Path) -> None:
    def codes(**positive: int) -> list[int]:
        return [positive.get(name.replace(" ", "_"), 0) for name in OBSERVATIONS]

    file = table(
        tmp_path / "labels.csv",
        {
            "edema": codes(Edema=1),
            "edema?": codes(Edema=3),
            "no edema": codes(Edema=2, No_Finding=1),
            "heart": codes(Cardiomegaly=1, Lung_Lesion=1),
            "normal": codes(No_Finding=1),
        },
    )
    metric = ChexbertF1(labels=file)
    rows = metric.statistics(["edema", "heart", "normal"], ["edema?", "edema", "no edema"])
    found = metric.values(rows.sum(axis=0))
    # 14: hits edema and No Finding, false alarms cardiomegaly and lung lesion, a miss edema.
    assert found["micro_f1_14"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))
    assert found["samples_f1_14"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["micro_f1_5"] == pytest.approx(2 / (2 + 1 + 1))
    assert found["macro_f1_5"] == pytest.approx((2 / 3) / 5)
    assert found["samples_f1_5"] == pytest.approx(1 / 3), "two normal reports agree with 0 in the 5"
    assert found["edema.support"] == 2


def test_nothing_measured_is_not_nothing_right(tmp_path: Path) -> None:
    metric = ChexbertF1(labels=table(tmp_path / "labels.csv", {"a": [0] * 14}))
    assert metric.statistics([], []).shape == (0, 1 + 3 * 14 + 6)
    numbers = metric.values(np.zeros((2, 1 + 3 * 14 + 6)))
    assert all(np.isnan(number).all() and number.shape == (2,) for number in numbers.values())


def test_a_text_without_labels_is_unscored_and_counted(tmp_path: Path) -> None:
    metric = ChexbertF1(labels=table(tmp_path / "labels.csv", {"a b": [1] * 14}))
    rows = metric.statistics(["a\n b ", "c", "a b"], ["a b", "a b", "d"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True]
    assert metric.failures == {"not in the table": 2}
    with pytest.raises(NoChexbert, match="has 1 texts, and none of the 2 that are measured; give a table with a row for every reference"):
        ChexbertF1(labels=tmp_path / "labels.csv").statistics(["x"], ["y"])


def test_models_are_scored_alike_in_any_order(tmp_path: Path) -> None:
    """One whose only text is not listed has unscored rows, be it measured before or after another."""
    metric = ChexbertF1(labels=table(tmp_path / "labels.csv", {"a": [1] * 14, "b": [1] * 14}))
    other = ChexbertF1(labels=tmp_path / "labels.csv")
    for measured, order in ((metric, (["unlisted"], ["b"])), (other, (["b"], ["unlisted"]))):
        found = {said[0]: np.isnan(measured.statistics(said, ["a"])).any() for said in order}
        assert found == {"unlisted": True, "b": False}
    metric.statistics(["unlisted"], ["a"])
    assert metric.failures == {"not in the table": 1}, "for the same reason as the first time"


def test_a_model_that_says_nothing_is_scored_and_a_table_that_lists_nothing_is_believed(tmp_path: Path) -> None:
    edema = [int(name == "Edema") for name in OBSERVATIONS]
    metric = ChexbertF1(labels=table(tmp_path / "labels.csv", {"edema": edema}))
    rows = metric.statistics(["edema", " \n"], ["edema", "edema"])
    assert metric.values(rows.sum(axis=0))["micro_f1_14"] == pytest.approx(2 / 3), "one hit, and one miss by silence"
    assert "|empty:blank)" in metric.signature()
    assert not metric.failures
    listed = ChexbertF1(labels=table(tmp_path / "more.csv", {"edema": edema, "": edema}))
    assert listed.values(listed.statistics([""], ["edema"]).sum(axis=0))["micro_f1_14"] == 1
    assert "|empty:listed)" in listed.signature()


@pytest.mark.parametrize("sign", ["\x85", "\x0c", "\x0b", "\x1c", "\u2028", "\u2029"])
def test_signs_that_some_take_for_line_ends_do_not_end_a_row(tmp_path: Path, sign: str) -> None:
    (tmp_path / "labels.csv").write_text(f"{HEADER}\nno{sign}edema,{'1' + ',' * 13}\n", encoding="utf-8")
    assert not np.isnan(ChexbertF1(labels=tmp_path / "labels.csv").statistics(["no edema"], [f"no{sign}edema"])).any()


def test_a_table_with_line_ends_of_windows_and_quoted_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(f'{HEADER}\r\n"a, or\r\n""b""",1{"," * 13}\r\n\r\nc,{"," * 13}\r\n'.encode())
    assert not np.isnan(ChexbertF1(labels=tmp_path / "labels.csv").statistics(['a, or "b"'], ["c"])).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"has no column '{REPORT_COLUMN}', found nothing"),
        (f"{REPORT_COLUMN},Edema\n", "has no column 'Enlarged Cardiomediastinum', found Report Impression, Edema"),
        (
            f"{REPORT_COLUMN},{','.join(OBSERVATIONS)}\ntext,2{',' * 13}\n",
            "line 2: Enlarged Cardiomediastinum is '2'; it is 1, 0, -1 (uncertain) or empty",
        ),
        (f"{HEADER}\nt,1{',' * 13}\nt,0{',' * 13}\n", "line 3: the same text was there before with other labels"),
        (f"{HEADER}\na,1{',' * 13}\nb", "line 3: has 1 cells, and the header 15; write every row with all of them"),
        (f'{HEADER}\n"a\na",1{"," * 13}\nb,1{"," * 14}\n', "line 4: has 16 cells, and the header 15"),
        (f'{HEADER}\n"a,1{"," * 13}\nb,1{"," * 13}\n', "line 2: the row that begins here cannot be read"),
        (f"{HEADER}\na,1{',' * 13}\n{'b' * 131_073},{',' * 12}\n", "line 3: has 14 cells"),
        (f"{HEADER},Edema\n", "has the column 'Edema' 2 times; keep one of them"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableTable) as caught:
        ChexbertF1(labels=tmp_path / "labels.csv")
    assert message in str(caught.value)


def test_by_the_labeller_of_the_lesion_table_the_five_bear_its_name() -> None:
    metric = ChexbertF1(RuleLabeller(), by="labeller")
    rows = metric.statistics(
        ["Large left pleural effusion. No edema.", "The lungs are clear."], ["Small left pleural effusion. Mild pulmonary edema.", "Cardiomegaly."]
    )
    found = metric.values(rows.sum(axis=0))
    assert all(name.startswith("rules.") for name in found)
    assert not any("14" in name for name in found)
    assert found["rules.micro_f1_5"] == pytest.approx(2 / (2 + 2))
    assert metric.signature().startswith("chexbert|labeller:(rules|")
    assert metric.titles["rules.micro_f1_5"] == "F1 by rules, micro-5"


class Silent:
    """A labeller without an answer for one text."""

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        return [() if "silent" in report else RuleLabeller().label([report])[0] for report in reports]

    def signature(self) -> str:
        return "silent|v1"


def test_where_the_labeller_has_no_answer_the_case_is_unscored() -> None:
    metric = ChexbertF1(Silent(), by="labeller")
    assert np.isnan(metric.statistics(["silent", "edema"], ["edema", "edema"])).all(axis=1).tolist() == [True, False]
    assert metric.failures == {"no answer": 1}


class Raw:
    """What the labeller chexbert offers, with its observations in another order."""

    observations = OBSERVATIONS[::-1]

    def raw(self, reports: Sequence[str]) -> np.ndarray:
        return np.array([[1 if name.lower() in report else 0 for name in self.observations] for report in reports], dtype=np.int8)

    def raw_signature(self) -> str:
        return "raw|v1"

    def signature(self) -> str:
        return "raw|mapping:d14|v1"


def test_observations_go_by_their_names() -> None:
    network = Network(Raw())
    assert network.observe(["edema and fracture"])[0].tolist() == [int(name in ("Edema", "Fracture")) for name in OBSERVATIONS]
    assert network.signature() == "labels:(raw|v1)"
    with pytest.raises(NoChexbert, match="and 'rules' does not; it must have"):
        Network(RuleLabeller())


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave one of them out"):
        ChexbertF1(RuleLabeller(), by="labeller", labels=tmp_path)
    with pytest.raises(UserError, match="known: positive, negative"):
        ChexbertF1(labels=tmp_path, uncertain="ignored")  # type: ignore[arg-type]
    with pytest.raises(NoChexbert, match="name one with --labeller"):
        ChexbertF1(by="labeller")
    with pytest.raises(UnreadableTable, match="cannot be read"):
        ChexbertF1(labels=tmp_path / "nowhere.csv")


def test_the_signature_says_who_labelled_and_what_uncertain_counts(tmp_path: Path) -> None:
    metric = ChexbertF1(labels=table(tmp_path / "labels.csv", {"a": [0] * 14}), uncertain="negative")
    assert metric.signature().startswith("chexbert|labels:(table|sha256:")
    assert metric.signature().endswith("|observations:14+5|uncertain:negative|blank:negative|zero_division:0|v2")

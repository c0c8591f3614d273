"""What a run says of pairs of models: margins, McNemar's test and corrections, from reports to tables."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.evaluator import check_names, score_reports
from benchmark.margins import BadMargin, check_margins, margins_of, parse_margins
from benchmark.records import Report, Row, RunConfig, UserError
from benchmark.scoring import score
from benchmark.statistics import benjamini_hochberg, holm, mcnemar
from benchmark.tables import write_tables

RULES = "lesions|labeller:(rules|v1)|v1"


class Titled:
    """A metric that says which of its numbers are better which way."""

    name = "titled"
    titles = {"f1": "F1", "errors": "Errors", "count": "Count"}  # noqa: RUF012
    lower_is_better = frozenset({"errors", "bare"})
    undirected = frozenset({"count"})
    headlines = ("f1", "errors")

    def statistics(self, hypotheses: object, references: object) -> np.ndarray:
        return np.zeros((0, 1))

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"f1": sums[..., 0]}

    def signature(self) -> str:
        return "titled|v1"


def difference(pair: str, value: float, direction: str = "higher", margin: float | None = 0.05, **more: float) -> Row:
    p_values = {"p_first_not_worse": 0.2, "p_second_not_worse": 0.01} | more
    return Row(
        pair, "lesions", "macro_f1", value, value - 0.02, value + 0.02, 20, 0, RULES, p_value=0.04, direction=direction, margin=margin, **p_values
    )  # type: ignore[arg-type]


def single(model: str, direction: str = "higher") -> Row:
    return Row(model, "lesions", "macro_f1", 0.5, 0.4, 0.6, 20, 0, RULES, direction=direction, title="Macro F1", is_headline=True)  # type: ignore[arg-type]


def table(folder: Path, name: str, rows: list[Row]) -> str:
    write_tables(rows, folder, models=["a", "b"], level=0.95, draws=100, interval="bca")
    return (folder / name).read_text(encoding="utf-8")


def cells(text: str, *begins: str) -> list[str]:
    line = next(line for line in text.splitlines() if [cell.strip() for cell in line.split("|")[1 : 1 + len(begins)]] == list(begins))
    return [cell.strip() for cell in line.split("|")[1 + len(begins) : -1]]


def test_a_margin_is_a_name_and_a_number_above_zero():
    assert parse_margins(["rouge_l=0.01", "lesions.macro_f1=.5"]) == {"rouge_l": 0.01, "lesions.macro_f1": 0.5}
    for word in ("rouge_l", "rouge_l=", "=0.1", "rouge_l=-1", "rouge_l=0", "rouge_l=nan", "rouge_l=inf"):
        with pytest.raises(BadMargin, match="cannot read the margin"):
            parse_margins([word])
    with pytest.raises(BadMargin, match=r"two margins for a, 0\.1 and 0\.2"):
        parse_margins(["a=0.1", "a=0.2"])


def test_the_margin_of_a_metric_is_that_of_its_headlines_unless_one_has_its_own():
    assert margins_of({"titled": 0.1, "titled.errors": 0.2, "other": 1}, "titled", Titled()) == {"f1": 0.1, "errors": 0.2}
    assert margins_of({"titled.x": 0.1}, "titled:x", Titled()) == {}


@pytest.mark.parametrize("key", ["titled", "titled.errors", "titled.bare"])
def test_a_margin_of_a_number_with_a_direction_is_taken(key):
    check_margins({key: 0.1}, {"titled": Titled()})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("rouge_l", "no such metric is measured; measured are titled"),
        ("titled.count", "of titled.count nobody says which way is better; margins can have: titled.f1, titled.errors, titled.bare"),
        ("titled.f2", "of titled.f2 nobody says"),
    ],
)
def test_a_margin_of_nothing_is_refused_before_anything_is_measured(key, message):
    with pytest.raises(BadMargin, match=message):
        check_margins({key: 0.1}, {"titled": Titled()})


def test_the_whole_interval_within_the_margin_is_not_worse_beyond_it_worse_and_else_neither(tmp_path):
    """a is 0.06 below b, give or take 0.02, with a margin of 0.05: b is not worse than a, of a neither is shown."""
    text = table(tmp_path, "differences.md", [single("a"), single("b"), difference("a - b", -0.06)])
    line = ["-0.060 [-0.080, -0.040]", "neither", "0.200", "0.200", "not worse", "0.010", "0.020"]
    assert cells(text, "a - b", "Macro F1¹", "0.05") == line
    assert "| First is | First p | First p (Holm) | Second is | Second p |" in " ".join(text.split()).replace("-:", "").replace(":", "")
    assert "one-sided at 2.5 %" in text
    assert "95 % BCa intervals (bias-corrected, accelerated) from 100 bootstrap draws" in text
    text = table(tmp_path, "differences.md", [single("a"), single("b"), difference("a - b", -0.09)])
    assert cells(text, "a - b", "Macro F1¹", "0.05")[1::3] == ["worse", "not worse"]
    (line,) = csv.DictReader((tmp_path / "differences.csv").open())
    assert (line["margin"], line["p_first_not_worse"], line["p_second_not_worse"], line["p_bh"]) == ("0.05", "0.2", "0.01", "0.04")


def test_of_errors_the_lower_is_the_better(tmp_path):
    rows = [single("a", "lower"), single("b", "lower"), difference("a - b", -0.06, "lower")]
    lower = difference("a - b", -0.06, "lower", p_first_not_worse=0.01, p_second_not_worse=0.2)
    text = table(tmp_path, "differences.md", [*rows[:2], lower])
    assert cells(text, "a - b", "Macro F1 ↓¹", "0.05")[1::3] == ["not worse", "neither"]


def test_a_margin_is_decided_by_its_p_value_so_that_both_always_agree(tmp_path):
    """With 20 draws no p-value can pass 0.025, however far the interval lies from the margin: that shows nothing."""
    rows = [single("a"), single("b"), difference("a - b", 0.06, p_first_not_worse=1 / 21, p_second_not_worse=1 / 21)]
    assert cells(table(tmp_path, "differences.md", rows), "a - b", "Macro F1¹", "0.05")[1] == "neither"


def test_every_margin_is_answered_of_headlines_and_of_other_numbers(tmp_path):
    """One of a number that is no headline was once taken and never shown."""
    other = replace(difference("a - b", -0.1, "lower"), value_name="micro_omission", title="Omission", is_headline=False)
    alone = [replace(single(model, "lower"), value_name="micro_omission", title="Omission", is_headline=False) for model in "ab"]
    text = table(tmp_path, "differences.md", [single("a"), single("b"), *alone, difference("a - b", 0.1, margin=None), other])
    assert cells(text, "a - b", "Omission ↓¹", "0.05")[0] == "-0.100 [-0.120, -0.080]"
    assert "Holm over its 2 claims. None is below 1/101, with 100 draws." in text


def test_a_margin_without_a_pair_is_told(tmp_path):
    """With one model it was once taken in silence."""
    config = RunConfig((), ("rouge_l",), "", draws=20, margins={"rouge_l": 0.01})
    texts = dict(zip(PATIENTS, REFERENCES, strict=True))
    one = score_reports(texts, {"a": texts}, config, tmp_path / "one")
    assert one.notes == ("the margin for rouge_l is of two models, and just one model was measured: compare two for it to say anything",)
    assert score_reports(texts, {"a": texts, "b": texts}, config, tmp_path / "two").notes == ()


def test_models_of_an_earlier_run_in_the_folder_are_told_apart(tmp_path):
    config = RunConfig((), ("rouge_l",), "", draws=20)
    texts = dict(zip(PATIENTS, REFERENCES, strict=True))
    assert score_reports(texts, {"a": texts, "b": texts, "b c": texts}, config, tmp_path).notes == ()
    (said,) = score_reports(texts, {"a": texts}, config, tmp_path).notes
    assert said.startswith("the run folder holds other models of an earlier run, which are no part of this one: b, b-c-")


@pytest.mark.parametrize("name", ["a - b", "file:my - reports.csv"])
def test_a_model_named_like_a_difference_is_refused(name):
    """Of models "a", "b" and "a - b" a table once took one's numbers for the others' difference."""
    texts = dict(zip(PATIENTS, REFERENCES, strict=True))
    with pytest.raises(UserError, match=r"a model called '.+': ' - ' stands between the two models of a difference, so no name can hold it; give it"):
        score_reports(texts, {name: texts}, RunConfig((), ("rouge_l",), "", draws=20), None)


def test_a_run_refuses_such_a_name_too_and_takes_a_label():
    with pytest.raises(UserError, match="' - ' stands between"):
        check_names(RunConfig(("reports_file:my - reports.csv",), ("rouge_l",), "manifest:its - cases.csv"), "")
    check_names(RunConfig(("mine=reports_file:my - reports.csv",), ("rouge_l",), "manifest:its - cases.csv"), "")


def test_too_few_draws_for_so_many_margins_are_said(tmp_path):
    rows = [single("a"), single("b"), *(replace(difference("a - b", 0.1), value_name=f"number_{place}") for place in range(2))]
    assert "too few for Holm's correction of 4 to leave any below 0.025, take more draws (--draws)." in table(tmp_path, "differences.md", rows)


def test_with_six_models_a_clear_difference_is_still_found():
    """75 tests of 1,000 flips had no p-value below 0.075, whatever the models."""
    generator = np.random.default_rng(0)
    written = {
        name: [Report(case, text if generator.random() < good else "Clear lungs.") for case, text in zip(PATIENTS, REFERENCES, strict=True)]
        for name, good in zip("abcdef", (1, 0.1, 0.1, 0.1, 0.1, 0.1), strict=True)
    }
    found = score(PATIENTS, REFERENCES, written, RunConfig((), ("lesions", "meteor", "rouge_l", "bleu"), "", strata=False))
    p_values = [row.p_value for row in found.differences if row.is_headline]
    assert len(p_values) == 75
    assert found.flips >= 2 * 75 / 0.05
    assert min(holm(p_values)) < 0.05


def test_numbers_that_are_better_neither_way_are_left_out_of_the_correction(tmp_path):
    count = {"value_name": "count", "title": "Count", "direction": "", "is_headline": True, "margin": None}
    rows = [single("a"), single("b"), *(replace(single(model), **{**count, "margin": None}) for model in "ab")]
    rows += [replace(difference("a - b", 0.1, margin=None), title="Macro F1", is_headline=True), replace(difference("a - b", 3.0), **count)]
    text = table(tmp_path, "differences.md", rows)
    assert "over the 1 tests" in text
    assert cells(text, "a - b", "Macro F1¹")[1:4] == ["0.040", "0.040", "0.040"]
    assert cells(text, "", "Count¹")[1:4] == ["0.040", "n/a", "n/a"]
    assert "better neither high nor low are left out" in text


def test_the_table_says_how_often_was_swapped_and_what_is_the_smallest_p_value(tmp_path):
    write_tables([single("a"), single("b"), difference("a - b", 0.1)], tmp_path, models=["a", "b"], flips=10_000)
    assert "swapped at random by patient, 10,000 times, so that none is below 1/10,001." in (tmp_path / "differences.md").read_text()


def test_without_a_margin_the_table_has_one_block_and_says_nothing_of_margins(tmp_path):
    text = table(tmp_path, "differences.md", [single("a"), single("b"), difference("a - b", -0.06, margin=None)])
    assert "##" not in text
    assert "margin" not in text


REFERENCES = ["No pneumothorax.", "Large pneumothorax.", "No effusion.", "Small pleural effusion.", "The heart is enlarged.", "Clear lungs."] * 3
PATIENTS = [str(number) for number in range(len(REFERENCES))]


@pytest.fixture(scope="module")
def scored():
    good = [Report(case, text) for case, text in zip(PATIENTS, REFERENCES, strict=True)]
    plain = [Report(case, "Clear lungs.") for case in PATIENTS]
    margins = {"rouge_l": 0.02, "lesions.micro_omission": 0.1}
    config = RunConfig((), ("lesions", "rouge_l"), "", draws=200, interval="bca", margins=margins, strata=False)
    return score(PATIENTS, REFERENCES, {"good": good, "plain": plain}, config)


def test_mcnemar_counts_the_cases_on_which_just_one_is_right(scored):
    """Of 18 references three have a pneumothorax, three an effusion and three a large heart; the plain report misses all of them."""
    rows = {row.value_name: row for row in scored.differences if row.metric == "lesions"}
    assert (rows["pneumothorax.only_first_right"].value, rows["pneumothorax.only_second_right"].value) == (3, 0)
    assert rows["pneumothorax.right"].value == pytest.approx(3 / 18)
    assert rows["pneumothorax.right"].p_value == mcnemar(3, 0)
    assert rows["pneumothorax.right"].low <= 3 / 18 <= rows["pneumothorax.right"].high
    assert np.isnan(rows["hernia.right"].p_value)


def test_the_table_of_mcnemar_is_corrected_over_all_its_tests(scored, tmp_path):
    write_tables([*scored.rows, *scored.differences], tmp_path, models=["good", "plain"])
    text = (tmp_path / "mcnemar.md").read_text(encoding="utf-8")
    p_values = [row.p_value for row in scored.differences if row.value_name.endswith(".right")]
    assert f"over the {sum(not np.isnan(p) for p in p_values)} tests" in text
    expected = [f"{p[2]:.3f}" for p in (p_values[2:3] * 3, holm(p_values), benjamini_hochberg(p_values))]
    line = cells(text, "", "Pleural effusion¹")
    assert line[:2] == ["3", "0"]
    assert line[3:] == [*expected, "18"]
    assert "Hernia" not in text
    assert "Without a line, since on no case just one is right: good - plain: " in text
    assert ", hernia" in text
    lines = {line["value_name"]: line for line in csv.DictReader((tmp_path / "mcnemar.csv").open())}
    assert float(lines["pleural effusion.right"]["p_holm"]) == pytest.approx(holm(p_values)[2])
    write_tables(scored.rows, tmp_path, models=["good", "plain"])
    assert not list(tmp_path.glob("mcnemar.*")), "the table of an earlier run would speak of numbers that are gone"


def test_margins_reach_their_numbers_whichever_way_is_better(scored):
    """The good model has the higher ROUGE-L and the fewer omissions: it is not worse in either, and the plain one is."""
    rows = {(row.metric, row.value_name): row for row in scored.differences}
    for key in (("rouge_l", "f1"), ("lesions", "micro_omission")):
        assert rows[key].p_first_not_worse < 0.025 < 0.5 < rows[key].p_second_not_worse
    assert [row.value_name for row in scored.differences if row.margin is not None] == ["micro_omission", "f1"]


def test_every_difference_says_what_it_could_have_seen(scored):
    rows = {(row.metric, row.value_name): row for row in scored.differences}
    assert 0 < rows["rouge_l", "f1"].detectable < 1
    assert all(row.detectable is None for row in scored.rows)


def test_the_interval_that_is_asked_for_is_the_one_that_is_given():
    written = {"m": [Report(case, f"Clear lungs. {'Effusion. ' * (int(case) % 5)}") for case in PATIENTS]}
    ends = {
        method: [row.low for row in score(PATIENTS, REFERENCES, written, RunConfig((), ("rouge_l",), "", draws=300, interval=method)).rows]
        for method in ("percentile", "bca")
    }
    assert ends["percentile"] != ends["bca"]
    assert ends["percentile"] == pytest.approx(ends["bca"], abs=0.1)


def support(lesion: str, positives: float) -> Row:
    return Row("a", "lesions", f"{lesion}.support", positives, 0, 9, 20, 0, RULES)


def test_where_intervals_hold_less_than_they_say_the_tables_say_so(tmp_path):
    """The figures are those of tests/benchmarks/interval_coverage.py over 2,000 data sets."""
    rows = [single("a"), support("mass", 4), support("hernia", 0), support("edema", 10), support("nodule", 9)]
    write_tables(rows, tmp_path, models=["a"], counts={"cases": 40, "patients": 29}, interval="percentile")
    text = (tmp_path / "summary.md").read_text()
    assert "Only 29 patients: of 95 % intervals, 92 in 100 hold the truth for 20 patients" in text
    assert "Lesions with fewer than 10 positive references: 2." in text
    assert "--interval bca: 96 and 93" in text
    write_tables(rows, tmp_path, models=["a"], counts={"cases": 30}, interval="bca")
    text = (tmp_path / "summary.md").read_text()
    assert "Only" not in text
    assert "96 in 100 hold the truth for the F1 of a lesion with 5, 93 for a macro F1" in text
    write_tables([single("a"), support("mass", 10)], tmp_path, models=["a"], counts={"cases": 29})
    text = (tmp_path / "summary.md").read_text()
    assert "Only 29 cases" in text
    assert "fewer than" not in text
    assert "bootstrap of cases" in text


def test_cautions_count_the_patients_that_were_scored(tmp_path):
    """Of 2,000 patients one model was scored on 12: the note is of those."""
    rows = [replace(single("a"), patients=2000), replace(single("b"), patients=12)]
    counts = {"cases": 4000, "patients": 2000}
    write_tables(rows, tmp_path, models=["a", "b"], counts=counts)
    assert "Some numbers here are of 12 patients only: of 95 % intervals" in (tmp_path / "summary.md").read_text()
    write_tables(rows[:1], tmp_path, models=["a"], counts=counts)
    assert "patients only" not in (tmp_path / "summary.md").read_text()
    write_tables(rows[1:], tmp_path, models=["b"], counts=counts)
    assert "Only 12 patients: of" in (tmp_path / "summary.md").read_text()


def test_rare_lesions_are_those_of_the_model_that_was_scored_on_the_fewest_in_whatever_order(tmp_path):
    """The note once spoke of the last model alone."""
    rows = [single("a"), single("b"), support("mass", 40), replace(support("mass", 4), model="b"), support("hernia", 0)]
    texts = []
    for order in (rows, rows[::-1]):
        write_tables(order, tmp_path, models=["a", "b"])
        texts.append((tmp_path / "summary.md").read_text())
    assert all("Lesions with fewer than 10 positive references: 1." in text for text in texts)


def test_one_is_one_and_brackets_are_explained_where_there_are_some(tmp_path):
    alone = replace(single("a"), low=float("nan"), high=float("nan"), patients=1)
    write_tables([alone], tmp_path, models=["a"], counts={"cases": 1, "patients": 1})
    text = (tmp_path / "summary.md").read_text()
    assert "- 1 case, 1 patient.\n" in text
    assert "In brackets" not in text

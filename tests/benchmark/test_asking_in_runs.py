"""Commands that ask a language model, end to end: a real server on loopback, the real client, the real files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from llm_server import Server, serve

from benchmark import evaluator
from benchmark.estimates import estimate_run, estimate_scores
from benchmark.labels import backed_by_nothing, label_file
from benchmark.llm.budget import BudgetReached
from benchmark.llm.data_use import DataUse, MayNotTravel
from benchmark.llm.models import LanguageModels, Manner
from benchmark.llm.routes import NoEndpoint
from benchmark.records import Lesion, RunConfig, UserError
from benchmark.registry import BadOption
from benchmark.runs import FolderInUse, opened
from benchmark.vocabulary import LESIONS

KEY = "sk-loopback-0123456789abcdef"
REFERENCES = {"1": "The lungs are clear.", "2": "Small left pleural effusion.", "3": "Right pneumothorax."}
OURS = {"1": "Clear lungs.", "2": "Left effusion.", "3": "No pneumothorax."}


def labels(positive: str = "", side: str = "not mentioned") -> str:
    nowhere = {"rationale": "", "status": "negative", "location": "not mentioned"}
    found = {name.replace(" ", "_"): {"rationale": "r", "status": "positive", "location": side} if name == positive else nowhere for name in LESIONS}
    return json.dumps(found)


ANSWERS = {
    "Small left pleural effusion.": labels("pleural effusion", "left"),
    "Left effusion.": labels("pleural effusion", "left"),
    "Right pneumothorax.": labels("pneumothorax", "right"),
    "No pneumothorax.": labels(),
    "lear": labels(),
}


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answers, settings and keys of this machine."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CLALA_BENCHMARK_CONFIG", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path / "server", answers=ANSWERS) as running:
        yield running


def config(server: Server, *metrics: str, **options: str) -> RunConfig:
    named = {"llm.model": "qwen", "llm.api_base": server.url, **{f"llm.{name}": value for name, value in options.items()}}
    return RunConfig((), metrics or ("lesions",), "", options=named, labeller="language_model", draws=20)


def score(settings: RunConfig, out: Path, **more: object) -> evaluator.Outcome:
    return evaluator.score_reports(REFERENCES, {"ours": OURS}, settings, out, **more)  # type: ignore[arg-type]


def value(outcome: evaluator.Outcome, name: str) -> float:
    return next(row.value for row in outcome.scored.rows if row.value_name == name)


def test_lesions_are_scored_by_what_the_model_answered(server: Server, tmp_path: Path) -> None:
    """By hand: the effusion is a hit, the pneumothorax a miss, nothing else is said: precision 1/1, recall 1/2, F1 2/3."""
    outcome = score(config(server), tmp_path / "run")
    assert [value(outcome, f"micro_{name}") for name in ("precision", "recall", "f1")] == pytest.approx([1, 1 / 2, 2 / 3])
    assert "labelled by the language model qwen" in (tmp_path / "run" / "table1.md").read_text()
    assert [re.sub(r"[\d,]+ (tokens in|out)", r"N \1", line) for line in outcome.asked] == ["label: 6 asked, 0 from cache, N tokens in, N out, $0.00"]
    sealed = json.loads((tmp_path / "run" / "run.json").read_text())
    assert sealed["language_models"][0] | {"dollars": 0} == sealed["language_models"][0] | {
        "task": "label",
        "model": "qwen",
        "asked": 6,
        "dollars": 0,
    }


def test_a_second_run_asks_nothing_and_says_the_same(server: Server, tmp_path: Path) -> None:
    _, second = (score(config(server), tmp_path / name) for name in ("first", "second"))
    assert len(server.requests()) == 6
    assert (tmp_path / "first" / "rows.csv").read_bytes() == (tmp_path / "second" / "rows.csv").read_bytes()
    assert second.asked == ("label: 0 asked, 6 from cache",)


def test_what_failed_is_unscored_and_asked_again_by_the_same_command(tmp_path: Path) -> None:
    """Kept statistics with a hole are measured again; the five answers that came are not."""
    hard = {**ANSWERS, "Right pneumothorax.": ""}
    with serve(tmp_path / "a", answers=hard) as broken:
        first = score(config(broken, retries="0"), tmp_path / "run")
    assert [(row.scored, row.unscored) for row in first.scored.rows[:1]] == [(2, 1)]
    with serve(tmp_path / "b", answers=ANSWERS) as mended:
        second = score(config(mended, retries="0"), tmp_path / "run")
        assert [request["prompt"].count("Right pneumothorax.") for request in mended.requests()] == [1]
    assert [(row.scored, row.unscored) for row in second.scored.rows[:1]] == [(3, 0)]


def test_an_estimate_asks_nothing_and_counts_what_the_run_then_asks(server: Server) -> None:
    settings = config(server, "lesions")
    found = estimate_scores(REFERENCES, {"ours": OURS}, settings, Manner(), is_public=False)
    assert [(row.task, row.model, row.calls, row.cached) for row in found.rows] == [("label", "qwen", 6, 0)]
    assert server.requests() == []


def test_an_estimate_of_a_run_takes_reports_that_are_not_written_to_be_as_long_as_the_references(server: Server, tmp_path: Path) -> None:
    options = {"llm.model": "qwen", "llm.api_base": server.url}
    small = "phantom:train=8,validate=8,test=8"
    settings = RunConfig(("constant",), ("lesions",), small, limit=2, options=options, labeller="language_model")
    found = estimate_run(settings, tmp_path / "run", Manner())
    assert sum(row.calls for row in found.rows) == 4
    assert "2 reports are not written yet" in found.notes[0]
    assert not (tmp_path / "run").exists()
    assert server.requests() == []


def test_an_estimate_leaves_a_folder_alone_that_a_run_is_writing(server: Server, tmp_path: Path) -> None:
    """Reading its reports would cut off a line that is half written."""
    settings = RunConfig(("constant",), ("lesions",), "phantom:train=8,validate=8,test=8", limit=2, options=dict(config(server).options))
    with opened(tmp_path / "run") as folder:
        folder.model("constant").path.mkdir()
        folder.model("constant").reports_file.write_text('{"case_id": "1", "te')
        with pytest.raises(FolderInUse):
            estimate_run(settings, tmp_path / "run", Manner())
        assert folder.model("constant").reports_file.read_text() == '{"case_id": "1", "te'


def test_a_budget_stops_before_it_is_crossed_and_the_next_command_goes_on(server: Server, tmp_path: Path) -> None:
    """A dollar per token out and a hundred tokens at most: the first questions fit into the budget, all six do not."""
    prices = {"input_price": "0", "output_price": "1000000", "max_tokens": "100", "concurrency": "1"}
    with pytest.raises(BudgetReached, match="nothing that was answered is asked again"):
        score(config(server, **prices), tmp_path / "run", manner=Manner(budget=150))
    asked = len(server.requests())
    assert 0 < asked < 6
    outcome = score(config(server, **prices), tmp_path / "run", manner=Manner(budget=100_000))
    assert outcome.asked[0].startswith(f"label: {6 - asked} asked, {asked} from cache")
    assert max(server.asked().values()) == 1


def test_reports_of_a_file_stay_here_unless_it_is_said_that_they_may_travel(tmp_path: Path) -> None:
    elsewhere = RunConfig((), ("lesions",), "", options={"llm.model": "openai/gpt-4o-mini"}, labeller="language_model", draws=20)
    with pytest.raises(MayNotTravel, match=r"api\.openai\.com.*nothing was sent.*approved = \[\"api\.openai\.com\"\]"):
        score(elsewhere, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(NoEndpoint, match="OPENAI_API_KEY"):  # it may, and lacks the key
        score(elsewhere, tmp_path / "run", is_public=True)


def test_the_line_that_the_refusal_names_approves_the_host(tmp_path: Path) -> None:
    (tmp_path / "benchmark.toml").write_text('[llm]\nmodel = "openai/gpt-4o-mini"\n[data_use]\napproved = ["api.openai.com"]\n')
    with pytest.raises(NoEndpoint, match="OPENAI_API_KEY"):  # it may go there now, and lacks the key
        score(RunConfig((), ("lesions",), "", labeller="language_model", draws=20), tmp_path / "run")


class Borrowed:
    """A public dataset beside which models learn from a credentialed one."""

    def __init__(self, name: str, *, is_credentialed: bool) -> None:
        self.name, self.is_credentialed = name, is_credentialed


def test_what_models_learn_from_may_travel_no_more_than_what_they_are_measured_on() -> None:
    """The nearest training report is a report, word for word."""
    public, credentialed = Borrowed("iu_xray", is_credentialed=False), Borrowed("mimic_cxr", is_credentialed=True)
    evaluator.use_of_datasets(public, public).check("api.openai.com")  # type: ignore[arg-type]
    for pair in ((public, credentialed), (credentialed, public)):
        with pytest.raises(MayNotTravel, match="the text of mimic_cxr may not leave"):
            evaluator.use_of_datasets(*pair).check("api.openai.com")  # type: ignore[arg-type]


def test_asking_anew_asks_although_the_folder_has_all_its_numbers(server: Server, tmp_path: Path) -> None:
    score(config(server), tmp_path / "run")
    outcome = score(config(server), tmp_path / "run", manner=Manner(refresh=True))
    assert len(server.requests()) == 12
    assert outcome.asked[0].startswith("label: 6 asked")


def test_no_key_comes_into_any_file_or_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The server repeats the key in each of its failures, as servers do."""
    monkeypatch.setenv("OUR_KEY", KEY)
    with serve(tmp_path / "server", answers=ANSWERS, key=KEY, orders=("500 times=2",)) as server:
        score(config(server, key_env="OUR_KEY"), tmp_path / "run")
        label_file(_csv(tmp_path), tmp_path / "labels.jsonl", "language_model", dict(config(server, key_env="OUR_KEY").options))
        monkeypatch.setenv("OUR_KEY", f"{KEY}-wrong")
        with pytest.raises(UserError) as refused:
            score(config(server, key_env="OUR_KEY", seed="1"), tmp_path / "other")
    printed = capfd.readouterr()
    said = [str(refused.value), repr(refused.value), printed.out, printed.err]
    kept = [file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file() and "server" not in file.parts]
    assert kept
    assert not [text for text in (*said, *kept) if KEY in text]


def test_labels_by_a_language_model_say_how_many_reports_have_none(tmp_path: Path) -> None:
    with serve(tmp_path / "server", answers={**ANSWERS, "Right pneumothorax.": "I cannot help with that."}) as server:
        labelled = label_file(_csv(tmp_path), tmp_path / "labels.jsonl", "language_model", dict(config(server).options))
    assert (labelled.reports, labelled.unanswered, labelled.positives) == (3, 1, {"pleural effusion": 1})
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [len(line["lesions"]) for line in lines] == [14, 14, 0]
    assert re.search(r"1 failed \(unusable 1\)", labelled.said[0])
    assert [(name, lesion.name, lesion.rationale) for name, lesion in labelled.unbacked] == [("2", "pleural effusion", "r")]


@pytest.mark.parametrize(
    ("rationale", "is_backed"),
    [
        ("small left effusion", True),
        ("Small left pleural effusion, unchanged", True),
        ("bibasilar atelectasis", False),
        ("hiatal hernia", False),
        ("", False),
    ],
)
def test_a_finding_is_backed_where_half_the_words_of_its_reason_stand_in_the_report(rationale: str, is_backed: bool) -> None:
    lesions = (Lesion("hernia", "positive", rationale=rationale), Lesion("mass", "negative", rationale="no mass"))
    assert (backed_by_nothing({"a": lesions}, {"a": "Small left pleural effusion."}) == ()) is is_backed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"llm.modle": "x"}, "no such setting; there is: model, api_base"),
        ({"llm.judges.model": "x"}, "no task 'judges'"),
        ({"llm.api_key": "x"}, "keys come from the environment alone"),
        ({"llm.concurrency": "0"}, "at least 1"),
        ({"llm.concurrency": "many"}, "not a whole number"),
        ({"llm.timeout": "0"}, "more than 0"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        LanguageModels({"llm.model": "openai/x", **options}, DataUse(False, "")).asking("judge")


def test_a_task_has_its_own_model_and_another_model_sheds_the_endpoint_of_the_first(tmp_path: Path) -> None:
    """Else the judge of OpenAI would be asked of the server on this machine, and its key be sent there."""
    (tmp_path / "benchmark.toml").write_text('[llm]\nmodel = "qwen"\napi_base = "http://127.0.0.1:8000/v1"\nkey_env = "OURS"\ntemperature = 0.5\n')
    llm = LanguageModels({"llm.judge.model": "openai/gpt-4o-mini"}, DataUse(False, ""))
    judge, label = llm.endpoint("judge"), llm.endpoint("label")
    assert (judge.model, judge.api_base, judge.key_env, judge.temperature) == ("openai/gpt-4o-mini", "", "", 0.5)
    assert (label.model, label.api_base, label.key_env) == ("qwen", "http://127.0.0.1:8000/v1", "OURS")


def test_without_a_model_the_message_says_how_to_name_one() -> None:
    with pytest.raises(NoEndpoint, match=r"--llm openai/gpt-4o-mini.*benchmark\.toml"):
        LanguageModels({}, DataUse(False, "")).asking("judge")


def _csv(folder: Path) -> Path:
    file = folder / "reports.csv"
    file.write_text("id,report\n" + "".join(f"{name},{text}\n" for name, text in REFERENCES.items()))
    return file

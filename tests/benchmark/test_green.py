"""GREEN: reading of answers and score as the published code has them, and what we refuse where it counts 0."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_model import ScriptedModels

from benchmark.llm.prompts import load
from benchmark.llm.questions import Failed, Question, Unusable
from benchmark.metrics.green import CATEGORIES, Counts, Green, Served, count_as_published, first_words, read_counts
from benchmark.metrics.green_prompt import WrongPrompt, published_prompt
from benchmark.records import UserError

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "parity" / "green_golden.json"
NAMES = ("Finding not in the reference", "Finding left out", "Wrong place or side", "Wrong severity or size", "Comparison", "Change left out")


def errors(counts: list[int]) -> str:
    said = ("0.", "1. a thing", "2. a thing; another", "3. this; that; those")
    return "\n".join(f"({letter}) {name}: {said[count]}" for letter, name, count in zip("abcdef", NAMES, counts, strict=True))


def answer(significant: list[int], matched: int, insignificant: list[int] | None = None) -> str:
    return (
        f"[Explanation]:\nThey differ.\n\n[Clinically Significant Errors]:\n{errors(significant)}\n\n"
        f"[Clinically Insignificant Errors]:\n{errors(insignificant or [0] * 6)}\n\n[Matched Findings]:\n{matched}. what both say"
    )


@pytest.mark.skipif(not GOLDEN.is_file(), reason="needs ../shared/parity/green_golden.json")
def test_answers_are_counted_as_the_published_code_counts_them() -> None:
    """16 answers through Stanford-AIMI/GREEN d72c195, the odd ones among them: counts without a full stop, empty lines, numbers for letters."""
    for name, case in json.loads(GOLDEN.read_text(encoding="utf-8")).items():
        counts = count_as_published(case["text"])
        assert [*counts.significant, counts.matched] == case["counts_abcdef_matched"], name
        assert counts.green == pytest.approx(case["green"], abs=1e-12), name


@pytest.mark.parametrize(
    ("significant", "matched", "green"),
    [
        ([2, 3, 0, 1, 0, 0], 0, 0.0),
        ([2, 1, 2, 0, 0, 0], 1, 0.1667),
        ([0, 2, 1, 1, 0, 0], 2, 0.3333),
        ([1, 0, 0, 0, 0, 0], 1, 0.5),
        ([1, 0, 1, 1, 0, 0], 1, 0.25),
    ],
)
def test_the_five_counts_of_the_published_test_give_its_scores(significant: list[int], matched: int, green: float) -> None:
    """Counts and scores of tests/test_repro.py of the same repository, in answers of our own."""
    for counts in (count_as_published(answer(significant, matched)), read_counts(answer(significant, matched))):
        assert counts == Counts(tuple(significant), (0,) * 6, matched)
        assert counts.green == pytest.approx(green, abs=5e-5)


def test_insignificant_errors_are_counted_and_do_not_enter() -> None:
    counts = read_counts(answer([0] * 6, 2, [3, 0, 0, 0, 0, 1]))
    assert (counts.green, counts.insignificant) == (1.0, (3, 0, 0, 0, 0, 1))


def test_the_marks_of_a_chat_and_the_question_given_back_are_left_out() -> None:
    body = answer([1, 0, 0, 0, 0, 0], 3)
    counts = read_counts(body)
    assert read_counts(f"[Matched Findings]:\n9. the question <|assistant|>\n{body}</s>") == counts
    assert read_counts(f"<think>[Matched Findings]: many</think>{body}") == counts
    assert read_counts(f"[Explanation]:\ndraft [Matched Findings]:\n7. x\n\n{body}") == counts


def test_a_list_may_say_that_there_is_nothing() -> None:
    text = answer([0] * 6, 2).replace(errors([0] * 6), "No clinically significant errors.")
    assert read_counts(text) == Counts((0,) * 6, (0,) * 6, 2)
    assert read_counts(answer([1, 0, 0, 0, 0, 0], 0).replace("0. what both say", "None")).green == 0.0


GOOD = answer([1, 0, 0, 0, 0, 0], 2)
ONE_ERROR = errors([1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "begins",
    [
        "Note: counts follow.\n",
        "No errors in (c) to (f).\n",
        "No significant errors besides these:\n",
        "No significant errors besides these:\n\n",
        "None\n",
        "None.\n\n",
        "No errors. Almost:\n",
    ],
)
def test_a_list_that_begins_with_no_and_counts_all_the_same_is_not_a_list_without_errors(begins: str) -> None:
    """The published code reads it as one; the score would be 1."""
    text = GOOD.replace(ONE_ERROR, f"{begins}{ONE_ERROR}")
    with pytest.raises(Unusable, match=r"\[Clinically Significant Errors\]: begins with 'No.*; write the counts alone, or None alone"):
        read_counts(text)
    assert count_as_published(text).green == 1.0


def test_nothing_with_an_exception_is_not_nothing() -> None:
    for said in ("No significant errors other than a missed mass.", "No errors in (c) to (f).", "No significant errors:\n- missed mass: 1."):
        with pytest.raises(Unusable, match="begins with 'No"):
            read_counts(GOOD.replace(ONE_ERROR, said))
    with pytest.raises(Unusable, match=r"\[Matched Findings\]: begins with 'No findings match besides"):
        read_counts(GOOD.replace("2. what both say", "No findings match besides one."))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "[Clinically Significant Errors]: is missing or empty"),
        ("I cannot compare medical reports.", "[Clinically Significant Errors]: is missing or empty"),
        (GOOD[: GOOD.index("[Matched")], "[Matched Findings]: is missing or empty"),
        (GOOD.replace(errors([1, 0, 0, 0, 0, 0]), ""), "[Clinically Significant Errors]: is missing or empty"),
        (GOOD.replace("1. a thing", "1 a thing"), "[Clinically Significant Errors]: (a) has no count"),
        (GOOD.replace("1. a thing", "1. a thing\n"), "[Clinically Significant Errors]: has 0 lines that begin with (b)"),
        (GOOD.replace("(f) Change left out: 0.\n\n[Matched", "\n\n[Matched"), "[Clinically Insignificant Errors]: has 0 lines that begin with (f)"),
        (GOOD.replace("(b) Finding left out", "(a) Finding left out", 1), "has 2 lines that begin with (a)"),
        (GOOD.replace("2. what", "2 findings: what"), "[Matched Findings]: begins with '2 findings: what both say'"),
        (GOOD.replace("2. what both say", "No edema; no effusion"), "[Matched Findings]: begins with 'No edema; no effusion'"),
        (GOOD.replace("[Matched Findings]:\n2", "**[Matched Findings]:**\n2"), "[Matched Findings]: begins with"),
        (GOOD.replace("2. what", f"{'9' * 5000}. what"), "a count is above 1000"),
        (GOOD.replace("2. what both say", "2.5 cm nodule"), "[Matched Findings]: begins with '2.5 cm nodule'; begin with a whole number"),
        (GOOD.replace("1. a thing", "3.2 cm nodule"), "[Clinically Significant Errors]: (a) has no count"),
        (GOOD.replace("2. what both say", "No. 3 matched"), "[Matched Findings]: begins with 'No. 3 matched'"),
        (GOOD.replace("2. what both say", "No. Matched: three, as 3"), "[Matched Findings]: begins with 'No. Matched"),
    ],
)
def test_a_count_that_cannot_be_read_is_not_nothing(text: str, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_counts(text)
    assert message in str(caught.value)


def test_a_decimal_is_no_count_and_the_published_reading_takes_its_whole_part() -> None:
    assert read_counts(GOOD.replace("2. what both say", "2. a 2.5 cm nodule; a 3.2 cm mass")).matched == 2
    assert read_counts(GOOD.replace("1. a thing", "1. a nodule: 3.2 cm")).significant[0] == 1
    assert count_as_published(GOOD.replace("1. a thing", "3.2 cm nodule")).significant[0] == 3
    assert count_as_published(GOOD.replace("2. what both say", "2.5 cm nodule")).matched == 2
    assert count_as_published(GOOD.replace("2. what both say", "No. 3 matched")).matched == 0


def numbers(metric: Green, rows: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in metric.values(np.nansum(rows, axis=0)).items()}


def test_the_metric_is_the_mean_over_cases_with_an_answer() -> None:
    def script(question: Question, problem: str) -> str | Failed:
        if "silent" in question.prompt:
            return Failed("timeout", "no answer after 120 s")
        if "broken" in question.prompt:
            return "no idea"
        return answer([1, 0, 0, 1, 0, 0], 2, [0, 1, 0, 0, 0, 0]) if "half" in question.prompt else answer([0] * 6, 3)

    llm = ScriptedModels(script)
    metric = Green(llm)
    rows = metric.statistics(["half", "whole", "silent", "broken", "whole"], ["r", "r", "r", "r", "r"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, False, True, True, False]
    found = numbers(metric, rows)
    assert list(found) == ["green", *(f"significant.{name}" for name in CATEGORIES), "matched", "insignificant"]
    assert found["green"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["significant.false_finding"] == found["significant.severity"] == found["insignificant"] == pytest.approx(1 / 3)
    assert found["significant.location"] == 0
    assert found["matched"] == pytest.approx(8 / 3)
    assert metric.failures == {"timeout": 1, "unusable": 1}
    assert len(llm.asked) == 4  # equal pairs once
    assert metric.values(np.zeros((2, 10)))["green"].tolist() == pytest.approx([np.nan] * 2, nan_ok=True)


def test_each_report_is_cut_at_300_words_and_the_candidate_is_the_hypothesis() -> None:
    llm = ScriptedModels(lambda question, problem: GOOD)
    long = "  word\n" * 400
    Green(llm).statistics(["candidate {reference}"], [long])
    (question,) = llm.asked
    assert question == Question("green", load("green").fill(reference="word " * 299 + "word", candidate="candidate {reference}"))
    assert first_words(long) == "word " * 299 + "word"


def test_equal_texts_and_an_empty_candidate_are_asked_about() -> None:
    llm = ScriptedModels(lambda question, problem: GOOD)
    assert Green(llm).statistics(["same", ""], ["same", "other"]).shape == (2, 10)
    assert len(llm.asked) == 2
    assert Green(llm).statistics([], []).shape == (0, 10)


def test_the_signature_names_the_model_and_the_prompt() -> None:
    metric = Green(ScriptedModels(lambda question, problem: GOOD))
    assert metric.judge == "scripted"
    assert metric.asks
    assert metric.signature() == f"green|judge:language_model|model:(scripted|temperature:0)|prompt:{load('green').digest}|reading:v2|words:300|v1"


def test_the_title_names_the_model_that_counts() -> None:
    metric = Green(ScriptedModels(lambda question, problem: GOOD))
    assert metric.titles == {"green": "GREEN (scripted)"}
    assert {"significant.location", "insignificant"} < metric.lower_is_better
    assert not metric.lower_is_better & {"green", "matched"}


def test_by_rules_every_number_bears_their_name() -> None:
    """What is counted, test_green_rules holds; here: that none of it can be taken for GREEN."""
    metric = Green(judge="rules")
    rows = metric.statistics(["Left pleural effusion. No pneumothorax."], ["Right pleural effusion. No pneumothorax."])
    found = metric.values(rows.sum(axis=0))
    assert all(name.startswith("rules.") for name in found)
    assert found["rules.green"] == 0.5
    assert found["rules.significant.location"] == 1
    assert metric.titles == {"rules.green": "GREEN (rules)"}
    assert not metric.asks
    assert metric.signature().startswith("green|judge:rules|labeller:(rules|")
    assert metric.statistics([], []).shape == (0, 10)


SMALL = "From {REF} to {CAND}, {REF} being as it is"
SMALL_SHA256 = hashlib.sha256(SMALL.encode()).hexdigest()


def test_the_published_question_is_taken_to_the_byte_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_bytes(SMALL.encode())
    filled = published_prompt(tmp_path / "prompt.txt", SMALL_SHA256).fill("a {CAND}", "b {REF}")
    assert filled == "From a {CAND} to b {REF}, {REF} being as it is"
    (tmp_path / "windows.txt").write_bytes((SMALL + "\r\n").encode())
    with pytest.raises(WrongPrompt, match=rf"windows.txt is not the published one \(sha256 \w{{12}}, expected {SMALL_SHA256[:12]}\)"):
        published_prompt(tmp_path / "windows.txt", SMALL_SHA256)
    with pytest.raises(WrongPrompt, match="cannot be read"):
        published_prompt(tmp_path / "nowhere.txt")


def test_the_question_comes_from_its_authors_package_where_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "green_score").mkdir()
    (tmp_path / "green_score" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "green_score" / "utils.py").write_text(
        f"def make_prompt(a, b):\n    return {SMALL!r}.replace('{{REF}}', a, 1).replace('{{CAND}}', b)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert published_prompt(sha256=SMALL_SHA256).fill("x", "y") == "From x to y, {REF} being as it is"
        with pytest.raises(WrongPrompt, match="the prompt of the package green_score is not the published one"):
            published_prompt()
        (tmp_path / "green_score" / "utils.py").write_text("raise RuntimeError('made for another torch')", encoding="utf-8")
        sys.modules.pop("green_score.utils")
        with pytest.raises(WrongPrompt, match=r"cannot be had \(RuntimeError: made for another torch\); where it works, save"):
            published_prompt()
    finally:
        for name in ("green_score.utils", "green_score"):
            sys.modules.pop(name, None)


def test_behind_an_endpoint_the_published_model_is_asked_and_read_as_published(tmp_path: Path) -> None:
    """An answer without counts is 0, not asked again; and the number says that it was served."""
    (tmp_path / "prompt.txt").write_text(SMALL, encoding="utf-8")
    llm = ScriptedModels(lambda question, problem: "nonsense" if "to odd" in question.prompt else answer([1, 0, 0, 0, 0, 0], 1))
    served = Served(llm, published_prompt(tmp_path / "prompt.txt", SMALL_SHA256))
    rows = served.statistics(["odd", "good"], ["ref", "ref"])
    assert rows[:, 1].tolist() == [0.0, 0.5]
    assert [question.prompt for question in llm.asked] == [f"From ref to {text}, {{REF}} being as it is" for text in ("odd", "good")]
    assert served.judge == "served scripted"
    assert served.signature() == f"green|judge:served|model:(scripted|temperature:0)|prompt:published-{SMALL_SHA256[:12]}|words:300|v1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": "nobody"}, "green has no judge='nobody'; known: rules, language_model, local, served"),
        ({"judge": "rules", "prompt": Path("x")}, "prompt is for a judge that is asked, and the rules are not"),
        ({"judge": "rules", "model": "x"}, "model is a setting of the model on this machine, and the judge is rules; add green.judge=local"),
        ({"judge": "rules", "precision": "bf16"}, "precision is a setting of the model on this machine, and the judge is rules"),
        ({"judge": "language_model", "precision": "fp16"}, "precision is a setting of the model on this machine, and the judge is language_model"),
        ({"judge": "served", "batch_size": 0}, "batch_size is a setting of the model on this machine, and the judge is served"),
        ({"judge": "language_model"}, "green by a language model needs one to ask, and got none"),
    ],
)
def test_settings_that_the_judge_has_not_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Green(**settings)
    assert message in str(caught.value)


def test_without_the_published_prompt_the_published_model_is_not_asked() -> None:
    if importlib.util.find_spec("green_score"):
        pytest.skip("green_score is installed here")
    for judge in ("local", "served"):
        with pytest.raises(UserError, match=r"the published model answers to its own prompt alone.*--set green.prompt=FILE"):
            Green(ScriptedModels(lambda question, problem: GOOD), judge=judge)  # type: ignore[arg-type]


def test_the_form_in_the_prompt_is_an_answer_once_it_is_filled_in_and_none_before() -> None:
    """Else the question would show models how not to answer; and a small one that gives the form back would have counted."""
    form = load("green").text.split("Form of the answer")[1].split("The lines above")[0]
    assert read_counts(form.replace(": N. what; what", ": 0.").replace("N. finding", "2. finding")) == Counts((0,) * 6, (0,) * 6, 2)
    with pytest.raises(Unusable, match=r"\(a\) has no count|begins with"):
        read_counts(form)

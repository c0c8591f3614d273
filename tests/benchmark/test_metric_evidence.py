"""What metrics tell of single cases: by rules what was counted, by a language model what was kept. Nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.annotating.rules import RuleAnnotator
from benchmark.labelling.choose import kept_labels
from benchmark.labelling.language_model import KEYS, LanguageModelLabeller
from benchmark.labelling.rules import RuleLabeller
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache, Kept
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Failed, Question, kept_answers
from benchmark.llm.routes import route_of
from benchmark.metrics.consistency_judge import SCHEMA, Consistency
from benchmark.metrics.consistency_rules import AXES
from benchmark.metrics.green import Green
from benchmark.metrics.radgraph import RadGraph
from benchmark.records import Evidence

REFERENCE = "Moderate left pleural effusion. No pneumothorax. The heart is normal in size. Unchanged from prior."
REPORT = "Small right pleural effusion. Cardiomegaly. No pneumothorax."

GREEN_ANSWER = """[Explanation]:
The side of the effusion is wrong.

[Clinically Significant Errors]:
(a) Finding not in the reference: 1. cardiomegaly
(b) Finding left out: 0.
(c) Wrong place or side: 1. right effusion, 3.2 cm
(d) Wrong severity or size: 0.
(e) Comparison not in the reference: 0.
(f) Change left out: 0.

[Clinically Insignificant Errors]:
None

[Matched Findings]:
1. no pneumothorax
"""


class Answers:
    """Makes real clients whose answers lie in a file, behind an endpoint that must never be asked."""

    def __init__(self, file: Path) -> None:
        self.cache = AnswerCache(file)
        self.clients: dict[str, Client] = {}

    def asking(self, task: str, model: str | None = None) -> Client:
        endpoint = Endpoint(model or "phantom-1", api_base="http://127.0.0.1:9/v1")
        made = Client(endpoint, route_of(endpoint), cache=self.cache, budget=Budget(None), may_send=self.refuse)
        return self.clients.setdefault(endpoint.model, made)

    def keep(self, question: Question, answer: str, model: str = "phantom-1") -> None:
        (entry,) = self.asking(question.task, model).keyed([question])
        self.cache.put(entry.key, Kept(answer, model, 1, 1, 0.0, question.task, model))

    def refuse(self) -> None:
        raise AssertionError("a question was about to be sent")


@pytest.fixture
def llm(tmp_path: Path) -> Answers:
    return Answers(tmp_path / "answers.sqlite")


def judged(score: int) -> str:
    return json.dumps({axis: {"evidence": f"why {axis} is {score}", "score": score} for axis in AXES})


def question_of(metric: Any, candidate: str, reference: str, sample: int = 0) -> Question:
    prompt = metric._judge._prompt.fill(reference=reference, candidate=candidate)
    return Question("judge", prompt, SCHEMA, sample)


def by_head(items: Sequence[Evidence]) -> dict[str, tuple[str, str]]:
    return {item.about: (item.value, item.words) for item in items}


def test_the_judge_by_rules_tells_what_it_counted() -> None:
    metric = Consistency()
    ((accuracy, completeness, language, structure),) = metric.evidence([REPORT], [REFERENCE])
    scores = metric.statistics([REPORT], [REFERENCE])[0, 1:]
    assert [item.value for item in (accuracy, completeness, language, structure)] == [f"{score:.0f} of 5" for score in scores]
    assert accuracy.words == "Both state, sides differ: pleural effusion (right; reference: left). Only the report states: cardiomegaly."
    assert completeness.words == "Covered: pleural effusion, no cardiomegaly, no pneumothorax."
    assert metric.evidence_title == "Judge (rules)"
    assert {item.words for item in metric.evidence([""], [REFERENCE])[0]} == {"The report has no words."}


def test_a_judge_that_is_a_language_model_tells_what_it_wrote_and_what_is_not_kept_is_nothing(llm: Answers) -> None:
    metric = Consistency(llm, judge="language_model")
    llm.keep(question_of(metric, REPORT, REFERENCE), judged(2))
    kept, not_kept, again = metric.evidence([REPORT, "Something else.", REPORT], [REFERENCE] * 3)
    assert by_head(kept)["Clinical accuracy"] == ("2 of 5", "why clinical_accuracy is 2")
    assert [item.about for item in kept] == ["Clinical accuracy", "Findings completeness", "Linguistic quality", "Report structure"]
    assert (not_kept, again) == ([], kept)
    assert llm.clients["phantom-1"].record()["asked"] == llm.clients["phantom-1"].record()["from_cache"] == 0  # not counted


def test_several_judges_and_samples_are_told_apart(llm: Answers) -> None:
    metric = Consistency(llm, judge="language_model", judges="one,two", samples=2)
    for model, scores in (("one", (2, 4)), ("two", (5,))):
        for sample, score in enumerate(scores):
            llm.keep(question_of(metric, REPORT, REFERENCE, sample), judged(score), model)
        assert metric.evidence([REPORT], [REFERENCE]) == [[]]  # until all are kept: the case has no scores before that either
    llm.keep(question_of(metric, REPORT, REFERENCE, 1), judged(5), "two")
    found = by_head(metric.evidence([REPORT], [REFERENCE])[0])
    assert found["Clinical accuracy (one)"] == ("2, 4 of 5", "why clinical_accuracy is 2")
    assert found["Clinical accuracy (two)"][0] == "5, 5 of 5"
    # One, then of each judge the means of its axes and the spread of its totals: 8 and 16 are 4 * sqrt(2) apart, 20 and 20 not at all.
    assert metric.kept_statistics([REPORT], [REFERENCE])[0] == pytest.approx([1, 3, 3, 3, 3, 4 * 2**0.5, 5, 5, 5, 5, 0])


def test_a_judge_that_was_not_asked_the_other_way_round_has_no_evidence(llm: Answers) -> None:
    metric = Consistency(llm, judge="language_model", swap=True)
    llm.keep(question_of(metric, REPORT, REFERENCE), judged(2))
    assert metric.evidence([REPORT], [REFERENCE]) == [[]]
    assert np.isnan(metric.kept_statistics([REPORT], [REFERENCE])).all()
    llm.keep(question_of(metric, REFERENCE, REPORT), judged(4))
    assert by_head(metric.evidence([REPORT], [REFERENCE])[0])["Clinical accuracy"] == ("2 of 5", "why clinical_accuracy is 2")
    assert metric.kept_statistics([REPORT], [REFERENCE])[0] == pytest.approx([1, 2, 2, 2, 2, 8 - 16])


def test_a_kept_answer_that_cannot_be_used_is_no_evidence(llm: Answers) -> None:
    metric = Consistency(llm, judge="language_model")
    llm.keep(question_of(metric, REPORT, REFERENCE), "five out of five")
    assert metric.evidence([REPORT], [REFERENCE]) == [[]]


def test_green_by_rules_names_the_lesions_of_each_count() -> None:
    metric = Green(judge="rules")
    found = by_head(metric.evidence([REPORT], [REFERENCE])[0])
    assert found == {
        "Finding made up (significant)": ("1", "cardiomegaly"),
        "Wrong place or side (significant)": ("1", "pleural effusion: right, reference left"),
        "Change left out (insignificant)": ("1", "the reference says that something is unchanged, or compares"),
        "Matched findings": ("1", "no pneumothorax"),
    }
    row = metric.statistics([REPORT], [REFERENCE])[0]
    assert (row[2], row[4], row[8], row[9]) == (1, 1, 1, 1)


def test_the_severity_that_differs_is_told_in_words() -> None:
    found = by_head(Green(judge="rules").evidence(["Trace left effusion."], ["Large left effusion."])[0])
    assert found["Wrong severity (significant)"] == ("1", "pleural effusion: trace, reference large or severe")


def test_green_by_a_language_model_tells_its_answer_line_by_line(llm: Answers) -> None:
    metric: Any = Green(llm, judge="language_model")
    llm.keep(Question("green", metric._judge._question(REPORT, REFERENCE)), GREEN_ANSWER)
    kept, not_kept = metric.evidence([REPORT, "x"], [REFERENCE, "y"])
    assert by_head(kept) == {
        "Explanation": ("", "The side of the effusion is wrong."),
        "Finding made up (significant)": ("1", "cardiomegaly"),
        "Wrong place or side (significant)": ("1", "right effusion, 3.2 cm"),
        "Matched findings": ("1", "no pneumothorax"),
    }
    assert not_kept == []
    # Two significant errors, one match: 1 / 3.
    counted, unknown = metric.kept_statistics([REPORT, "x"], [REFERENCE, "y"])
    assert counted[:2] == pytest.approx([1, 1 / 3])
    assert np.isnan(unknown).all()
    assert metric.evidence_title == "GREEN (phantom-1)"


def test_radgraph_names_the_entities_that_are_shared_and_that_are_not() -> None:
    metric = RadGraph()
    found = by_head(metric.evidence(["Left effusion. No pneumothorax."], ["Left effusion. No edema."])[0])
    assert found == {
        "In both": ("2", "Left, effusion"),
        "In the reference alone": ("1", "no edema"),
        "In the report alone": ("1", "no pneumothorax"),
    }
    assert metric.evidence_title == "F1-RadGraph (rules)"
    assert by_head(metric.evidence([""], ["Left effusion."])[0])["In both"] == ("0", "")


def test_radgraph_counts_what_its_numbers_count() -> None:
    """Precision of ``partial``, the headline, is the share of the report's entities that are in both."""
    metric = RadGraph()
    numbers = metric.values(metric.statistics([REPORT], [REFERENCE])[0])
    both, theirs, ours = (int(item.value) for item in metric.evidence([REPORT], [REFERENCE])[0])
    assert numbers["rules.partial_lower.precision"] == pytest.approx(both / (both + ours))
    assert numbers["rules.partial_lower.recall"] == pytest.approx(both / (both + theirs))


def test_an_entity_that_has_a_relation_in_one_report_alone_is_another_one_and_says_so() -> None:
    metric = RadGraph()
    found = by_head(metric.evidence(["Effusion. Left."], ["Left effusion."])[0])
    numbers = metric.values(metric.statistics(["Effusion. Left."], ["Left effusion."])[0])
    both, theirs, ours = (int(found[head][0]) for head in ("In both", "In the reference alone", "In the report alone"))
    assert numbers["rules.partial_lower"] == pytest.approx(2 * both / (2 * both + theirs + ours))
    assert "with a relation" in found["In the reference alone"][1] or "with a relation" in found["In the report alone"][1]


def test_the_judge_by_rules_tells_of_headings_which_are_part_of_the_score() -> None:
    metric = Consistency()
    text = "The heart is enlarged. The lungs are clear."
    ours, theirs = f"FINDINGS: {text}", f"IMPRESSION: {text}"
    structure, alike = (metric.evidence([ours], [reference])[0][3] for reference in (theirs, ours))
    assert structure.words.endswith("Headings: FINDINGS; reference: IMPRESSION.")
    assert (structure.value, alike.value) == tuple(f"{metric.statistics([ours], [one])[0, 4]:.0f} of 5" for one in (theirs, ours))
    assert "Headings" not in metric.evidence([text], [text])[0][3].words


class Network:
    """An annotator that is a network: what it finds is kept, and it is slow."""

    def __init__(self) -> None:
        self.calls = 0

    def annotate(self, reports: Sequence[str]) -> list[Any]:
        self.calls += 1
        return RuleAnnotator().annotate(reports)

    def signature(self) -> str:
        return "network|v1"


def test_a_network_is_not_run_for_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("benchmark.annotating.once.cache_folder", lambda: tmp_path)
    metric: Any = RadGraph()
    metric._annotator = network = Network()
    assert metric.evidence(["Edema."], ["Edema."]) == [[]]
    assert network.calls == 0
    metric.statistics(["Edema."], ["Edema."])
    assert network.calls == 1
    assert by_head(metric.evidence(["Edema."], ["Edema."])[0])["In both"] == ("1", "Edema")
    assert network.calls == 1


def test_a_labeller_that_is_a_language_model_says_what_is_kept_and_asks_nobody(llm: Answers) -> None:
    labeller: Any = LanguageModelLabeller(llm)
    answer = {
        key: {"rationale": "left effusion" if name == "pleural effusion" else "", "status": "negative", "location": "not mentioned"}
        for key, name in KEYS.items()
    }
    answer["pleural_effusion"] |= {"status": "positive", "location": "left"}
    (question,) = labeller._questions(["A left effusion."])
    llm.keep(question, json.dumps(answer))
    known, unknown, empty = kept_labels(labeller, ["A left effusion.", "Another text.", " "])
    assert [lesion.name for lesion in known if lesion.status == "positive"] == ["pleural effusion"]
    assert (unknown, len(empty)) == ((), 14)
    assert not labeller.failed


def test_a_labeller_that_asks_and_cannot_look_says_nothing() -> None:
    class Asking:
        asks = True

        def label(self, reports: Sequence[str]) -> list[Any]:
            raise AssertionError("it was asked")

        def signature(self) -> str:
            return "asking"

    assert kept_labels(Asking(), ["a", "b"]) == [(), ()]
    assert kept_labels(RuleLabeller(), ["Edema."])[0][9].status == "positive"


def test_who_keeps_nothing_has_no_kept_answers() -> None:
    class Bare:
        def __call__(self, questions: Any, read: Any) -> Any:
            raise AssertionError("it was asked")

        def signature(self) -> str:
            return "bare"

    found = list(kept_answers(Bare(), [Question("judge", "a"), Question("judge", "b")], str))
    assert [outcome.kind for outcome in found if isinstance(outcome, Failed)] == ["not asked"] * 2


def test_kept_answers_come_in_order_however_many_there_are(llm: Answers) -> None:
    client = llm.asking("judge")
    questions = [Question("judge", f"question {number}") for number in range(600)]
    for number in (0, 299, 599):
        llm.keep(questions[number], f"answer {number}")
    found = list(client.kept(questions, str))
    assert len(found) == 600
    assert {place: outcome.value for place, outcome in enumerate(found) if not isinstance(outcome, Failed)} == {
        0: "answer 0",
        299: "answer 299",
        599: "answer 599",
    }
    assert not np.any([client.counts.asked, client.counts.cached])

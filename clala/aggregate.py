"""Region sentences into one report, by the rules that the paper gives its language model (Noh et al. 2026, prompt A1), without one.

1 one unified report; 2 equivalent sentences of different regions once; 3 abnormal findings first, by clinical significance; 4 the same lesion
stated present and absent: present holds; 5 regions without lesion in short standard words; 6 the region's nuance is kept: positive sentences stay
as they were written, not rebuilt from labels; 7 sentence case and full stops. No positive finding of the input is lost, be it one of the 14 or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from clala.findings import DENIED, OPEN, PRESENT, SENTENCE_END, Finding, read_findings

# What a reader must see first: what needs a hand now, then what needs a drug, then what needs a follow-up.
SIGNIFICANCE = (
    "pneumothorax",
    "edema",
    "pneumonia",
    "consolidation",
    "pleural effusion",
    "mass",
    "infiltration",
    "nodule",
    "atelectasis",
    "cardiomegaly",
    "hernia",
    "emphysema",
    "fibrosis",
    "pleural thickening",
)

_DENIED_WORDS = {
    "cardiomegaly": "cardiomegaly",
    "hernia": "hiatal hernia",
    "edema": "pulmonary edema",
    "consolidation": "focal consolidation",
    "infiltration": "infiltrate",
    "nodule": "nodule",
    "mass": "mass",
}
_LUNG_LESIONS = frozenset({"emphysema", "nodule", "atelectasis", "mass", "edema", "consolidation", "infiltration", "fibrosis", "pneumonia"})
_NORMAL = re.compile(
    r"\b(?:normal|unremarkable|clear|intact|within normal limits|not enlarged|well expanded|fully expanded|upper limits? of normal|sharp|preserved)\b"
)
_NOTHING = re.compile(r"\b(?:no|not|without|negative|nothing)\b")
_ABOUT_THE_IMAGE = re.compile(r"\bviews?\b|\b(?:radiograph|film|image|study|examination)s? (?:of|is|are|was|were)\b")
_CARDIAC = re.compile(r"\b(?:heart|cardiac|cardio\w*)\b")
_MEDIASTINAL = re.compile(r"\b(?:mediastin\w*|cardiomediastin\w*)\b")
_HILAR = re.compile(r"\b(?:hil(?:a|um|ar))\b")
_LUNGS = re.compile(r"\blungs?\b")
_CAPITALS = {word: word.upper() for word in ("ap", "pa", "svc", "picc", "et", "ett", "ng", "og", "icd", "ij", "cabg", "ild", "copd")} | {
    "kerley b": "Kerley B"
}
_CAPITAL = re.compile(rf"\b(?:{'|'.join(_CAPITALS)})\b")
DEVICE = re.compile(r"\b(tube|catheter|line|pacemaker|pacer|lead|wires?|clips?|port|valve|picc|drain|icd|device|stent)s?\b")

Read = Callable[[str], Sequence[Finding]]


class Sentence(NamedTuple):
    """One sentence and what it says."""

    text: str
    findings: tuple[Finding, ...]

    def of(self, status: str) -> list[Finding]:
        """The findings of that status."""
        return [finding for finding in self.findings if finding.status == status]


def aggregate(regions: Mapping[str, str], *, read: Read = read_findings) -> str:
    """One report from region -> what was written about it. ``read`` says which lesions a sentence states, denies or leaves open."""
    sentences = [Sentence(text, tuple(read(text))) for text in _distinct(regions.values())]
    positive = _order(_without_repetition([s for s in sentences if s.of(PRESENT)]))
    present = {finding.lesion for s in positive for finding in s.of(PRESENT)}
    rest = [s for s in sentences if not s.of(PRESENT)]
    leading = [_without_contradiction(s, present, read) for s in positive]
    said = {finding.lesion for text in leading for finding in read(text)}
    report = [
        *leading,
        *_open(rest, present),
        *_others(rest),
        *_devices(rest),
        *_normal(rest, present),
        *_denied(sentences, present | said),
    ]
    return " ".join(sentence_case(text) for text in _distinct(report))


class NotAggregated(ValueError):
    """The sentences did not become a report; the message says why."""


class NoAnswer(NotAggregated):
    """A language model that raised an error, or answered with nothing; the error, if there was one, is the cause."""


class LostFindings(NotAggregated):
    """A language model's report lacks positive findings of its input; the message lists them."""


def aggregate_by_model(regions: Mapping[str, str], ask: Callable[[str], str], prompt: str, *, read: Read = read_findings) -> str:
    """The report that a language model makes of the sentences, by the same rules.

    ``ask`` takes a prompt and returns the answer; for the rest see ``aggregate_all_by_model``, of which this is the one-case form. Raises
    LostFindings if a finding is lost again, NoAnswer if there is none.
    """
    (report,) = aggregate_all_by_model([regions], lambda prompts: [answer_of(ask, prompt) for prompt in prompts], prompt, read=read)
    if isinstance(report, NotAggregated):
        raise report
    return report


def aggregate_all_by_model(
    cases: Sequence[Mapping[str, str]], ask: Callable[[Sequence[str]], Sequence[str | NoAnswer]], prompt: str, *, read: Read = read_findings
) -> list[str | NotAggregated]:
    """The reports that a language model makes of the sentences of several cases, or why there is none, in order; many are asked for at a time.

    ``ask`` takes prompts and returns as many answers; ``prompt`` is the text of ``prompts/aggregate.md``. An answer that lacks a positive finding
    is asked for once more, naming what was lost. If it is lost again, that is LostFindings: an incomplete report is a failure, not a report.
    A case without sentences has an empty report, and nobody is asked.
    """
    filled = [prompt.replace("{regions}", said) if (said := _statements(regions)) else "" for regions in cases]
    reports: list[str | NotAggregated] = [""] * len(cases)
    due = [case for case, question in enumerate(filled) if question]
    lost: dict[int, list[str]] = {}
    for _ in range(2):
        questions = [f"{filled[case]}{_once_more(lost[case])}" if case in lost else filled[case] for case in due]
        for case, answer in zip(due, ask(questions) if questions else (), strict=True):
            reports[case] = answer
            lost[case] = [] if isinstance(answer, NoAnswer) else lost_findings(cases[case].values(), answer, read=read)
        due = [case for case in due if lost[case]]
    for case in due:
        reports[case] = LostFindings(f"the report lacks {'; '.join(lost[case])}, which the region sentences state")
    return reports


def _statements(regions: Mapping[str, str]) -> str:
    return "\n".join(f"- {region}: {text}" for region, text in regions.items() if text.strip())


def _once_more(lost: Sequence[str]) -> str:
    return f"\n\nAn earlier answer left out: {'; '.join(lost)}. Write the whole report again with them."


def answer_of(ask: Callable[[str], str], prompt: str) -> str | NoAnswer:
    """What ``ask`` answers, or that it does not: whatever it raises is the cause."""
    try:
        answer = ask(prompt).strip()
    except Exception as error:  # whatever a foreign client raises, there is no report
        none = NoAnswer(f"the language model gave no answer: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        none.__cause__ = error
        return none
    return answer or NoAnswer("the language model answered with nothing")


def lost_findings(texts: Iterable[str], report: str, *, read: Read = read_findings) -> list[str]:
    """Positive findings of the texts that the report does not state: ``left pleural effusion``. A side that was not given may be given."""
    said: dict[str, set[str]] = {}
    for sentence in _distinct([report]):
        for finding in read(sentence):
            if finding.status == PRESENT:
                said.setdefault(finding.lesion, set()).add(finding.side)
    stated = {f for sentence in _distinct(texts) for f in read(sentence) if f.status == PRESENT}
    # A report may say "pleural effusion" where the side is plain from its neighbours; the finding is not lost then.
    lost = [f for f in stated if not _is_said(f, said.get(f.lesion, set())) and "not mentioned" not in said.get(f.lesion, set())]
    return sorted(f.lesion if f.side == "not mentioned" else f"{f.side} {f.lesion}" for f in lost)


def _distinct(texts: Iterable[str]) -> list[str]:
    """Sentences, those of equal words once, in the order of their first appearance."""
    kept: dict[str, str] = {}
    for text in texts:
        for sentence in SENTENCE_END.split(text.strip()):
            key = " ".join(re.findall(r"[a-z0-9]+", sentence.lower()))
            if key:
                kept.setdefault(key, sentence.strip())
    return list(kept.values())


def _without_repetition(positive: Sequence[Sentence]) -> list[Sentence]:
    """Those that say something which the others, said more exactly, do not say already."""

    def exactness(s: Sentence) -> tuple[int, int]:
        sides = [finding.side for finding in s.of(PRESENT)]
        return -sum(side != "not mentioned" for side in sides), -len(sides)

    said: dict[str, set[str]] = {}
    kept: set[int] = set()
    for number in sorted(range(len(positive)), key=lambda number: exactness(positive[number])):
        new = [f for f in positive[number].of(PRESENT) if not _is_said(f, said.get(f.lesion, set()))]
        if new:
            kept.add(number)
            for finding in positive[number].of(PRESENT):
                said.setdefault(finding.lesion, set()).add(finding.side)
    return [positive[number] for number in sorted(kept)]


def _is_said(finding: Finding, sides: set[str]) -> bool:
    if finding.side == "not mentioned":
        return bool(sides)
    both = "bilateral" in sides or {"left", "right"} <= sides
    return both or finding.side in sides


def _order(positive: Sequence[Sentence]) -> list[Sentence]:
    return sorted(positive, key=lambda s: min(SIGNIFICANCE.index(f.lesion) for f in s.of(PRESENT)))


def _without_contradiction(s: Sentence, present: set[str], read: Read) -> str:
    """The sentence without its closing "without ..." or ", no ..." where that denies what another sentence states."""
    if not any(f.lesion in present for f in s.of(DENIED)):
        return s.text
    shorter = re.sub(r"(?:,? (?:but |and )?(?:without|with no|and no)|, no)\b[^.;]*", "", s.text)
    stated = {f for f in read(shorter) if f.status == PRESENT}
    return shorter if stated >= set(s.of(PRESENT)) else s.text


def _open(rest: Sequence[Sentence], present: set[str]) -> list[str]:
    said: set[str] = set()
    kept = []
    for s in rest:
        lesions = {f.lesion for f in s.of(OPEN)} - present
        if lesions and not lesions <= said:
            said |= lesions
            kept.append(s.text)
    return kept


def _others(rest: Sequence[Sentence]) -> list[str]:
    """What is neither one of the 14 lesions nor called normal: a tortuous aorta, air in the chest wall."""
    texts = [s.text for s in rest if not s.findings]
    return [text for text in texts if not any(pattern.search(text.lower()) for pattern in (_NORMAL, _NOTHING, _ABOUT_THE_IMAGE, DEVICE))]


def _devices(rest: Sequence[Sentence]) -> list[str]:
    """The first sentence about each kind of tube, wire or clip."""
    kept: dict[str, str] = {}
    for s in rest:
        if not s.findings and (found := DEVICE.search(s.text.lower())):
            kept.setdefault(found.group(1), s.text)
    return list(kept.values())


def _normal(rest: Sequence[Sentence], present: set[str]) -> list[str]:
    """Rule 5: what was called normal, in standard words."""
    texts = [s.text.lower() for s in rest if _NORMAL.search(s.text.lower()) and not DEVICE.search(s.text.lower())]
    heart, mediastinum, hila, lungs = (any(pattern.search(text) for text in texts) for pattern in (_CARDIAC, _MEDIASTINAL, _HILAR, _LUNGS))
    short = []
    if lungs and not present & _LUNG_LESIONS:
        short.append("The lungs are clear.")
    if heart and "cardiomegaly" not in present:
        short.append("Heart size is normal.")
    if mediastinum or hila:
        named = " and ".join(name for name, normal in (("mediastinal", mediastinum and "mass" not in present), ("hilar", hila)) if normal)
        if named:
            short.append(f"The {named} contours are normal.")
    return short


def _denied(sentences: Sequence[Sentence], present: set[str]) -> list[str]:
    """Rule 5 again: everything that was denied and is nowhere stated, in one sentence."""
    denied = {f.lesion for s in sentences for f in s.of(DENIED)} - present - {"cardiomegaly"}
    names = [_DENIED_WORDS.get(lesion, lesion) for lesion in SIGNIFICANCE if lesion in denied]
    if not names:
        return []
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} or {names[-1]}"
    return [f"No {listed}."]


def sentence_case(text: str) -> str:
    """A capital at the beginning, a full stop at the end, abbreviations in capitals."""
    text = _CAPITAL.sub(lambda match: _CAPITALS[match.group()], text.strip())
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."

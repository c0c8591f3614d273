"""Read one sentence: which lesions it names, with what stance, on which side.

The method is the one of NegEx and ConText (Chapman et al., J Biomed Inform 34(5), 2001, https://doi.org/10.1006/jbin.2001.1029; Harkema et al.,
J Biomed Inform 42(5), 2009, https://doi.org/10.1016/j.jbi.2009.05.002): words that modify reach forward or back until something ends their scope.
Ours differs in how a scope ends (``_clauses``: by the grammar of lists and clauses instead of a window of words) and in that sides are read
by noun phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from benchmark.labelling import lexicon

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:[.,]\d+)*|_+|[^\w\s]")
_SAME_LENGTH = str.maketrans({"\u2019": "'", "\u2018": "'", "-": " ", "\u2010": " ", "\u2011": " ", "\u2013": " ", "\u00a0": " "})

_END = " end"  # key of a tree node that holds what the phrase up to here means; no word contains a blank

HARD_BREAKS = frozenset(";().?!")
STANCE_OF_CUE = {
    "exclusion": "excluded",
    "negation": "denied",
    "denial": "denied",
    "unlikely": "unlikely",
    "question": "asked",
    "past": "past",
    "possible": "possible",
    "likely": "likely",
    "versus": "likely",
}
"""in order of precedence: of several cues that reach a lesion the first of this list decides"""
SIDELESS = frozenset(("cardiomegaly",))  # one heart
DIFFUSE = frozenset(("edema", "emphysema"))  # as a rule of both lungs: they take a side from their own phrase only, not from a neighbour's
SIDE_IN_NAME = {"left": "left", "right": "right", "biapical": "bilateral", "bi": "bilateral"}
"""words within the name of a lesion that say its side: "biapical capping" """
_PRECEDENCE = {kind: rank for rank, kind in enumerate(STANCE_OF_CUE)}


class Mention(NamedTuple):
    """One lesion as one sentence speaks of it."""

    lesion: str
    """one of ``vocabulary.LESIONS``"""
    stance: str
    """stated | likely | possible | excluded ("cannot be excluded") | unlikely | denied | past | asked ("evaluate for")"""
    side: str
    """left | right | bilateral | not mentioned"""
    words: str
    """the part of the sentence that decided it"""


class Tag(NamedTuple):
    """A known phrase at its place."""

    start: int
    """first word"""
    end: int
    """word after the last"""
    kind: str
    """lesion | side | other | heart | ... | a key of ``lexicon.CUES``"""
    value: Any
    """lesion names, or the side"""


@dataclass(frozen=True)
class Phrases:
    """The lexicon as a tree of words, for matching in one pass."""

    root: Mapping[str, Any]
    """word -> subtree"""
    anchors: frozenset[str]
    """words of which every lesion has at least one: a sentence with none of them need not be read"""


def compile_phrases(terms: str = "chest14") -> Phrases:
    """The lexicon, with the lesions cut as ``terms`` says: ``chest14`` (ours) or ``gold_openi`` (as the code lists of that gold are)."""
    root: dict[str, Any] = {}
    anchors: set[str] = set()
    for name, phrases in lexicon.LESION_PHRASES.items():
        _add(root, phrases, "lesion", (name,), anchors)
    for names, phrases in lexicon.TWO_LESION_PHRASES.items():
        _add(root, phrases, "lesion", names, anchors)
    for side, phrases in lexicon.SIDE_PHRASES.items():
        _add(root, phrases, "side", side)
    for kind, phrases in lexicon.CUES.items():
        _add(root, phrases, kind, kind)
    _add(root, lexicon.OTHER_THINGS, "other", None)
    for kind, parts in lexicon.PARTS.items():
        _add(root, parts, kind, kind, anchors if kind != "normal" else None)
    if terms == "gold_openi":
        _add(root, lexicon.GOLD_OPENI_OTHER_THINGS, "other", None, overrules=True)
        for name, phrases in lexicon.GOLD_OPENI_LESION_PHRASES.items():
            _add(root, phrases, "lesion", (name,), anchors, overrules=True)
    return Phrases(root, frozenset(anchors))


def _add(root: dict[str, Any], phrases: Iterable[str], kind: str, value: Any, anchors: set[str] | None = None, *, overrules: bool = False) -> None:
    """Enter phrases into the tree; one that is there already with another meaning is an error of the lexicon."""
    for phrase in phrases:
        for words in lexicon.expand(phrase):
            node = root
            for word in words:
                node = node.setdefault(word, {})
            known = node.get(_END)
            if known not in (None, (kind, value)) and not overrules:
                raise ValueError(f"the lexicon lists {' '.join(words)!r} as {known} and as {(kind, value)}")
            node[_END] = (kind, value)
            if anchors is not None:
                anchors.add(max(words, key=len))


def read_sentence(sentence: str, phrases: Phrases) -> tuple[Mention, ...]:
    """Every lesion that the sentence names, in order; empty for most sentences."""
    # The capital I with a dot is the one letter that is longer in lower case: places in the one text would be none in the other.
    lowered = sentence.replace("\u0130", "I").lower().translate(_SAME_LENGTH)
    words = _WORD.findall(lowered)
    if phrases.anchors.isdisjoint(words):
        return ()
    tags = _tag(words, phrases.root)
    lesions = _lesions(words, tags)
    if not lesions:
        return ()
    clause_of = _clauses(words, tags, lesions)
    stances = _stances(words, tags, lesions, clause_of)
    sides = _sides(words, tags, lesions, clause_of)
    spans = [match.span() for match in _WORD.finditer(lowered)]
    mentions = []
    for lesion, (stance, cue), (side, place) in zip(lesions, stances, sides, strict=True):
        parts = [part for part in (lesion, cue, place) if part is not None]
        start = spans[min(part.start for part in parts)][0]
        end = spans[max(part.end for part in parts) - 1][1]
        mentions += [Mention(name, stance, "not mentioned" if name in SIDELESS else side, sentence[start:end]) for name in lesion.value]
    return tuple(mentions)


def _tag(words: Sequence[str], root: Mapping[str, Any]) -> list[Tag]:
    """Known phrases, leftmost and longest first, none overlapping."""
    tags = []
    i, n = 0, len(words)
    while i < n:
        node = root.get(words[i])
        if node is None:
            i += 1
            continue
        found, end, j = node.get(_END), i + 1, i + 1
        while j < n and (node := node.get(words[j])) is not None:
            j += 1
            if _END in node:
                found, end = node[_END], j
        if found is None:
            i += 1
        else:
            tags.append(Tag(i, end, *found))
            i = end
    return tags


def _lesions(words: Sequence[str], tags: Sequence[Tag]) -> list[Tag]:
    """Lesions by their name, and those whose name is spread over the sentence: "the heart is ... enlarged", "pleural ... thickening".

    "The heart is normal in size" comes as a ``normal`` tag: it denies cardiomegaly without naming it.
    """
    lesions = []
    heart: Tag | None = None
    normal: Tag | None = None
    for tag in tags:
        if tag.kind == "lesion":
            lesions.append(tag)
            heart = None
        elif tag.kind == "heart":
            heart = tag
            if normal and tag.start - normal.end < 3:
                lesions.append(Tag(normal.start, tag.end, "normal", ("cardiomegaly",)))
        elif tag.kind == "normal":
            normal = tag
            if heart and tag.start - heart.end < 16:
                lesions.append(Tag(heart.start, tag.end, "normal", ("cardiomegaly",)))
        elif tag.kind == "enlarged" or words[tag.start] == "increased":
            if heart and lexicon.NOT_HEART.isdisjoint(words[heart.end : tag.start]) and (tag.end == len(words) or words[tag.end] in lexicon.CLOSERS):
                lesions.append(tag._replace(kind="lesion", value=("cardiomegaly",)))
                heart = None
        elif tag.kind == "thickening":
            if not lexicon.PLEURA.isdisjoint(words[: tag.start + 5]):
                lesions.append(tag._replace(kind="lesion", value=("pleural thickening",)))
        elif (
            tag.kind == "collapse"
            and lexicon.NOT_LUNG.isdisjoint(words)
            and not lexicon.LUNG_PARTS.isdisjoint(words[max(tag.start - 8, 0) : tag.end + 8])
        ):
            lesions.append(tag._replace(kind="lesion", value=("atelectasis",)))
    return lesions


def _clauses(words: Sequence[str], tags: Sequence[Tag], lesions: Sequence[Tag]) -> list[int]:
    """Clause number of every word.

    A clause ends at "but" and its like, and where a comma, "and" or "with" opens a new statement instead of the next item of a list.
    """
    n = len(words)
    tag_at: dict[int, Tag] = {tag.start: tag for tag in tags}
    ends = {lesion.end for lesion in lesions}
    clause_of, clause = [], 0
    is_negated = has_lesion = has_predicate = False  # of the clause so far: a "no" is open; it met a lesion; whose verb was spoken
    for i, word in enumerate(words):
        tag = tag_at.get(i)
        kind = tag.kind if tag else ""
        has_lesion = has_lesion or i in ends
        if word in HARD_BREAKS or kind == "break":
            is_break = True
        elif word in _CONNECTORS and kind in ("", "versus") and i + 1 < n:
            j = i + 2 if word == "," and words[i + 1] in ("and", "with") else i + 1
            following = words[j] if j < n else ""
            next_kind = tag_at[j].kind if j in tag_at else ""
            if following in ("or", "nor"):
                is_break = False
            elif next_kind == "negation" or (has_lesion and has_predicate):
                is_break = has_lesion
            elif word == "with":
                is_break = has_lesion and is_negated
            else:
                opens = following in lexicon.STARTERS or next_kind == "heart"
                if is_negated:
                    is_break = opens and word != ":" and not _list_goes_on(words, tag_at, i)
                else:
                    is_break = opens and word == "," and has_lesion and next_kind != "side"
        else:
            # no connector at all: "no pneumothorax the heart is enlarged", "no pneumothorax small left effusion"
            opens = kind == "heart" or (word in lexicon.STARTERS and kind != "side")
            is_break = is_negated and i in ends and opens and not _list_goes_on(words, tag_at, i)
            has_predicate = has_predicate or (has_lesion and word in lexicon.PREDICATES)
        if is_break:
            clause += 1
            is_negated = has_lesion = has_predicate = False
        is_negated = is_negated or kind in ("negation", "unlikely")
        clause_of.append(clause)
    return clause_of


_CONNECTORS = frozenset((",", "and", "with", ":"))


def _list_goes_on(words: Sequence[str], tag_at: Mapping[int, Tag], i: int) -> bool:
    """True if an "or" within the next words closes the list that word ``i`` belongs to: "no large effusion, left nodule, or mass"."""
    for k in range(i + 1, min(i + 20, len(words))):
        if words[k] in ("or", "nor"):
            return True
        if words[k] in HARD_BREAKS or words[k] in ("is", "are", "there") or (k in tag_at and tag_at[k].kind in ("break", "negation")):
            return False
    return False


def _stances(words: Sequence[str], tags: Sequence[Tag], lesions: Sequence[Tag], clause_of: Sequence[int]) -> list[tuple[str, Tag | None]]:
    """For each lesion how it is spoken of, with the cue that says so."""
    deciding: list[Tag | None] = [None] * len(lesions)

    def reach(k: int, cue: Tag) -> None:
        held = deciding[k]
        if held is None or _PRECEDENCE[cue.kind] < _PRECEDENCE[held.kind]:
            deciding[k] = cue

    is_listed = [_is_listed(words, clause_of, one, other) for one, other in pairwise(lesions)]
    for cue in tags:
        if cue.kind not in _PRECEDENCE:
            continue
        clause = clause_of[cue.start]
        behind = [k for k, lesion in enumerate(lesions) if lesion.end <= cue.start and clause_of[lesion.start] == clause]
        ahead = [k for k, lesion in enumerate(lesions) if lesion.start >= cue.end and clause_of[lesion.start] == clause]
        if cue.kind == "negation":
            for k in ahead:
                reach(k, cue)
            if not ahead and behind and cue.end == len(words):
                reach(behind[-1], cue)
        elif cue.kind == "denial":
            if words[cue.end - 1] in lexicon.TAKEN_OUT and not (behind and _is_subject(words, lesions[behind[-1]], cue)):
                continue
            if behind:
                for k in _back_along_list(words, lesions, behind, is_listed, cue):
                    reach(k, cue)
            elif ahead:
                # "no longer a pneumothorax", but not "tube removed, small pneumothorax"
                for k in _along_list(ahead, is_listed) if words[cue.start] in lexicon.DENIES_AHEAD else ():
                    reach(k, cue)
            elif cue.start < 4 or clause_of[cue.start - 4] < clause:
                # "the effusion, which was large, has resolved": the verb found its way into a clause of its own
                earlier = [k for k, lesion in enumerate(lesions) if lesion.end <= cue.start and clause_of[lesion.start] == clause - 1]
                if earlier:
                    reach(earlier[-1], cue)
        elif cue.kind == "past":
            if ahead and lexicon.SEPARATORS.isdisjoint(words[cue.end : lesions[ahead[0]].start]):
                is_still_there = words[cue.start] in lexicon.LOOKS_BACK and any(t.kind == "present" for t in tags)
                for k in () if is_still_there else _along_list(ahead, is_listed):
                    reach(k, cue)
        elif cue.kind == "versus":
            is_plain = words[cue.start] in ("versus", "vs")  # then it hedges one lesion too: "infection versus pneumonia"
            is_pair = bool(behind and ahead) and is_listed[behind[-1]]
            if behind and (is_pair or (is_plain and cue.start - lesions[behind[-1]].end < 4)):
                reach(behind[-1], cue)
            if ahead and (is_pair or (is_plain and lesions[ahead[0]].start - cue.end < 4)):
                reach(ahead[0], cue)
        elif ahead and not (behind and _speaks_back(words, cue) and _is_spoken_after(words, cue, lesions[ahead[0]])):
            for k in _along_list(ahead, is_listed):
                reach(k, cue)
        elif behind and _speaks_back(words, cue):
            for k in _back_along_list(words, lesions, behind, is_listed, cue):
                reach(k, cue)
    return [
        ("denied", None) if lesion.kind == "normal" else ("stated", None) if cue is None else (STANCE_OF_CUE[cue.kind], cue)
        for lesion, cue in zip(lesions, deciding, strict=True)
    ]


def _is_listed(words: Sequence[str], clause_of: Sequence[int], one: Tag, other: Tag) -> bool:
    """True if two neighbouring lesions are items of one list or alternatives: one clause, and no verb or "with" between."""
    between = words[one.end : other.start]
    return clause_of[one.start] == clause_of[other.start] and len(between) < 14 and lexicon.LIST_ENDERS.isdisjoint(between)


def _along_list(ahead: Sequence[int], is_listed: Sequence[bool]) -> Iterator[int]:
    """The first lesion ahead, and those that a list ties to it."""
    yield ahead[0]
    for k in ahead[1:]:
        if not is_listed[k - 1]:
            return
        yield k


def _back_along_list(words: Sequence[str], lesions: Sequence[Tag], behind: Sequence[int], is_listed: Sequence[bool], cue: Tag) -> Iterator[int]:
    """The last lesion behind, and those that a list ties to it; "A and B is not seen" speaks of B alone."""
    yield behind[-1]
    is_singular = not {"is", "was", "has"}.isdisjoint(words[max(cue.start - 1, 0) : cue.end])
    for k in reversed(behind[:-1]):
        between = words[lesions[k].end : lesions[k + 1].start]
        if not is_listed[k] or (is_singular and "and" in between) or (cue.kind != "denial" and lexicon.CONJUNCTIONS.isdisjoint(between)):
            return
        yield k


def _is_subject(words: Sequence[str], lesion: Tag, cue: Tag) -> bool:
    """True for "the mass in the left base was resected", False for "effusion where the lobe was resected"."""
    between = words[lesion.end : cue.start]
    return not between or (between[0] in (*lexicon.PREPOSITIONS, "of", "which", "that") and {"after", "where", "following"}.isdisjoint(between))


def _speaks_back(words: Sequence[str], cue: Tag) -> bool:
    """True for "pneumonia is suspected" and "... cannot be excluded", False for "the nodule suggests an old process"."""
    if words[cue.end - 1] not in lexicon.SPEAKS_BACK:
        return False
    is_predicate = cue.start > 0 and words[cue.start - 1] in lexicon.COPULAS
    return cue.kind in ("exclusion", "unlikely") or is_predicate or cue.end == len(words) or words[cue.end] in HARD_BREAKS or words[cue.end] == ","


def _is_spoken_after(words: Sequence[str], cue: Tag, following: Tag) -> bool:
    """True for "pneumonia is possible in the left base with effusion": the cue belongs to what stands before it."""
    between = words[cue.end : following.start]
    return bool(between) and between[0] in lexicon.AFTERTHOUGHTS


def _sides(words: Sequence[str], tags: Sequence[Tag], lesions: Sequence[Tag], clause_of: Sequence[int]) -> list[tuple[str, Tag | None]]:
    """For each lesion its side, with the words that say so: of its own noun phrase, else of what follows, else of what went before."""
    places = _merge_sides(words, [tag for tag in tags if tag.kind == "side"], lesions)
    found: list[tuple[str, Tag | None]] = []
    is_after: list[bool] = []
    closing: Tag | None = None  # the side that ended the phrase of the lesion before
    last = len(lesions) - 1
    for k, lesion in enumerate(lesions):
        own = {SIDE_IN_NAME[word] for word in words[lesion.start : lesion.end] if word in SIDE_IN_NAME}
        if own:  # "fluid in the left pleural space" is named with its side
            found.append((own.pop(), lesion))
            is_after.append(False)
            closing = None
            continue
        clause = clause_of[lesion.start]
        floor = lesions[k - 1].end if k else 0
        ceiling = lesions[k + 1].start if k < last else len(words)
        before = next((p for p in reversed(places) if floor <= p.start and p.end <= lesion.start and clause_of[p.start] == clause), None)
        after = next((p for p in places if lesion.end <= p.start and p.end <= ceiling and clause_of[p.start] == clause), None)
        if after and k < last and lexicon.SEPARATORS.isdisjoint(words[after.end : ceiling]):
            after = None  # it opens the noun phrase of the next lesion
        if after and not _is_attached(words[lesion.end : after.start], after):
            after = None
        is_own = before is not None and lexicon.SEPARATORS.isdisjoint(words[before.end : lesion.start])
        if before is closing and not is_own:
            before = None  # it closes the phrase of the lesion before: "atelectasis in the left base and a nodule"
        if before and after and is_own and before.value != after.value and "than" in words[lesion.end : after.start]:
            found.append(("bilateral", after))
        elif before and (is_own or not after):
            found.append((before.value, before))
        else:
            found.append((after.value, after) if after else ("not mentioned", None))
        is_after.append(bool(after) and found[-1][1] is after)
        closing = after if after and (is_after[-1] or "than" in words[after.start : after.end]) else None
    return _share(words, tags, lesions, found, is_after)


def _is_attached(between: Sequence[str], side: Tag) -> bool:
    """True if a side that follows a lesion belongs to it: "nodule in the left base", "effusions, right greater than left"."""
    if not lexicon.PHRASE_LINKS.isdisjoint(between) or len(between) > 12:
        return False
    if "," in between and "than" not in between and side.value != "bilateral" and between[-1] != ",":
        return "in" in between or "at" in between
    return not ("and" in between and lexicon.PREPOSITIONS.isdisjoint(between))


def _share(
    words: Sequence[str], tags: Sequence[Tag], lesions: Sequence[Tag], found: list[tuple[str, Tag | None]], is_after: Sequence[bool]
) -> list[tuple[str, Tag | None]]:
    """Give a lesion without a side that of its neighbour where one phrase holds both: "left effusion with adjacent atelectasis"."""
    hedges = {i for tag in tags if tag.kind in ("likely", "possible", "versus", "identity") for i in range(tag.start, tag.end)}

    def is_bridged(k: int, start: int, *, is_closed: bool) -> bool:
        """``is_closed``: the side stood behind the first lesion and so ended its phrase; a bare "and" then opens another."""
        between = words[start : lesions[k + 1].start]
        if lesions[k].value[0] in DIFFUSE or lesions[k + 1].value[0] in DIFFUSE:
            return False
        if "and" in between[:-1] and between[between.index("and") + 1] in lexicon.STARTERS:
            return False  # "left effusion and mild fibrosis": a phrase of its own
        if is_closed and "and" in between and lexicon.COMPANIONS.isdisjoint(between):
            return False
        if (
            len(between) < 6
            and not lexicon.CONJUNCTIONS.isdisjoint(between)
            and lexicon.SEPARATORS.isdisjoint(set(between) - {",", "or", "and", "/", "versus"})
        ):
            return True
        if len(between) < 9 and "and" not in between and not hedges.isdisjoint(range(start, lesions[k + 1].start)):
            return True  # what a finding may mean lies where it lies: "left consolidation could be due to aspiration pneumonia"
        return all(word in lexicon.BRIDGES or i in hedges for i, word in enumerate(between, start))

    for k in range(len(lesions) - 1):
        place = found[k][1]
        if (
            place is not None
            and found[k + 1][1] is None
            and not _is_sideless(lesions[k])
            and is_bridged(k, max(lesions[k].end, place.end), is_closed=place.end > lesions[k].end)
        ):
            found[k + 1] = found[k]
    for k in range(len(lesions) - 2, -1, -1):
        if found[k][1] is None and found[k + 1][1] is not None and is_after[k + 1] and is_bridged(k, lesions[k].end, is_closed=False):
            found[k] = found[k + 1]
    return found


def _is_sideless(lesion: Tag) -> bool:
    """True for a lesion that has no side."""
    return lesion.value[0] in SIDELESS


def _merge_sides(words: Sequence[str], sides: Sequence[Tag], lesions: Sequence[Tag]) -> list[Tag]:
    """Left and right in one breath are both sides: "right greater than left", "the left and right lower lobes"."""
    merged: list[Tag] = []
    for side in sides:
        if not merged:
            merged.append(side)
            continue
        previous = merged[-1]
        between = words[previous.end : side.start]
        if (
            len(between) < 9
            and all(word in lexicon.BETWEEN_SIDES for word in between)
            and not (previous.value != side.value and _is_divided(words, previous, side, lesions))
        ):
            value = side.value if side.value == previous.value else "bilateral"
            merged[-1] = Tag(previous.start, side.end, "side", value)
        else:
            merged.append(side)
    return merged


def _is_divided(words: Sequence[str], first: Tag, second: Tag, lesions: Sequence[Tag]) -> bool:
    """True for "atelectasis in the right base and left effusion": each side has a lesion of its own."""
    if "than" in words[first.end : second.start]:
        return False
    has_owner = any(lesion.end <= first.start and not _is_sideless(lesion) for lesion in lesions)
    next_lesion = next((lesion for lesion in lesions if lesion.start >= second.end), None)
    return has_owner and next_lesion is not None and lexicon.SEPARATORS.isdisjoint(words[second.end : next_lesion.start])

"""METEOR 1.5's alignment of two texts: which words or phrases of one stand for which of the other.

M. Denkowski, A. Lavie, "Meteor 1.3", WMT 2011, and "Meteor Universal", WMT 2014: among all alignments in which a word takes part at most once,
look for the one with the most matched words, then the fewest chunks, then the least distance, by a beam search of 40. Four stages propose
matches: equal words, equal stems, shared synsets, paraphrases. What the papers leave open was found by setting problems to the jar (made-up
words, beams of 1, 2, 3, 5, made-up paraphrase tables) until this search gave the same alignment for all of them:

- the search walks along the reference; a path takes one of the matches that start there, or none;
- matches that have no rival on either side are taken before the search and never given up;
- matched words are counted in whole numbers, an equal word as 1, each side of any other match as half its length rounded down;
- a chunk is counted when it is left, not when it is begun, and the last one when all is done;
- the distance of a match is added to the path that did *not* take it, which is surely a slip, and decides ties;
- matches at one place are tried by stage, within a stage along the hypothesis; paraphrases of the reference's phrases (shorter phrases first,
  then as the table has them) before the hypothesis's phrases whose paraphrases stand in the reference; the path without a match comes last;
- sorting is stable, and the first of the best paths wins;
- equal texts are aligned word by word without a search (which would now and then miss that).
"""

from __future__ import annotations

import numpy as np

from benchmark.metrics.compiled import kernel
from benchmark.metrics.paraphrases import longer_phrase

BEAM = 40
STAGES = 4
EXACT, STEM, SYNONYM, PARAPHRASE = range(STAGES)

COLUMNS = 4 + 4 * STAGES + 3
"""Words of hypothesis and reference, function words of each; for each stage matched content words of both and function words of both; chunks, and
matched words of both. The order is that of the jar's ``SCORE`` lines."""

_LAST = 1 << 30


@kernel
def align_all(
    a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray,
    stems: np.ndarray, is_function: np.ndarray, synonym_starts: np.ndarray, synonym_words: np.ndarray,
    slots: np.ndarray, children: np.ndarray, paraphrase_starts: np.ndarray, paraphrases: np.ndarray,
    beam: int,
) -> np.ndarray:  # fmt: skip
    """Statistics of the best alignment of every pair of texts.

    a, b            int32, words of hypotheses and references;  a_ends, b_ends  (n + 1,) int64
    stems           (words,) int32, equal numbers for equal stems
    is_function     (words,) bool
    synonym_*       words that share a synset with word w, w itself left out: synonym_words[synonym_starts[w]:synonym_starts[w + 1]]
    slots ... paraphrases   ``paraphrases.Phrases``
    returns         (n, 23) int64, see ``COLUMNS``
    """
    n = len(a_ends) - 1
    rows = np.zeros((n, COLUMNS), dtype=np.int64)
    is_synonym = np.full(len(stems), -1, dtype=np.int64)
    stamp = 0
    head = np.full(len(paraphrase_starts), -1, dtype=np.int32)
    matches = np.empty((1024, 6), dtype=np.int32)
    for i in range(n):
        h = a[a_ends[i] : a_ends[i + 1]]
        r = b[b_ends[i] : b_ends[i + 1]]
        row = rows[i]
        row[0] = len(h)
        row[1] = len(r)
        for word in h:
            row[2] += is_function[word]
        for word in r:
            row[3] += is_function[word]
        if len(h) == 0 or len(r) == 0:
            continue
        if len(h) == len(r) and np.all(h == r):
            row[4] = row[5] = row[0] - row[2]
            row[6] = row[7] = row[2]
            row[20] = 1
            row[21] = row[22] = len(h)
            continue
        spans_h = _phrases(h, slots, children)
        spans_r = _phrases(r, slots, children)
        _link(spans_h, head)
        first = _reference_paraphrases(spans_h, head, spans_r, paraphrase_starts, paraphrases)
        _unlink(spans_h, head)
        _link(spans_r, head)
        second = _hypothesis_paraphrases(spans_h, spans_r, head, paraphrase_starts, paraphrases)
        _unlink(spans_r, head)
        filled = 0
        at_first = 0
        starts = np.zeros(len(r) + 1, dtype=np.int64)
        second_starts, second_order = _by_reference(second, len(r))
        for j in range(len(r)):
            stamp += 1
            for k in range(synonym_starts[r[j]], synonym_starts[r[j] + 1]):
                is_synonym[synonym_words[k]] = stamp
            room = filled + 3 * len(h) + len(first) + len(second) + 1
            if room > len(matches):
                larger = np.empty((2 * room, 6), dtype=np.int32)
                larger[:filled] = matches[:filled]
                matches = larger
            for stage in range(3):
                for k in range(len(h)):
                    if stage == EXACT:
                        hit = h[k] == r[j]
                    elif stage == STEM:
                        hit = stems[h[k]] == stems[r[j]] and h[k] != r[j]
                    else:
                        hit = is_synonym[h[k]] == stamp
                    if hit:
                        _put(matches, filled, k, 1, j, 1, stage)
                        filled += 1
            while at_first < len(first) and first[at_first, 2] == j:
                _put(matches, filled, first[at_first, 0], first[at_first, 1], j, first[at_first, 3], PARAPHRASE)
                filled += 1
                at_first += 1
            for k in range(second_starts[j], second_starts[j + 1]):
                at = second_order[k]
                _put(matches, filled, second[at, 0], second[at, 1], j, second[at, 3], PARAPHRASE)
                filled += 1
            starts[j + 1] = filled
        chosen = _search(matches[:filled], starts, len(h), len(r), beam)
        _count(matches, chosen, h, r, is_function, row)
    return rows


@kernel
def _put(matches: np.ndarray, at: int, h_start: int, h_size: int, r_start: int, r_size: int, stage: int) -> None:
    """A match: place and length in the hypothesis, place and length in the reference, stage, words that it counts for."""
    matches[at, 0] = h_start
    matches[at, 1] = h_size
    matches[at, 2] = r_start
    matches[at, 3] = r_size
    matches[at, 4] = stage
    matches[at, 5] = h_size + r_size if stage == EXACT else h_size // 2 + r_size // 2


@kernel
def _phrases(text: np.ndarray, slots: np.ndarray, children: np.ndarray) -> np.ndarray:
    """(spans, 4) int32: phrase, place, length, and room for a link, in order of place and length."""
    spans = np.empty((8 * len(text), 4), dtype=np.int32)
    found = 0
    for start in range(len(text)):
        phrase = 0
        for end in range(start, len(text)):
            phrase = longer_phrase(slots, children, phrase, text[end])
            if phrase < 0:
                break
            if found == len(spans):
                larger = np.empty((2 * found, 4), dtype=np.int32)
                larger[:found] = spans
                spans = larger
            spans[found, 0] = phrase
            spans[found, 1] = start
            spans[found, 2] = end + 1 - start
            found += 1
    return spans[:found]


@kernel
def _link(spans: np.ndarray, head: np.ndarray) -> None:
    """Chain the spans of each phrase, in order of place, from ``head[phrase]``."""
    for k in range(len(spans) - 1, -1, -1):
        spans[k, 3] = head[spans[k, 0]]
        head[spans[k, 0]] = k


@kernel
def _unlink(spans: np.ndarray, head: np.ndarray) -> None:
    for k in range(len(spans)):
        head[spans[k, 0]] = -1


@kernel
def _reference_paraphrases(spans_h: np.ndarray, head: np.ndarray, spans_r: np.ndarray, starts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Matches found from the reference's phrases: (matches, 4) int32."""
    result = np.empty((64, 4), dtype=np.int32)
    found = 0
    for k in range(len(spans_r)):
        for t in range(starts[spans_r[k, 0]], starts[spans_r[k, 0] + 1]):
            at = head[targets[t]]
            while at >= 0:
                if found == len(result):
                    larger = np.empty((2 * found, 4), dtype=np.int32)
                    larger[:found] = result
                    result = larger
                result[found, 0] = spans_h[at, 1]
                result[found, 1] = spans_h[at, 2]
                result[found, 2] = spans_r[k, 1]
                result[found, 3] = spans_r[k, 2]
                found += 1
                at = spans_h[at, 3]
    return result[:found]


@kernel
def _hypothesis_paraphrases(spans_h: np.ndarray, spans_r: np.ndarray, head: np.ndarray, starts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Matches found from the hypothesis's phrases: (matches, 4) int32."""
    result = np.empty((64, 4), dtype=np.int32)
    found = 0
    for k in range(len(spans_h)):
        for t in range(starts[spans_h[k, 0]], starts[spans_h[k, 0] + 1]):
            at = head[targets[t]]
            while at >= 0:
                if found == len(result):
                    larger = np.empty((2 * found, 4), dtype=np.int32)
                    larger[:found] = result
                    result = larger
                result[found, 0] = spans_h[k, 1]
                result[found, 1] = spans_h[k, 2]
                result[found, 2] = spans_r[at, 1]
                result[found, 3] = spans_r[at, 2]
                found += 1
                at = spans_r[at, 3]
    return result[:found]


@kernel
def _by_reference(found: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Order of the matches by their place in the reference, otherwise as they were."""
    starts = np.zeros(size + 1, dtype=np.int64)
    for k in range(len(found)):
        starts[found[k, 2] + 1] += 1
    for j in range(size):
        starts[j + 1] += starts[j]
    order = np.empty(len(found), dtype=np.int64)
    filled = starts[:-1].copy()
    for k in range(len(found)):
        order[filled[found[k, 2]]] = k
        filled[found[k, 2]] += 1
    return starts, order


@kernel
def _search(matches: np.ndarray, starts: np.ndarray, h_size: int, r_size: int, beam: int) -> np.ndarray:
    """Numbers of the matches of the best alignment, in order of the reference.

    A path is kept as: words matched, chunks left, distance, where its open chunk would go on in both texts (-1: none is open), where the
    reference is free again, the hypothesis words it used as bits, and the step that made it.
    """
    rivals_h = np.zeros(h_size, dtype=np.int32)
    rivals_r = np.zeros(r_size, dtype=np.int32)
    for k in range(len(matches)):
        for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
            rivals_h[x] += 1
        for x in range(matches[k, 2], matches[k, 2] + matches[k, 3]):
            rivals_r[x] += 1
    blocks = (h_size + 63) // 64
    one = np.uint64(1)
    state = np.zeros((beam, 6), dtype=np.int64)  # matched, chunks, distance, open in hypothesis, open in reference, free from
    used = np.zeros((beam, blocks), dtype=np.uint64)
    step = np.full(beam, -1, dtype=np.int64)
    state[0, 3] = -1
    paths = 1
    new_state = np.zeros((beam, 6), dtype=np.int64)
    new_used = np.zeros((beam, blocks), dtype=np.uint64)
    new_step = np.full(beam, -1, dtype=np.int64)
    parents = np.empty(beam + 1, dtype=np.int64)
    taken = np.empty(beam + 1, dtype=np.int64)
    rank = np.empty((beam + 1, 3), dtype=np.int64)
    step_match = np.empty(r_size * beam, dtype=np.int32)  # every step: the match it took and the step before
    step_before = np.empty(r_size * beam, dtype=np.int64)
    steps = 0
    for j in range(r_size):
        if starts[j] == starts[j + 1]:  # nothing starts here: all paths leave their chunk, those inside a match go on
            closed = False
            for p in range(paths):
                if state[p, 5] <= j and state[p, 3] >= 0:
                    state[p, 1] += 1
                    state[p, 3] = -1
                    closed = True
            if not closed:
                continue
        kept = 0
        for p in range(paths):
            if state[p, 5] > j:
                kept = _offer(rank, parents, taken, kept, beam, state[p, 0], state[p, 1], state[p, 2], p, -1)
                continue
            is_open = state[p, 3] >= 0
            only = False
            if starts[j + 1] - starts[j] == 1:
                k = starts[j]
                only = True
                for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                    only = only and rivals_h[x] == 1
                for x in range(matches[k, 2], matches[k, 2] + matches[k, 3]):
                    only = only and rivals_r[x] == 1
            for k in range(starts[j], starts[j + 1]):
                fits = True
                for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                    if (used[p, x // 64] >> np.uint64(x % 64)) & one:
                        fits = False
                        break
                if not fits:
                    continue
                leaves = is_open and (state[p, 3] != matches[k, 0] or state[p, 4] != j)
                kept = _offer(rank, parents, taken, kept, beam, state[p, 0] + matches[k, 5], state[p, 1] + leaves, state[p, 2], p, k)
                state[p, 2] += abs(np.int64(matches[k, 0]) - j)
            if not only:
                kept = _offer(rank, parents, taken, kept, beam, state[p, 0], state[p, 1] + is_open, state[p, 2], p, _LAST)
        for q in range(kept):
            p = parents[q]
            k = taken[q]
            new_state[q] = state[p]
            new_state[q, 0] = -rank[q, 0]
            new_state[q, 1] = rank[q, 1]
            new_state[q, 2] = rank[q, 2]
            new_used[q] = used[p]
            new_step[q] = step[p]
            if k == _LAST:
                new_state[q, 3] = -1
            elif k >= 0:
                new_state[q, 3] = matches[k, 0] + matches[k, 1]
                new_state[q, 4] = j + matches[k, 3]
                new_state[q, 5] = j + matches[k, 3]
                for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                    new_used[q, x // 64] |= one << np.uint64(x % 64)
                step_match[steps] = k
                step_before[steps] = step[p]
                new_step[q] = steps
                steps += 1
        state, new_state = new_state, state
        used, new_used = new_used, used
        step, new_step = new_step, step
        paths = kept
    best = 0
    for p in range(paths):
        if state[p, 3] >= 0:
            state[p, 1] += 1
        better = (-state[p, 0], state[p, 1], state[p, 2]) < (-state[best, 0], state[best, 1], state[best, 2])
        if better:
            best = p
    length = 0
    at = step[best]
    while at >= 0:
        length += 1
        at = step_before[at]
    chosen = np.empty(length, dtype=np.int64)
    at = step[best]
    while at >= 0:
        length -= 1
        chosen[length] = step_match[at]
        at = step_before[at]
    return chosen


@kernel
def _offer(
    rank: np.ndarray, parents: np.ndarray, taken: np.ndarray, kept: int, beam: int,
    matched: int, chunks: int, distance: int, parent: int, match: int,
) -> int:  # fmt: skip
    """Put a path in its place among the best so far, behind its equals; returns how many there are then."""
    at = kept
    while at > 0:
        before = at - 1
        if rank[before, 0] < -matched:
            break
        if rank[before, 0] == -matched:
            if rank[before, 1] < chunks:
                break
            if rank[before, 1] == chunks and rank[before, 2] <= distance:
                break
        at -= 1
    if at == beam:
        return kept
    last = min(kept, beam - 1)
    for k in range(last, at, -1):
        rank[k, 0] = rank[k - 1, 0]
        rank[k, 1] = rank[k - 1, 1]
        rank[k, 2] = rank[k - 1, 2]
        parents[k] = parents[k - 1]
        taken[k] = taken[k - 1]
    rank[at, 0] = -matched
    rank[at, 1] = chunks
    rank[at, 2] = distance
    parents[at] = parent
    taken[at] = match
    return min(kept + 1, beam)


@kernel
def _count(matches: np.ndarray, chosen: np.ndarray, h: np.ndarray, r: np.ndarray, is_function: np.ndarray, row: np.ndarray) -> None:
    """Fill the statistics of an alignment into its row."""
    h_next = -1
    r_next = -1
    for k in chosen:
        first = 4 + 4 * matches[k, 4]
        for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
            row[first + 2 * is_function[h[x]]] += 1
        for x in range(matches[k, 2], matches[k, 2] + matches[k, 3]):
            row[first + 1 + 2 * is_function[r[x]]] += 1
        row[21] += matches[k, 1]
        row[22] += matches[k, 3]
        if h_next != matches[k, 0] or r_next != matches[k, 2]:
            row[20] += 1
        h_next = matches[k, 0] + matches[k, 1]
        r_next = matches[k, 2] + matches[k, 3]

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

NONE, INSIDE = -1, -2  # a path takes no match here; a path is still within one


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
        first = _paraphrased(spans_r, spans_h, 2, head, paraphrase_starts, paraphrases)
        second = _paraphrased(spans_h, spans_r, 0, head, paraphrase_starts, paraphrases)
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
def _paraphrased(spans: np.ndarray, others: np.ndarray, column: int, head: np.ndarray, starts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Matches found from the phrases of one text in the other: (matches, 4) int32, always hypothesis before reference.

    column  where the first text's place and length go: 0 if it is the hypothesis, 2 if it is the reference
    head    all -1 before and after
    """
    _link(others, head)
    result = np.empty((64, 4), dtype=np.int32)
    found = 0
    for k in range(len(spans)):
        for t in range(starts[spans[k, 0]], starts[spans[k, 0] + 1]):
            at = head[targets[t]]
            while at >= 0:
                if found == len(result):
                    larger = np.empty((2 * found, 4), dtype=np.int32)
                    larger[:found] = result
                    result = larger
                result[found, column] = spans[k, 1]
                result[found, column + 1] = spans[k, 2]
                result[found, 2 - column] = others[at, 1]
                result[found, 3 - column] = others[at, 2]
                found += 1
                at = others[at, 3]
    _unlink(others, head)
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
    has_rival = _rivals(matches, starts, h_size, r_size)
    blocks = (h_size + 63) // 64
    one = np.uint64(1)
    # Twice the beam: the paths as they are lie in one half, those that follow are written into the other.
    matched = np.zeros(2 * beam, dtype=np.int64)
    chunks = np.zeros(2 * beam, dtype=np.int64)
    distance = np.zeros(2 * beam, dtype=np.int64)
    open_h = np.full(2 * beam, -1, dtype=np.int64)
    open_r = np.full(2 * beam, -1, dtype=np.int64)
    free_from = np.zeros(2 * beam, dtype=np.int64)
    step = np.full(2 * beam, -1, dtype=np.int64)
    used = np.zeros((2 * beam, blocks), dtype=np.uint64)
    most = 0
    for j in range(r_size):
        most = max(most, starts[j + 1] - starts[j])
    key = np.empty((beam * (most + 1), 2), dtype=np.int64)  # of every candidate: what it is sorted by, parent and match
    parent = np.empty(beam * (most + 1), dtype=np.int64)
    taken = np.empty(beam * (most + 1), dtype=np.int64)
    order = np.empty(beam + 1, dtype=np.int64)
    step_match = np.empty(r_size * beam, dtype=np.int64)  # every step: the match it took and the step before
    step_before = np.empty(r_size * beam, dtype=np.int64)
    steps = 0
    paths = 1
    old, new = 0, beam
    for j in range(r_size):
        if starts[j] == starts[j + 1]:  # nothing starts here: all paths leave their chunk, but those inside a match
            changed = False
            for p in range(old, old + paths):
                if free_from[p] <= j and open_h[p] >= 0:
                    chunks[p] += 1
                    open_h[p] = -1
                    changed = True
            if not changed:
                continue
        kept = 0
        candidates = 0
        for p in range(old, old + paths):
            if free_from[p] > j:
                kept = _offer(key, order, candidates, kept, beam, matched[p], chunks[p], distance[p])
                parent[candidates] = p
                taken[candidates] = INSIDE
                candidates += 1
                continue
            is_open = open_h[p] >= 0
            for k in range(starts[j], starts[j + 1]):
                h_start = matches[k, 0]
                fits = True
                for x in range(h_start, h_start + matches[k, 1]):
                    if (used[p, x >> 6] >> np.uint64(x & 63)) & one:
                        fits = False
                        break
                if not fits:
                    continue
                leaves = is_open and (open_h[p] != h_start or open_r[p] != j)
                kept = _offer(key, order, candidates, kept, beam, matched[p] + matches[k, 5], chunks[p] + leaves, distance[p])
                parent[candidates] = p
                taken[candidates] = k
                candidates += 1
                distance[p] += abs(h_start - j)
            if has_rival[j]:
                kept = _offer(key, order, candidates, kept, beam, matched[p], chunks[p] + is_open, distance[p])
                parent[candidates] = p
                taken[candidates] = NONE
                candidates += 1
        for place in range(kept):
            candidate = order[place]
            p = parent[candidate]
            k = taken[candidate]
            q = new + place
            matched[q] = -(key[candidate, 0] >> 32)
            chunks[q] = key[candidate, 0] & 0xFFFFFFFF
            distance[q] = key[candidate, 1]
            open_h[q] = open_h[p] if k != NONE else -1
            open_r[q] = open_r[p]
            free_from[q] = free_from[p]
            step[q] = step[p]
            for x in range(blocks):
                used[q, x] = used[p, x]
            if k >= 0:
                open_h[q] = matches[k, 0] + matches[k, 1]
                open_r[q] = j + matches[k, 3]
                free_from[q] = j + matches[k, 3]
                for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                    used[q, x >> 6] |= one << np.uint64(x & 63)
                step_match[steps] = k
                step_before[steps] = step[p]
                step[q] = steps
                steps += 1
        old, new = new, old
        paths = kept
    best = old
    for p in range(old, old + paths):
        if open_h[p] >= 0:
            chunks[p] += 1
        if (-matched[p], chunks[p], distance[p]) < (-matched[best], chunks[best], distance[best]):
            best = p
    return _retrace(step[best], step_match, step_before)


@kernel
def _rivals(matches: np.ndarray, starts: np.ndarray, h_size: int, r_size: int) -> np.ndarray:
    """Places of the reference at which a path may go on without a match: all but those of a match that has no rival on either side."""
    count_h = np.zeros(h_size, dtype=np.int32)
    count_r = np.zeros(r_size, dtype=np.int32)
    for k in range(len(matches)):
        for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
            count_h[x] += 1
        for x in range(matches[k, 2], matches[k, 2] + matches[k, 3]):
            count_r[x] += 1
    result = np.ones(r_size, dtype=np.bool_)
    for j in range(r_size):
        if starts[j + 1] - starts[j] == 1:
            k = starts[j]
            alone = True
            for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                alone = alone and count_h[x] == 1
            for x in range(matches[k, 2], matches[k, 2] + matches[k, 3]):
                alone = alone and count_r[x] == 1
            result[j] = not alone
    return result


@kernel
def _offer(key: np.ndarray, order: np.ndarray, candidate: int, kept: int, beam: int, matched: int, chunks: int, distance: int) -> int:
    """Put a candidate in its place among the best so far, behind its equals; returns how many there are then."""
    first = ((-matched) << 32) + chunks  # most words first, then fewest chunks
    key[candidate, 0] = first
    key[candidate, 1] = distance
    at = kept
    while at > 0:
        before = order[at - 1]
        if key[before, 0] < first or (key[before, 0] == first and key[before, 1] <= distance):
            break
        order[at] = before  # one place to spare: the last may fall out
        at -= 1
    if at == beam:
        return kept
    order[at] = candidate
    return min(kept + 1, beam)


@kernel
def _retrace(last: int, step_match: np.ndarray, step_before: np.ndarray) -> np.ndarray:
    """Matches of a path from its last step, first one first."""
    length = 0
    at = last
    while at >= 0:
        length += 1
        at = step_before[at]
    chosen = np.empty(length, dtype=np.int64)
    at = last
    while at >= 0:
        length -= 1
        chosen[length] = step_match[at]
        at = step_before[at]
    return chosen


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

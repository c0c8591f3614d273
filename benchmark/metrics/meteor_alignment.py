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

One departure: of two texts between which there are more than a million matches of single words, or 25 million pairs of words (5,000 each), the first
1,000 words of either are aligned, and the rest counts as words without a match; the run notes of how many reports that is so. A model that writes
"no no no ..." for a megabyte makes 10^11 matches with a reference that does so too, which no memory holds, the jar's neither. No report of a
radiologist comes near.
"""

from __future__ import annotations

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.paraphrases import longer_phrase

BEAM = 40
MOST_MATCHES, MOST_PAIRS = 1_000_000, 25_000_000
"""matches of single words, and pairs of words, that are looked at between two texts"""
LONGEST = 1000
"""words of a text that are aligned where there would be more; the longest reports of MIMIC-CXR have some hundreds"""
STAGES = 4
EXACT, STEM, SYNONYM, PARAPHRASE = range(STAGES)

JAR_COLUMNS = 4 + 4 * STAGES + 3
"""Words of hypothesis and reference, function words of each; for each stage matched content words of both and function words of both; chunks, and
matched words of both. The order is that of the jar's ``SCORE`` lines."""
COLUMNS = JAR_COLUMNS + 1
"""and 1 where the first ``LONGEST`` words of either alone were aligned"""

POOL = 160
"""candidates of a place that are looked at together"""
MATCHED, CHUNKS, DISTANCE, OPEN_H, OPEN_R, FREE_FROM, STEP, FIRST_BLOCK = range(8)
"""columns of a path: see ``_search``"""
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
    returns         (n, 24) int64, see ``COLUMNS``
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
        if len(h) * len(r) > MOST_MATCHES and _is_too_much(h, r, stems, synonym_starts, synonym_words):
            h = h[:LONGEST]
            r = r[:LONGEST]
            row[23] = 1
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
def _is_too_much(h: np.ndarray, r: np.ndarray, stems: np.ndarray, synonym_starts: np.ndarray, synonym_words: np.ndarray) -> bool:
    """True if no search can weigh all that is alike in two long texts."""
    if len(h) * len(r) > MOST_PAIRS:
        return True
    is_synonym = np.zeros(len(stems), dtype=np.bool_)
    matches = 0
    for word in r:
        synonyms = synonym_words[synonym_starts[word] : synonym_starts[word + 1]]
        is_synonym[synonyms] = True
        for other in h:
            matches += stems[other] == stems[word] or is_synonym[other]
        is_synonym[synonyms] = False
    return matches > MOST_MATCHES


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

    A path is a row of numbers, so that to follow it is to copy a row: words matched, chunks left, distance, where its open chunk would go on in both
    texts (-1: none is open), where the reference is free again, the step that made it, and the hypothesis words that it used, as bits.
    """
    has_rival = _rivals(matches, starts, h_size, r_size)
    width = FIRST_BLOCK + (h_size + 63) // 64
    # Twice the beam: the paths as they are lie in one half, those that follow are written into the other.
    state = np.zeros((2 * beam, width), dtype=np.int64)
    state[0, OPEN_H] = state[0, OPEN_R] = state[0, STEP] = -1
    most = 0
    for j in range(r_size):
        most = max(most, starts[j + 1] - starts[j])
    rank = np.empty(beam * (most + 1), dtype=np.int64)  # of every candidate: what it is sorted by, parent and match
    length = np.empty(beam * (most + 1), dtype=np.int64)
    parent = np.empty(beam * (most + 1), dtype=np.int64)
    taken = np.empty(beam * (most + 1), dtype=np.int64)
    order = np.empty(beam + 1, dtype=np.int64)
    pool = np.empty(POOL, dtype=np.int64)
    step_match = np.empty(r_size * beam, dtype=np.int64)  # every step: the match it took and the step before
    step_before = np.empty(r_size * beam, dtype=np.int64)
    weight = np.int64(r_size + 1)  # of a matched word beside a chunk: there are never so many chunks
    steps = 0
    paths = 1
    old, new = 0, beam
    for j in range(r_size):
        if starts[j] == starts[j + 1]:  # nothing starts here: all paths leave their chunk, but those inside a match
            changed = False
            for p in range(old, old + paths):
                if state[p, FREE_FROM] <= j and state[p, OPEN_H] >= 0:
                    state[p, CHUNKS] += 1
                    state[p, OPEN_H] = -1
                    changed = True
            if not changed:
                continue
        candidates = 0
        for p in range(old, old + paths):
            path = state[p]
            stays = path[CHUNKS] - path[MATCHED] * weight
            if path[FREE_FROM] > j:
                rank[candidates] = stays
                length[candidates] = path[DISTANCE]
                parent[candidates] = p
                taken[candidates] = INSIDE
                candidates += 1
                continue
            is_open = path[OPEN_H] >= 0
            goes_on = path[OPEN_H] if path[OPEN_R] == j else -1
            distance = path[DISTANCE]
            for k in range(starts[j], starts[j + 1]):
                h_start = matches[k, 0]
                fits = True
                for x in range(h_start, h_start + matches[k, 1]):
                    fits = fits and (path[FIRST_BLOCK + (x >> 6)] >> (x & 63)) & 1 == 0
                rank[candidates] = stays - matches[k, 5] * weight + (is_open and goes_on != h_start)
                length[candidates] = distance
                parent[candidates] = p
                taken[candidates] = k
                candidates += fits  # else the next one takes its place
                distance += abs(h_start - j) * fits
            path[DISTANCE] = distance
            if has_rival[j]:
                rank[candidates] = stays + is_open
                length[candidates] = distance
                parent[candidates] = p
                taken[candidates] = NONE
                candidates += 1
        kept = _best(rank, length, candidates, beam, pool, order)
        for place in range(kept):
            candidate = order[place]
            before = state[parent[candidate]]
            path = state[new + place]
            for x in range(width):
                path[x] = before[x]
            k = taken[candidate]
            path[DISTANCE] = length[candidate]
            if k >= 0:
                path[MATCHED] += matches[k, 5]
                path[OPEN_H] = matches[k, 0] + matches[k, 1]
                path[OPEN_R] = path[FREE_FROM] = j + matches[k, 3]
                for x in range(matches[k, 0], matches[k, 0] + matches[k, 1]):
                    path[FIRST_BLOCK + (x >> 6)] |= np.int64(1) << (x & 63)
                step_match[steps] = k
                step_before[steps] = path[STEP]
                path[STEP] = steps
                steps += 1
            elif k == NONE:
                path[OPEN_H] = -1
            path[CHUNKS] = rank[candidate] + path[MATCHED] * weight
        old, new = new, old
        paths = kept
    best = old
    for p in range(old, old + paths):
        if state[p, OPEN_H] >= 0:
            state[p, CHUNKS] += 1
        is_better = state[p, MATCHED] > state[best, MATCHED]
        if state[p, MATCHED] == state[best, MATCHED]:
            is_better = (state[p, CHUNKS], state[p, DISTANCE]) < (state[best, CHUNKS], state[best, DISTANCE])
        if is_better:
            best = p
    return _retrace(state[best, STEP], step_match, step_before)


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
def _best(rank: np.ndarray, length: np.ndarray, candidates: int, beam: int, pool: np.ndarray, order: np.ndarray) -> int:
    """The first candidates by rank, then length, then place, into ``order``; returns how many.

    All three are packed into one number, and a candidate's place is the count of smaller numbers: more comparisons than sorting makes, but all alike,
    so that the processor makes many at once and never has to guess. Of many candidates a pool is filled, cut down to the beam, and filled again.
    """
    lowest = rank[0]
    shortest = length[0]
    highest = rank[0]
    longest = length[0]
    for candidate in range(candidates):
        lowest = min(lowest, rank[candidate])
        highest = max(highest, rank[candidate])
        shortest = min(shortest, length[candidate])
        longest = max(longest, length[candidate])
    lengths = longest - shortest + 1
    if float(highest - lowest + 1) * float(lengths) * float(candidates) > 2.0**62:
        return _best_by_insertion(rank, length, candidates, beam, order)
    filled = 0
    worst = np.int64(2**62)
    for candidate in range(candidates):
        number = ((rank[candidate] - lowest) * lengths + length[candidate] - shortest) * candidates + candidate
        if number < worst:
            if filled == POOL:
                filled = _cut(pool, filled, beam, order)
                worst = order[filled - 1]
                for place in range(filled):
                    pool[place] = order[place]
                if number >= worst:
                    continue
            pool[filled] = number
            filled += 1
    kept = _cut(pool, filled, beam, order)
    for place in range(kept):
        order[place] %= candidates
    return kept


@kernel
def _cut(pool: np.ndarray, filled: int, beam: int, order: np.ndarray) -> int:
    """The smallest numbers of a pool, in order; returns how many."""
    for one in range(filled):
        place = 0
        for other in range(filled):
            place += pool[other] < pool[one]
        if place < beam:
            order[place] = pool[one]
    return min(filled, beam)


@kernel
def _best_by_insertion(rank: np.ndarray, length: np.ndarray, candidates: int, beam: int, order: np.ndarray) -> int:
    """What ``_best`` does, for numbers too large to be packed: texts of ten thousand words and more."""
    kept = 0
    for candidate in range(candidates):
        at = kept
        while at > 0:
            before = order[at - 1]
            if rank[before] < rank[candidate] or (rank[before] == rank[candidate] and length[before] <= length[candidate]):
                break
            order[at] = before  # one place to spare: the last may fall out
            at -= 1
        if at < beam:
            order[at] = candidate
            kept = min(kept + 1, beam)
    return kept


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

"""Published names of tensors -> the network's, by rules that are tables: a pattern, and what stands in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from adapters.vision_language.stored import Stored, WrongWeights

Rule = tuple[str, str | tuple[str, ...] | None]
"""pattern, and what is put in its place; None = nobody looks at such a tensor; several names = it is cut into equal parts along its first axis"""


def renamed(stored: Mapping[str, Stored], rules: Sequence[Rule], who: str) -> dict[str, Stored]:
    """The same tensors under the names that all rules, one after the other, make of theirs. Raises ``WrongWeights`` if two get one name,
    or one cannot be cut."""
    compiled = [(re.compile(pattern), place) for pattern, place in rules]
    found: dict[str, Stored] = {}
    for old, one in stored.items():
        for new, part in _placed(old, one, compiled, who):
            if new in found:
                raise WrongWeights(f"{who}: two tensors of the file would become {new}, {old} is the second; take the file as it was published")
            found[new] = part
    return found


def _placed(name: str, one: Stored, rules: Sequence[tuple[re.Pattern[str], str | tuple[str, ...] | None]], who: str) -> list[tuple[str, Stored]]:
    for at, (pattern, place) in enumerate(rules):
        if not pattern.search(name):
            continue
        if place is None:
            return []
        if isinstance(place, str):
            name = pattern.sub(place, name)
            continue
        if not one.shape or one.shape[0] % len(place):
            raise WrongWeights(f"{who}: {name} is {one.shape}, and should be cut into {len(place)} equal parts; take the file as it was published")
        parts = [(pattern.sub(part, name), _part(one, number, len(place))) for number, part in enumerate(place)]
        return [found for new, part in parts for found in _placed(new, part, rules[at + 1 :], who)]
    return [(name, one)]


def _part(one: Stored, number: int, count: int) -> Stored:
    return Stored((one.shape[0] // count, *one.shape[1:]), lambda: one.read().chunk(count)[number])


# A Dinov2 as transformers wrote it before version 5 -> as it has it in memory now.
DINOV2_OLD: tuple[Rule, ...] = (
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
)

# What older programs kept beside a LLaMA's weights, and what follows from its sizes.
LLAMA_EXTRAS: tuple[Rule, ...] = ((r"\.rotary_emb\.inv_freq$", None),)

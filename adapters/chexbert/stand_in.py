"""What CheXbert could say of a report, as far as its classes go, without CheXbert: read by rules, told in its words.

python -m benchmark train clala --labels rules_as_chexbert --settings llcl_by_region=false ...

Table 2c of the paper sets labels with sides against CheXbert's, which have none. Where its weights are not to be had, this labeller has what its
classes take away and nothing else: one thing differs. A report is read by the rules (hedged and affirmed counts as there, D15, as uncertain does at
CheXbert); then a nodule or a mass is a Lung Lesion, and that is both of them; pleural thickening goes through Pleural Other, infiltration through
Lung Opacity (D14); emphysema, hernia and fibrosis it has no class for, and no lesion has a side. How well CheXbert reads, this does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.chexbert.observations import MAPPINGS
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Lesion, Lesions
from benchmark.vocabulary import LESIONS

VERSION = 1
_MAPPING = MAPPINGS["d14"]
_RANK = {("positive", "stated"): 0, ("positive", "hedged"): 1, ("negative", "stated"): 2, ("negative", "hedged"): 3}
"""of the lesions that share an observation, which one decides; not mentioned comes last"""


class RulesAsChexbert:
    """Labels reports by rules, with no more than CheXbert's classes can tell."""

    asks = False
    """no language model is asked"""

    def __init__(self) -> None:
        self.rules = RuleLabeller()

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        """14 lesions for each report, in order. Emphysema, hernia and fibrosis are always negative, and no lesion has a side."""
        return [squeezed(lesions) for lesions in self.rules.label(reports)]

    def signature(self) -> str:
        """Whose reading it is, which is not CheXbert's, and through which classes it went."""
        never = "+".join(name for name in LESIONS if name not in _MAPPING)
        return (
            f"rules_as_chexbert|stands_in_for:chexbert|read_by:({self.rules.signature()})|mapping:d14|sides:none|always_negative:{never}|v{VERSION}"
        )


def squeezed(lesions: Lesions) -> Lesions:
    """The same report after it went through CheXbert's classes and came back (D14)."""
    observed: dict[str, Lesion] = {}
    for lesion in lesions:
        if (observation := _MAPPING.get(lesion.name)) is not None:
            observed[observation] = min(observed.get(observation, lesion), lesion, key=_rank)
    return tuple(_from(observed, name) for name in LESIONS)


def _rank(lesion: Lesion) -> int:
    return _RANK.get((lesion.status, lesion.certainty), len(_RANK))


def _from(observed: Mapping[str, Lesion], name: str) -> Lesion:
    """The lesion of that name by what was observed."""
    if (observation := _MAPPING.get(name)) is None:
        return Lesion(name, "negative", certainty="not mentioned")
    said = observed[observation]
    return Lesion(name, said.status, "not mentioned", said.certainty, said.rationale)

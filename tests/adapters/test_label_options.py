"""Settings of whoever labels, on their way to the trainers that learn from labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.records import UserError
from benchmark.registry import BadOption
from benchmark.training import train


@pytest.mark.parametrize("name", ["clala", "classifier"])
def test_a_setting_of_whoever_labels_reaches_it_in_training(tmp_path: Path, name: str) -> None:
    """Labels that are learnt from and labels that are measured are of one convention, or nobody knows which."""
    with pytest.raises(UserError, match="the labeller by rules has no hedges='none'"):
        train(name, "phantom:small", tmp_path / "out", {"preset": "demo"}, {"rules.hedges": "none"}, seed=1, device="cpu", command="")


def test_a_training_without_labels_refuses_a_setting_of_a_labeller(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"the setting 'rules\.hedges' is for nothing"):
        train("detector", "phantom:small", tmp_path / "out", {"preset": "demo"}, {"rules.hedges": "d15"}, seed=1, device="cpu", command="")

"""Runs logged to experiment trackers, through the trackers' own packages: MLflow, Weights & Biases (extra ``trackers``).

Nothing is sent that was not asked for: both write to this machine unless an address or ``online`` is given, and their usage statistics, error
reports and looks at the machine are off.
"""

from __future__ import annotations

from benchmark.trackers.what_is_logged import LoggedRun, NoTracker, RunMayNotTravel, TrackerRefused

__all__ = ["LoggedRun", "NoTracker", "RunMayNotTravel", "TrackerRefused"]

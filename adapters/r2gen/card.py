"""What doctor and the tables say of R2Gen and of TSGET: what they need, and what their numbers must be read with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.needed import demo_line, missing_packages, packages_line
from adapters.protocol import OURS, learnt_by_command, learnt_from
from benchmark.records import ProtocolCard, UserError

if TYPE_CHECKING:
    from adapters.r2gen.writing import Writer

PACKAGES = ("torch", "timm", "safetensors", "numpy", "PIL")
CHEN_TEXT = (
    "It writes lower-case words without commas, and a space before each full stop: metrics that look at case or signs see that, not the findings."
)
PHANTOMS = "Trained on phantoms alone, at demo size: it says nothing about patients, nor about the published weights."
ONE_VIEW = "Of its two images a case with one has none: it is then read from the one alone, which the authors' program does not do."


def check_packages(name: str) -> None:
    """Raise UserError with the remedy unless what the network stands on is installed."""
    if lacking := missing_packages(PACKAGES):
        raise UserError(f"{name} needs {', '.join(lacking)}, not installed here; install the extra: pip install 'clala-benchmark[models]'")


def needs(name: str, demo: Path) -> list[tuple[bool, str]]:
    """The first lines for ``doctor``: packages and demo weights."""
    has_demo, said = demo_line(name, demo)
    return [packages_line(PACKAGES), (has_demo, f"{said}; others: {name}:FOLDER_OR_FILE")]


def card_of(writer: Writer, is_published: bool, licence: str, source: str) -> ProtocolCard:
    """The card of loaded weights. ``source``: where those come from that somebody else trained."""
    manners, about = writer.loaded.manners, writer.loaded.about
    learnt = learnt_by_command(about)
    if is_published and not about:
        learnt = learnt_from(manners.text)
    remarks = [CHEN_TEXT, f"Cuts every report at {writer.steps} tokens; it learnt from reports cut at {manners.longest}."]
    if manners.views > 1:
        remarks.append(ONE_VIEW)
    if learnt.training.startswith("phantom"):
        remarks.append(PHANTOMS)
    if "eyes" in about:
        remarks.append(about["eyes"])
    return ProtocolCard(
        target="findings",
        inputs=("frontal image", "other views") if manners.views > 1 else ("frontal image",),
        decoding=writer.decoding(),
        training=learnt.training,
        leaks=learnt.leaks,
        licence=OURS if about else licence,
        weights="trained here" if about else source,
        remarks=tuple(remarks),
    )

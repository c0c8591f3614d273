"""What exactly was run: commit, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import benchmark
from benchmark.places import HERE

# Packages whose version can change a number.
PACKAGES = (
    *("numpy", "scipy", "numba", "pandas", "pyarrow", "pillow", "pydicom", "pluggy"),
    *("torch", "torchvision", "timm", "transformers", "tokenizers", "safetensors", "accelerate", "ultralytics"),
    *("litellm", "openai", "radgraph", "ray", "nltk", "rouge-score", "pycocoevalcap"),
)


def provenance() -> dict[str, Any]:
    """Commit and whether the tree was dirty, versions of packages, Python, machine. None where a thing cannot be known."""
    return {
        "benchmark": benchmark.__version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if (status := git("status", "--porcelain", "--untracked-files=no")) is None else bool(status),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := version_of(name)) is not None},
        "gpu": gpu(),
    }


def version_of(package: str) -> str | None:
    """The installed version, None if it is not installed. Does not import the package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git(*words: str) -> str | None:
    """What git says of the checkout that this code lies in; None where there is no git, or no checkout."""
    if not (HERE.parent / ".git").exists():  # installed from a wheel: a repository around it would be somebody else's
        return None
    try:
        answer = subprocess.run(["git", "-C", str(HERE.parent), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def processor() -> str:
    """The processor's name as the system states it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpu() -> str | None:
    """The name of the GPU that torch sees, if torch was used in this process."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())

"""What is installed, which weights and data are there, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark import registry
from benchmark.llm.data_use import DataUse, MayNotTravel, approved_hosts
from benchmark.llm.models import SHOWS_IMAGES, TASKS, LanguageModels, check_key, check_use
from benchmark.llm.routes import NoEndpoint, route_of
from benchmark.places import cache_folder
from benchmark.provenance import version_of
from benchmark.records import UserError

# extra -> (its packages, what it is for)
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "models": (("torch", "torchvision", "timm", "transformers", "safetensors", "accelerate"), "run and train CLALA-Net and the other networks"),
    "detector": (("ultralytics",), "YOLOv10 region detector; AGPL-3.0, imported only when it is used"),
    "dicom": (("pylibjpeg",), "DICOM files whose pixels are compressed"),
    "llm": (("aiohttp", "litellm", "openai"), "labeller, judge and aggregator by a language model"),
    "onnx": (("onnx", "onnxruntime"), "RadGraph's networks on a CPU, in half of the time"),
    "quantised": (("bitsandbytes",), "vision-language models in 8 or 4 bits"),
    "radgraph": (("radgraph",), "the published RadGraph package as a back end"),
    "ray": (("ray",), "generation and scoring on many machines"),
    "trackers": (("mlflow-skinny", "wandb"), "runs logged to MLflow or Weights & Biases"),
    "viewer": (("matplotlib",), "figures"),
}
# package -> others that bring the same module
SAME_MODULE = {"mlflow-skinny": ("mlflow",)}


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    group: str
    """core | extras | device | models | metrics | datasets | labellers | annotators | trainers | language models | cache"""
    name: str
    state: Literal["ok", "missing", "note"]
    what: str
    """what was found, or what is missing and how to get it"""


def examine() -> list[Finding]:
    """Look at the machine; nothing is downloaded, no model is loaded."""
    return [*_core(), *_extras(), *_device(), *examine_plugins(), *_language_models(), *_cache()]


def _core() -> list[Finding]:
    found = [Finding("core", "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for package in ("numpy", "scipy", "numba", "pandas", "pyarrow", "pillow", "pydicom", "pluggy", "typer", "rich"):
        version = version_of(package)
        found.append(Finding("core", package, "ok" if version else "missing", version or "pip install clala-benchmark"))
    return found


def _extras() -> list[Finding]:
    found = []
    for extra, (packages, purpose) in EXTRAS.items():
        versions = {package: installed(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        if missing:
            what = f"{purpose}; {', '.join(missing)} not installed: pip install 'clala-benchmark[{extra}]'"
            found.append(Finding("extras", extra, "missing", what))
        else:
            said = ", ".join(f"{package} {version}" for package, version in versions.items())
            found.append(Finding("extras", extra, "ok", f"{purpose}; {said}"))
    return found


def installed(package: str) -> str | None:
    """Its version, or that of another distribution with the same module: who has ``mlflow`` has what ``mlflow-skinny`` brings."""
    return next((version for name in (package, *SAME_MODULE.get(package, ())) if (version := version_of(name))), None)


def _device() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [Finding("device", "cpu", "ok", f"{cores} cores")]
    if importlib.util.find_spec("torch") is None:
        return [*found, Finding("device", "gpu", "note", "unknown: torch is not installed")]
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return [*found, Finding("device", "gpu", "ok", f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")]
    return [*found, Finding("device", "gpu", "note", "none that torch can use; everything runs on the CPU, large models slowly")]


def examine_plugins() -> list[Finding]:
    """What every registered thing says of itself, or why it cannot be had."""
    known = registry.load()
    found = [Finding("models", plugin, "missing", f"plugin cannot be loaded: {why}") for plugin, why in known.broken.items()]
    for kind in registry.KINDS:
        for name, entry in known.entries[kind].items():
            try:
                thing = registry.resolve(entry.factory, f"{kind[:-1]} {name!r}")
            except UserError as error:
                found.append(Finding(kind, name, "missing", str(error)))
                continue
            # A model, dataset or labeller may say more of itself: needs(), a list of (is it there, what it is and how to get it).
            try:
                needs = list(getattr(thing, "needs", list)())
            except Exception as error:  # a guest that cannot say what it lacks must not keep the others from saying it
                needs = [(False, f"cannot say what it needs: {type(error).__name__}: {' '.join(str(error).split())[:200]}")]
            found += [Finding(kind, name, "ok" if is_there else "missing", what) for is_there, what in needs]
            if not needs:
                found.append(Finding(kind, name, "ok", entry.summary))
    return found


def _language_models() -> list[Finding]:
    """What each task would ask, where it is served, and whether there is a key; nothing is sent."""
    found = []
    llm = LanguageModels({}, DataUse(False, ""))
    try:
        hosts = approved_hosts()
        endpoints = {task: llm.endpoint(task) for task in TASKS if task != SHOWS_IMAGES}
    except NoEndpoint:
        what = "none named in benchmark.toml under [llm]; a command names one with --llm"
        return [Finding("language models", "model", "note", what)]
    except UserError as error:
        return [Finding("language models", "benchmark.toml", "missing", str(error))]
    for task, endpoint in endpoints.items():
        try:
            route = route_of(endpoint)
            check_key(route)
        except UserError as error:
            found.append(Finding("language models", task, "missing", str(error)))
            continue
        where = "on this machine" if route.is_here else f"at {route.host or route.provider}"
        try:
            check_use(DataUse(True, "", hosts), route)
            may = "any text"
        except MayNotTravel:
            may = "public text alone, until [data_use] approves it"
        key = f"; key in {route.key_env}" if route.key else ""
        found.append(Finding("language models", task, "ok", f"{endpoint.model}, {where}: {may}{key}"))
    return found


def _cache() -> list[Finding]:
    folder = cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    return [Finding("cache", "folder", "ok", f"{_home(folder)}: {size / 2**20:,.0f} MiB used, {free / 2**30:,.0f} GiB free on the disk")]


def _home(folder: Path) -> str:
    try:
        return f"~/{folder.relative_to(Path.home())}"
    except ValueError:
        return str(folder)

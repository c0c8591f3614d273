"""A run in Weights & Biases: a run of the tracker for each model, under an id that the same model of the same run has every time.

Offline, which is what is done unless ``online`` is said, it is a folder that ``wandb sync`` sends when its owner wants that.
https://docs.wandb.ai/support/run_wandb_offline describes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from benchmark.llm.data_use import host_of, is_this_machine
from benchmark.loaded_run import LoadedRun
from benchmark.runs import folder_name
from benchmark.screen import say
from benchmark.trackers.what_is_logged import (
    LoggedRun,
    NoTracker,
    TrackerRefused,
    WhatIsLogged,
    check_may_go,
    draw_pictures,
    environment,
    keep_from_commits,
    what_is_logged,
    without_logins,
)

SERVER = "https://api.wandb.ai"
"""where runs go unless ``WANDB_BASE_URL`` names another server"""
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "DO_NOT_TRACK": "true"}
"""no error reports to its makers, nothing of the terminal"""
PATIENT = {"WANDB__SERVICE_WAIT": "300"}
"""seconds for its own process to begin, where the user says nothing: its 30 are too few on a machine that is busy or pages"""
PATIENT_OFFLINE = {**PATIENT, "WANDB_INIT_TIMEOUT": "300"}
"""and to answer; online, where what does not answer may be a server that is not there, its own 90 stand"""
NO_LOOK_AT_THE_MACHINE: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "save_code": False,
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "host": "not said",
    "username": "not said",
    "program": "clala-benchmark",
}
"""name of the machine and of the user, its load, its code and its packages are nobody's business; ``run.json`` has the versions"""


def log_run(
    run: LoadedRun,
    project: str,
    out: Path,
    *,
    entity: str = "",
    mode: Literal["offline", "online"] = "offline",
    models: Sequence[str] = (),
    with_text: bool = False,
) -> list[LoggedRun]:
    """Log each model, and say where it lies; offline one that is in ``out`` already is left as it is, online it is written over.

    Whoever stops it (Ctrl-C, a scheduler) is answered at once: its own process, which would try for ever to send the rest, is ended first.

    Raises ``NoTracker``, ``TrackerRefused``, ``RunMayNotTravel``, ``UnknownName``, ``EditedRun``.
    """
    logged = what_is_logged(run, models, with_text=with_text)
    server = os.environ.get("WANDB_BASE_URL") or SERVER
    if (with_text or mode == "online") and not is_this_machine(host_of(server)):
        # With texts offline too: such a folder is written to be sent, by a command that asks nothing.
        check_may_go(run, host_of(server) or server, f"Weights & Biases at {host_of(server) or server}")
    out = out.resolve()  # the package's own process, which writes, may have begun in another folder
    kept = out / "wandb"
    if with_text:
        keep_from_commits(run, kept)
    waits = {name: os.environ.get(name, seconds) for name, seconds in (PATIENT_OFFLINE if mode == "offline" else PATIENT).items()}
    with environment({**QUIET, **waits, "WANDB_MODE": mode, "WANDB_DATA_DIR": str(kept / "data"), "WANDB_CACHE_DIR": str(kept / "cache")}):
        try:
            import wandb
        except ImportError as error:
            raise NoTracker(
                f"a run was to be logged to Weights & Biases, which cannot be imported ({error.name}); pip install 'clala-benchmark[trackers]'"
            ) from error
        try:
            with tempfile.TemporaryDirectory() as folder:
                pictures = draw_pictures(run, Path(folder))
                if mode == "online":
                    say(f"waiting for {host_of(server) or 'the server'}, which may take a minute or two", err=True)
                return [_log(wandb, one, run, project, entity, mode, server, out, pictures) for one in logged]
        except Exception as error:
            if not _is_of_the_tracker(error):
                raise
            asked = f"{run.path} is to be logged to Weights & Biases ({mode})"
            said = without_logins(" ".join(str(error).split()))[:400]
            if isinstance(error, wandb.errors.Error):
                raise TrackerRefused(f"{asked}, and it said: {said}") from error
            with contextlib.suppress(Exception, SystemExit):  # else it says farewell at exit to a process that is gone, as a traceback
                wandb.teardown()
            raise TrackerRefused(
                f"{asked}, and its own process, which writes, was lost or did not answer ({type(error).__name__}: {said}); "
                "the same command logs anew what was not written to its end"
            ) from error
        except BaseException:
            _end_its_process(wandb)
            raise


def _end_its_process(wandb: Any) -> None:
    """Without it a command that was stopped would wait at exit for a process that tries to reach a server, and killed would leave it behind.

    The package has no word for that: its own ``teardown`` lets everything be sent first. Of a version that keeps its process elsewhere nothing is
    ended, and it is waited for.
    """
    with contextlib.suppress(Exception, SystemExit):  # it would leave by the status of the process that was killed
        wandb.setup().ensure_service()._proc._process.kill()
        wandb.teardown()


def _is_of_the_tracker(error: Exception) -> bool:
    """Its process is spoken to through a socket, and not every error of that is one of its ``errors.Error``."""
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.partition(".")[0] == "wandb"


def _log(
    wandb: Any, one: WhatIsLogged, run: LoadedRun, project: str, entity: str, mode: str, server: str, out: Path, pictures: Sequence[Path]
) -> LoggedRun:
    identity = one.id[:16]
    if mode == "offline":
        for there in sorted((out / "wandb").glob(f"offline-run-*-{identity}")):
            if (there / DONE).exists():
                return LoggedRun(one.model, str(there), is_new=False, left_out=one.left_out)
    out.mkdir(parents=True, exist_ok=True)
    logged = wandb.init(
        project=project,
        entity=entity or None,
        id=identity,
        resume="allow" if mode == "online" else None,
        name=one.title,
        notes=one.note or None,
        tags=["clala-benchmark", one.parameters["dataset"][:64]],
        config={**one.parameters, **one.tags},
        dir=str(out),
        mode=mode,
        reinit="finish_previous",
        settings=wandb.Settings(**NO_LOOK_AT_THE_MACHINE, base_url=server),
    )
    where = Path(logged.dir).parent
    url = logged.url if mode == "online" else ""
    try:
        logged.summary.update(dict(one.numbers))
        for kind, files in (("tables", one.tables), ("figures", pictures), ("texts", one.texts)):
            if files:
                artifact = wandb.Artifact(f"{folder_name(one.name)}-{identity}-{kind}", kind)
                for file in files:
                    artifact.add_file(str(file))
                logged.log_artifact(artifact)
    except Exception:
        logged.finish()
        raise
    logged.finish()  # and not for whoever stops the command: it waits for a server
    if mode == "offline":
        if not any(file.stat().st_size for file in where.glob("*.wandb")):
            raise TrackerRefused(f"{run.path} is to be logged to Weights & Biases, and it wrote nothing to {where}; {where / 'logs'} says why")
        (where / DONE).touch()
    # Its own log repeats settings and places, and nobody reads it after a success.
    shutil.rmtree(where / "logs", ignore_errors=True)
    return LoggedRun(one.model, url or str(where), is_new=True, left_out=one.left_out)


DONE = "clala-logged"
"""in the folder of an offline run that was written to its end"""

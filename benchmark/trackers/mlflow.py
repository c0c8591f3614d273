"""A run in MLflow: a run of the tracker for each model, found again by its tag.

A store is a folder, a database or a server: ``mlruns``, ``sqlite:///mlflow.db``, ``http://127.0.0.1:5000``.
https://mlflow.org/docs/latest/ml/tracking/ describes them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmark.llm.data_use import host_of, is_this_machine
from benchmark.loaded_run import LoadedRun
from benchmark.records import UserError
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

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""no usage statistics; a server that does not answer is given up within a minute, not within many"""
FOLDERS = {"MLFLOW_ALLOW_FILE_STORE": "true"}
"""said where a folder is the store: whoever names one has decided; MLflow 3 else sends everybody to a database, which its small package has not"""
WEB = ("http", "https")
HERE = ("", "file", "sqlite")
"""kinds of places on this machine, unless they name a share of another"""
DATABRICKS = "databricks"
"""MLflow's word for the server that its own configuration names; no folder"""
_PASSWORD = re.compile(r"//[^/\s]*:[^/\s]*@|https?://[^/\s]*@|[?&;][^=&]*(?:pass|pwd|token|secret|key)[^=&]*=", re.IGNORECASE)
THROUGH_SERVER = "mlflow-artifacts"
"""files go to the server that keeps the numbers"""


class PasswordInAddress(UserError):
    """The address of a store holds a password, which would stand in the shell's history and in MLflow's messages."""


def log_run(run: LoadedRun, uri: str, experiment: str, *, models: Sequence[str] = (), with_text: bool = False) -> list[LoggedRun]:
    """Log each model, and say where it lies. One that is there already is left as it is; one that was begun and not finished is made anew.

    Raises ``NoTracker``, ``PasswordInAddress``, ``TrackerRefused``, ``RunMayNotTravel``, ``UnknownName``, ``EditedRun``.
    """
    if _PASSWORD.search(uri):
        raise PasswordInAddress(
            f"{run.path} was to be logged to a store whose address holds a name and password, or a key; nothing was logged. Leave them out of --uri "
            "and put them into the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (of PostgreSQL the password into PGPASSWORD)"
        )
    logged = what_is_logged(run, models, with_text=with_text)
    is_folder = urlsplit(uri).scheme in ("", "file") and uri != DATABRICKS
    store = Path(uri).resolve().as_uri() if "://" not in uri and is_folder and not uri.startswith("file:") else uri
    check_may_go(run, host_away(store), store)
    if with_text and is_folder:
        keep_from_commits(run, Path(unquote(urlsplit(store).path)))
    with environment({**QUIET, **(FOLDERS if is_folder else {})}):
        client_of, refusal = _package()
        try:
            client = client_of(tracking_uri=store)
            found = client.get_experiment_by_name(experiment)
            found = found or client.get_experiment(client.create_experiment(experiment))
            # Tables may go elsewhere than numbers: a server here, its files in a store of the cloud.
            check_may_go(run, host_away(found.artifact_location), found.artifact_location)
            with tempfile.TemporaryDirectory() as folder:
                pictures = draw_pictures(run, Path(folder))
                return [_log(client, found.experiment_id, one, pictures, run) for one in logged]
        except ImportError as error:
            raise TrackerRefused(
                f"{uri} is to be written by MLflow, and the package {error.name or error} that it needs for it is not installed; "
                f"pip install {error.name or 'mlflow'}, or name a folder: --uri mlruns"
            ) from error
        except refusal as error:
            said = without_logins(" ".join(str(error).split()))
            if uri.startswith(("sqlite", "postgresql", "mysql")) and "unsupported URI" in said:
                said = "a database needs packages that are not installed; pip install sqlalchemy alembic, or name a folder: --uri mlruns"
            raise TrackerRefused(f"{run.path} is to be logged to MLflow at {uri}, and it said: {said[:400]}") from error


def host_away(place: str) -> str:
    """The host that a store or a folder of artifacts is on; empty if it is this machine, or behind the server that was asked for.

    Of a web address its host says it. A folder or a database file is here, unless it begins as a share of another machine does. Whatever else MLflow
    knows (``databricks://localhost``, ``s3://localhost``) is elsewhere, whatever stands where a host would.
    """
    place = place.replace("\\", "/")
    parts = urlsplit(place)
    if parts.scheme in WEB:
        host = host_of(place) or parts.scheme
        return "" if is_this_machine(host) else host
    if place == DATABRICKS:
        return DATABRICKS
    if parts.scheme == THROUGH_SERVER and not parts.netloc:
        return ""
    if parts.scheme in HERE or len(parts.scheme) == 1:  # one letter is a drive
        # Of sqlite:////srv/runs.db the path is /srv/runs.db.
        path = parts.path.removeprefix("/") if parts.scheme == "sqlite" else parts.path
        share = path.lstrip("/").partition("/")[0] if path.startswith("//") else ""
        host = share or parts.netloc
        return "" if is_this_machine(host) else host
    host = host_of(place)
    return parts.scheme if not host or is_this_machine(host) else host


def _package() -> tuple[Any, type[Exception]]:
    """MLflow's client and its exception. Raises ``NoTracker``."""
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise NoTracker(
            f"a run was to be logged to MLflow, which cannot be imported ({error.name}); pip install 'clala-benchmark[trackers]'"
        ) from error
    return MlflowClient, MlflowException


def _log(client: Any, experiment_id: str, one: WhatIsLogged, pictures: Sequence[Path], run: LoadedRun) -> LoggedRun:
    from mlflow.entities import Metric, Param

    for there in client.search_runs([experiment_id], f"tags.`clala.id` = '{one.id}'"):
        if there.info.status == "FINISHED":
            if one.texts and there.data.tags.get("clala.text") != "yes":
                _add_texts(client, there.info, one, run)
                return LoggedRun(one.model, there.info.run_id, is_new=True, left_out=one.left_out)
            return LoggedRun(one.model, there.info.run_id, is_new=False, left_out=one.left_out)
        client.delete_run(there.info.run_id)  # half of a run that was killed
    start = int(one.started.timestamp() * 1000)
    end = start + int(one.seconds * 1000)
    tags = {**one.tags, **({"mlflow.note.content": one.note} if one.note else {})}
    made = client.create_run(experiment_id, start_time=start, tags=tags, run_name=one.title)
    run_id = made.info.run_id
    client.log_batch(run_id, params=[Param(name, value) for name, value in one.parameters.items()])
    numbers = [Metric(name, value, end, 0) for name, value in one.numbers.items()]
    for place in range(0, len(numbers), 500):
        client.log_batch(run_id, metrics=numbers[place : place + 500])
    for file in one.tables:
        client.log_artifact(run_id, str(file), "tables")
    for file in pictures:
        client.log_artifact(run_id, str(file), "figures")
    if one.texts:
        _add_texts(client, made.info, one, run)
    client.set_terminated(run_id, "FINISHED", end)
    return LoggedRun(one.model, run_id, is_new=True, left_out=one.left_out)


def _add_texts(client: Any, about: Any, one: WhatIsLogged, run: LoadedRun) -> None:
    check_may_go(run, host_away(about.artifact_uri), about.artifact_uri)
    if urlsplit(about.artifact_uri).scheme in ("", "file"):
        keep_from_commits(run, Path(unquote(urlsplit(about.artifact_uri).path), "texts"))
    for file in one.texts:
        client.log_artifact(about.run_id, str(file), "texts")
    client.set_tag(about.run_id, "clala.text", "yes")

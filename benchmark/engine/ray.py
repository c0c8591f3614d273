"""Work on a cluster of Ray's (https://docs.ray.io): actors that hold a model each, tasks that measure, retries of what is lost.

Without an address Ray is started on this machine, on the loopback interface alone, and ends with the command. Its dashboard and its usage
statistics are off. Secrets in the environment (a name with KEY, TOKEN, SECRET, PASSWORD) are not handed to what is started here; a cluster that runs
already has its own environment, and gets none of ours.

Every machine of a cluster needs this package in one version, and the data under one path: what travels are paths, never images.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.engine.blocks import Done, Event, Held, Learnt, Lost, Placed, Ready, Silent, Wrote, raised
from benchmark.engine.local import cores
from benchmark.engine.short_folder import short_folder
from benchmark.engine.signals import ended_in_order, held_back
from benchmark.engine.tasks import TASK_LOSSES, Gave, Lacked, TaskLost, Threw, carried_out
from benchmark.provenance import PACKAGES, version_of
from benchmark.records import Case, Report, UserError
from benchmark.registry import MissingPackage
from benchmark.screen import say

if TYPE_CHECKING:
    from benchmark.engine import Placement

T = TypeVar("T")

ANSWER_SECONDS = 10.0  # for an address to take a connection
JOIN_SECONDS = 60.0  # for what answers there to turn out to be a cluster of ours
PATIENCE_SECONDS = 30.0  # for a worker to come, before it is said what is waited for
GRACE_SECONDS = 5.0  # beyond its patience, for a worker to notice itself that its model hangs: it then hands over what was written before
FLUSH_SECONDS = 1.0  # a worker hands over what it has written about this often; each hand-over costs about a millisecond
STORE = "CLALA_BENCHMARK_RAY_STORE_MB"
STORE_MB = 200  # reports of a run are some tens of MB, and images never travel
LEAST_STORE_MB = 75  # Ray's own limit
LOOK_SECONDS = 0.5  # between looks at whether somebody wants the command to end: signals wait while Ray is asked
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
NEEDED = ("HF_TOKEN", "TOKENIZERS_PARALLELISM")  # weights behind a gate are fetched where the model is made


class NoCluster(UserError):
    """Nobody, or something else than a cluster of ours, is at the address."""


class OtherVersions(UserError):
    """A machine of the cluster has another Python, or other packages, than this one."""


class NoRoom(UserError):
    """No machine of the cluster has what a model was asked to have."""


@contextmanager
def connected(placement: Placement, workers: int) -> Iterator[Cluster]:
    """A cluster, one that runs or one for this command alone. Raises ``NoCluster``, ``OtherVersions``, ``NoRoom``, ``NoShortFolder``,
    ``MissingPackage``.
    """
    store_bytes = _store_bytes()
    ray = _imported(is_started_here=not placement.address)
    # Logs of its processes, and what did not fit into memory, may hold text of patients: in a folder of the user's own, and gone at the end.
    own = nullcontext() if placement.address else short_folder()
    with ended_in_order(), own as folder:
        try:
            if folder is None:
                _join(ray, placement.address)
            else:
                _start(ray, workers, folder, store_bytes)
            cluster = Cluster(ray, placement, workers)
            cluster.check_versions()
            yield cluster
        finally:
            with held_back():
                ray.shutdown()


class Cluster:
    """Runs work on a cluster that is connected."""

    def __init__(self, ray: Any, placement: Placement, workers: int) -> None:
        """``workers`` at most, 0 = as many as there is room for. Raises ``NoRoom``."""
        self._ray, self._placement, self._asked = ray, placement, workers
        self._lost, self._at_once = 0, 0
        self._placed: list[Placed] = []
        self.gpus_per_model = self._gpus()

    @property
    def takes_small_pieces(self) -> bool:
        """A task measures one model: there may be many machines."""
        return True

    @property
    def workers(self) -> int:
        """At most so many at a time: as asked, or one per CPU of the cluster."""
        return self._asked or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def each(
        self,
        function: Callable[..., T],
        tasks: Sequence[tuple[Any, ...]],
        *,
        is_large: bool,
        on_device: Sequence[bool],
        shared: tuple[Any, ...],
        names: Sequence[str] = (),
    ) -> Iterator[tuple[int, T]]:
        """(index of the task, its result), as they are done. Raises ``TaskLost``, ``NoRoom``, and what a task raises."""
        ray = self._ray
        names = names or [f"task {index + 1} of {len(tasks)}" for index in range(len(tasks))]
        with held_back():
            run = ray.remote(max_retries=0)(_run)
            held = [ray.put(shared)]  # in a list it stays a reference: each process fetches it once, however many tasks it does
        waiting, running, losses = list(range(len(tasks)))[::-1], dict[Any, int](), dict[int, int]()
        failed: Exception | None = None
        try:
            while (waiting and failed is None) or running:
                while waiting and failed is None and len(running) < self.workers:
                    index = waiting.pop()
                    task = run.options(num_cpus=1, num_gpus=self.gpus_per_model if on_device[index] else 0)
                    with held_back():
                        running[task.remote(function, tasks[index], held, str(Path.cwd()))] = index
                self._at_once = max(self._at_once, len(running))
                gpus = max(self.gpus_per_model if on_device[index] else 0.0 for index in running.values())
                done = self._one_of(list(running), names[min(running.values())], gpus)
                index = running.pop(done)
                match self._outcome(done):
                    case Gave(result):
                        yield index, result
                    case Threw() as threw:
                        failed = failed or threw.with_cause()
                    case Lost(why):
                        self._lost += 1
                        if failed is not None:  # nothing more is begun, so it is not done again either
                            continue
                        losses[index] = losses.get(index, 0) + 1
                        if losses[index] <= TASK_LOSSES:
                            say(f"{names[index]}: its worker was lost ({why}); it is done again", err=True)
                            waiting.append(index)
                            continue
                        failed = TaskLost(
                            f"{names[index]}: {losses[index]} workers were given it, and all were lost, the last: {why}; what was done is kept; run "
                            "the same command again with more memory for the cluster, without this, or with --engine local"
                        )
        finally:
            with held_back():
                for left in running:
                    ray.cancel(left, force=True)
        if failed is not None:
            raise failed

    def _one_of(self, running: list[Any], name: str, gpus: float) -> Any:
        """The first that is done of what runs. Raises ``NoRoom`` if nothing can."""
        looked = monotonic()
        while True:
            with held_back():
                ready, _ = self._ray.wait(running, num_returns=1, timeout=LOOK_SECONDS)
            if ready:
                return ready[0]
            if monotonic() - looked > PATIENCE_SECONDS:
                check_room(self._ray, name, gpus)
                looked = monotonic()

    def _outcome(self, done: Any) -> Gave | Threw | Lost:
        """What became of a task."""
        try:
            with held_back():
                outcome: Gave | Threw | Lacked = self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:  # a result that cannot travel
            return Threw(error, str(error))
        except self._ray.exceptions.RayError as error:
            return _lost(error)
        return Lost(outcome.why, lacked_memory=True) if isinstance(outcome, Lacked) else outcome

    def place(self, make: Callable[[str], Held], label: str, *, takes_device: bool, patience: float = 0.0) -> Placed:
        """The model in actors of the cluster; one that takes a device has its share of GPUs. Raises what ``Placed`` raises."""
        gpus = self.gpus_per_model if takes_device else 0.0
        device = self._placement.device if gpus or self._placement.device != "auto" else "cpu"
        crew = _Actors(self._ray, make, device, gpus, label, patience)
        try:
            placed = Placed(crew, label, self._most_actors(gpus))
        except BaseException:
            crew.close()
            raise
        self._placed.append(placed)
        return placed

    def record(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {
            "name": "ray",
            "ray": self._ray.__version__,
            "workers": max([self._at_once, *(placed.most_at_once for placed in self._placed)]),
            "machines": len(self._nodes()),
            "gpus_per_model": self.gpus_per_model,
            "workers_lost": self._lost + sum(placed.lost for placed in self._placed),
        }

    def check_versions(self) -> None:
        """Raise ``OtherVersions`` if a machine has others than this one: the same report could then be another."""
        look = self._ray.remote(num_cpus=0, max_retries=2)(versions)
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        asked = {look.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote(): node for node in self._nodes()}
        ours = versions()
        for answer, node in asked.items():
            where = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            if not self._comes(answer, JOIN_SECONDS):
                raise NoCluster(f"machine {where} of the cluster started no process in {JOIN_SECONDS:.0f} s; look at its logs, or take it out")
            try:
                with held_back():
                    theirs = self._ray.get(answer)
            except (self._ray.exceptions.TaskUnschedulableError, self._ray.exceptions.NodeDiedError):
                continue  # it is gone, and was not missed yet
            except self._ray.exceptions.RayError as error:
                reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
                raise OtherVersions(
                    f"machine {where} of the cluster cannot run this package ({reason[:200]}); install the same version there: {ours['benchmark']}"
                ) from None
            check_same_versions(ours, theirs, where)

    def _comes(self, answer: Any, seconds: float) -> bool:
        """True once there is an answer, of whatever kind; False if there is none in time."""
        began = monotonic()
        while monotonic() - began < seconds:
            with held_back():
                ready, _ = self._ray.wait([answer], timeout=LOOK_SECONDS)
            if ready:
                return True
        return False

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _gpus(self) -> float:
        """GPUs of each worker that holds a model. Raises ``NoRoom``."""
        there = float(self._ray.cluster_resources().get("GPU", 0))
        asked, device = self._placement.gpus_per_model, self._placement.device
        if asked is None:
            asked = 0.0 if device in ("cpu", "mps") else 1.0 if device == "cuda" or there else 0.0
        most = max((float(node["Resources"].get("GPU", 0)) for node in self._nodes()), default=0.0)
        if asked > most:
            what = f"--gpus-per-model {asked:g}" if self._placement.gpus_per_model is not None else f"--device {device}"
            raise NoRoom(
                f"{what} asks for {asked:g} GPU on one machine, and the best of the cluster's {len(self._nodes())} has {most:g}; "
                "add a machine with a GPU (ray start), ask for less with --gpus-per-model, or write --device cpu"
            )
        return asked

    def _most_actors(self, gpus: float) -> int:
        """As many as there is room for at most: those beyond would wait for ever."""
        room = 0
        for node in self._nodes():
            resources = node["Resources"]
            by_cpu = int(resources.get("CPU", 0))
            room += min(by_cpu, int(resources.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpu
        if not room:
            raise NoRoom(
                f"no machine of the cluster has a CPU{f' and {gpus:g} GPU' if gpus else ''} for a model; start one with `ray start --num-cpus ...`"
            )
        return min(self._asked or room, room)


def _imported(*, is_started_here: bool) -> Any:
    """Ray, with its usage statistics off. Raises ``MissingPackage``."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a worker without a GPU of its own sees none
    if is_started_here:
        # Ray's own switch for machines whose firewall would ask: every part of it then listens on 127.0.0.1 and nowhere else. Read at import.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
        import ray.util.scheduling_strategies
        from ray._private import worker
    except ModuleNotFoundError:
        raise MissingPackage("--engine ray needs the package ray, which is not installed: pip install 'clala-benchmark[ray]'") from None
    # For each lost worker Ray prints a paragraph among our tables, and has no switch for it; what was lost is said in our words.
    worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _store_bytes() -> int:
    """Memory for what travels, of a cluster that is started here. Raises ``UserError``."""
    said = os.environ.get(STORE, "") or str(STORE_MB)
    if not said.isdecimal() or int(said) < LEAST_STORE_MB:
        raise UserError(f"{STORE} is {said!r}; it is a whole number of megabytes, {LEAST_STORE_MB} at least ({STORE_MB} where it is not set)")
    return int(said) * 2**20


def _start(ray: Any, workers: int, folder: Path, store_bytes: int) -> None:
    """A cluster of this machine, for this command alone; ``folder`` takes its sockets, logs, and what does not fit into memory."""
    with held_back(), _without_secrets():
        ray.init(
            "local",  # else it would join whichever cluster somebody started on this machine last
            num_cpus=cores(workers),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=store_bytes,
            _temp_dir=str(folder),
        )


def _join(ray: Any, address: str) -> None:
    """Connect to a cluster that runs. Raises ``NoCluster``, ``OtherVersions``."""
    if address != "auto":
        _check_answers(address)
    # Ray waits minutes for an address that answers and is no cluster, deaf to everything: so another process tries it first.
    probe = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"
    try:
        tried = subprocess.run([sys.executable, "-c", probe, address], capture_output=True, text=True, timeout=JOIN_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoCluster(
            f"--ray-address {address}: something answers there, but was no cluster of Ray's for {JOIN_SECONDS:.0f} s; "
            "`ray status --address ...` on the head says which it is: host:port as `ray start --head` printed it, 6379 unless told otherwise"
        ) from None
    if tried.returncode:
        said = next((line for line in reversed(tried.stderr.strip().splitlines()) if line.strip()), f"exit {tried.returncode}").strip()
        if "ersion" in tried.stderr and "mismatch" in tried.stderr:
            lines = " ".join(tried.stderr.partition("ersion mismatch")[2].split())
            raise OtherVersions(f"--ray-address {address}: the cluster has another Python or Ray than this machine{lines[:300]}; make them the same")
        raise NoCluster(f"--ray-address {address}: cannot join ({said[:300]}); start one with `ray start --head`, or leave the address away")
    with held_back():
        ray.init(address, log_to_driver=False, logging_level="ERROR")


def _check_answers(address: str) -> None:
    """Raise ``NoCluster`` unless somebody takes a connection at ``host:port``."""
    if address.startswith("ray://"):
        raise NoCluster(
            f"--ray-address {address}: a client outside the cluster is not enough; run the command on a machine of it, with --ray-address auto"
        )
    host, sign, port = address.rpartition(":")
    if not sign or not host or not port.isdigit():
        raise NoCluster(
            f"--ray-address {address!r} is no address; write host:port as `ray start --head` printed it, or auto on a machine of the cluster"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise NoCluster(
            f"--ray-address {address}: nobody answers there ({reason}, waited up to {ANSWER_SECONDS:.0f} s); "
            "is the head up (`ray start --head`), and the port open?"
        ) from None


@contextmanager
def _without_secrets() -> Iterator[None]:
    """What is started within does not inherit this process's secrets."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if SECRET.search(name) and name not in NEEDED and not name.startswith("RAY_")}
    try:
        yield
    finally:
        os.environ.update(kept)


def versions() -> dict[str, str]:
    """What could change a number: Python, this package, and those of ``PACKAGES`` that are installed. At module level, for other machines."""
    import platform

    import benchmark

    packages = {name: version for name in PACKAGES if (version := version_of(name)) is not None}
    return {"python": platform.python_version(), "benchmark": benchmark.__version__, **packages}


def check_same_versions(ours: Mapping[str, str], theirs: Mapping[str, str], where: str) -> None:
    """Raise ``OtherVersions`` naming the first that differ; a package that one side alone has counts too."""
    differing = [name for name in dict.fromkeys((*ours, *theirs)) if ours.get(name) != theirs.get(name)]
    if differing:
        shown = ", ".join(f"{name} {theirs.get(name, 'missing')} (here {ours.get(name, 'missing')})" for name in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise OtherVersions(f"machine {where} of the cluster has {shown}{more}; install the same there, for instance with constraints.txt")


class _Actors:
    """A ``Crew`` of Ray's actors."""

    def __init__(self, ray: Any, make: Callable[[str], Held], device: str, gpus: float, label: str, patience: float) -> None:
        self._ray, self._make, self._device, self._gpus, self._label, self._patience = ray, make, device, gpus, label, patience
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Holder)
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, int] = {}
        self._is_starting: set[int] = set()
        self._heard: dict[int, float] = {}
        """when each that writes was last heard of"""
        self._machines: dict[int, str] = {}
        """on which each lives"""
        self._asked: dict[int, tuple[Any, float]] = {}
        """of those that are silent: what their machine was asked, and when"""
        self._count = 0

    def start(self) -> Hashable:
        """Send for an actor."""
        self._count += 1
        with held_back():
            actor = self._actors[self._count] = self._actor.remote(self._make, self._device, str(Path.cwd()))
            self._waiting[actor.came.remote()] = self._count
            self._is_starting.add(self._count)
        return self._count

    def give(self, worker: Hashable, cases: Sequence[Case]) -> None:
        """Let an actor write."""
        assert isinstance(worker, int)
        with held_back():
            writing = self._actors[worker].write.options(num_returns="streaming").remote(list(cases))
            self._waiting[writing] = worker
        self._heard[worker] = monotonic()

    def wait(self) -> tuple[Hashable, Event]:
        """The next thing that happens. Raises ``NoRoom`` if nothing can."""
        assert self._waiting, "nobody was asked for anything"
        began = looked = monotonic()
        has_said = False
        while True:
            with held_back():
                ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=LOOK_SECONDS)
                event = self._event(ready[0]) if ready else None
            if event is not None:
                self._heard[event[0]] = monotonic()
                self._asked.pop(event[0], None)
                return event
            if not ready and (silent := self._silent()) is not None:
                return silent
            if ready or monotonic() - looked < PATIENCE_SECONDS or len(self._is_starting) < len(self._waiting):
                continue
            looked = monotonic()
            check_room(self._ray, self._label, self._gpus)
            if not has_said:
                what = f"1 CPU{f' and {self._gpus:g} GPU' if self._gpus else ''}"
                waited = f"for {monotonic() - began:.0f} s no machine of the cluster has made the model"
                say(f"{self._label}: {waited}; it takes {what} to itself", err=True)
                has_said = True

    def close(self) -> None:
        """End all actors."""
        with held_back():
            for worker in list(self._actors):
                self.dismiss(worker)

    def _silent(self) -> tuple[int, Event] | None:
        """An actor that has written nothing for too long, and is no more. Where its machine answers its model hangs; else it is lost."""
        for writing, worker in self._waiting.items():
            if not self._patience or worker in self._is_starting or monotonic() - self._heard[worker] <= self._patience + GRACE_SECONDS:
                continue
            if (answers := self._answers(worker)) is not None:
                del self._waiting[writing]
                self.dismiss(worker)
                return worker, Silent(self._patience) if answers else Lost("its machine does not answer")
        return None

    def _answers(self, worker: int) -> bool | None:
        """Whether the machine of an actor does anything; None while that is not known. That one is gone the cluster itself notices rather late."""
        with held_back():
            if worker not in self._asked:
                affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(self._machines[worker], soft=False)
                look = self._ray.remote(num_cpus=0, max_retries=0)(versions).options(scheduling_strategy=affinity)
                self._asked[worker] = look.remote(), monotonic()
            asked, since = self._asked[worker]
            if not self._ray.wait([asked], timeout=0)[0]:
                return False if monotonic() - since > JOIN_SECONDS else None
            try:
                self._ray.get(asked)
            except self._ray.exceptions.RayError:
                return False
        return True

    def _event(self, ready: Any) -> tuple[int, Event] | None:
        """What a reference that is ready holds, and of which actor."""
        worker = self._waiting.pop(ready)
        is_starting = worker in self._is_starting
        try:
            if is_starting:
                event: Event
                event, self._machines[worker] = self._ray.get(ready)
            else:
                reference = next(ready)
                if reference.is_nil():
                    self._waiting[ready] = worker
                    return None
                event = self._ray.get(reference)
        except StopIteration:
            return worker, Done()
        except self._ray.exceptions.RayTaskError as error:
            event = raised(error.cause if isinstance(error.cause, BaseException) else error, str(error))
        except self._ray.exceptions.RayError as error:
            event = _lost(error)
        if is_starting:
            self._is_starting.discard(worker)
            if not isinstance(event, Ready):
                self.dismiss(worker)
        elif isinstance(event, Wrote | Learnt):
            self._waiting[ready] = worker  # behind the others: each has its turn
        elif isinstance(event, Lost):
            self.dismiss(worker)
        return worker, event

    def dismiss(self, worker: Hashable) -> None:
        """End an actor."""
        assert isinstance(worker, int)
        with suppress(Exception):
            self._ray.kill(self._actors[worker])
        for known in (self._actors, self._machines, self._asked):
            known.pop(worker, None)


def check_room(ray: Any, name: str, gpus: float) -> None:
    """Raise ``NoRoom`` if no machine that is left could hold what needs a CPU and so many GPUs."""
    with held_back():
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(resources.get("CPU", 0) >= 1 and resources.get("GPU", 0) >= gpus for resources in nodes):
        raise NoRoom(
            f"{name}: no machine that is left in the cluster has 1 CPU{f' and {gpus:g} GPU' if gpus else ''}; "
            "start one (`ray start --address ...`) and run the same command again, it goes on from there"
        )


class Holder:
    """In a worker: a model, made once, that writes when it is asked."""

    def __init__(self, make: Callable[[str], Held], device: str, folder: str) -> None:
        """``folder`` is where the command was typed: paths may be meant from there."""
        _go_to(folder)
        self._state: Event
        try:
            self._held = make(device)
            self._state = Ready(self._held.said, self._held.batch_size, self._held.is_independent, self._held.made_of)
        # SystemExit among them, by a library that gives up: the reason is to arrive, and no other worker to be sent for.
        except BaseException as error:
            self._state = raised(error, traceback.format_exc())

    def ready(self) -> Event:
        """Whether the model could be made."""
        return self._state

    def came(self) -> tuple[Event, str]:
        """What ``ready`` says, and Ray's name of the machine."""
        import ray

        return self._state, ray.get_runtime_context().get_node_id()

    def write(self, cases: list[Case]) -> Iterator[Event]:
        """What is written, a handful of reports at a time; then what the model is known to have learnt from."""
        some: list[Report] = []
        since = monotonic()
        last: Event | None = None
        try:
            for report in self._held.write(cases):
                some.append(report)
                if monotonic() - since >= FLUSH_SECONDS:
                    yield Wrote(some)
                    some, since = [], monotonic()
        except GeneratorExit:
            raise
        except BaseException as error:
            last = raised(error, traceback.format_exc())
        if some:
            yield Wrote(some)
        if learnt := tuple(self._held.learnt()):
            yield Learnt(learnt)
        if last:
            yield last


def _lost(error: Exception) -> Lost:
    """A worker's end in a few words, of the many that Ray has for it."""
    text = " ".join(str(error).split())
    if "OUT_OF_MEMORY" in text or "running low on memory" in text or type(error).__name__ == "OutOfMemoryError":
        return Lost("its machine ran out of memory", lacked_memory=True)
    if "node has died" in text or "node was terminated" in text or "NODE_DIED" in text or type(error).__name__ == "NodeDiedError":
        return Lost("its machine is gone")
    if type(error).__name__ in ("ActorDiedError", "WorkerCrashedError", "ActorUnavailableError", "RayActorError"):
        kind = re.search(r"Worker exit type: (\w+)", text)
        return Lost(f"its process ended{f', {kind[1]}' if kind else ''}")
    return Lost(f"{type(error).__name__}: {text[:200]}")


_shared: tuple[str, tuple[Any, ...]] = ("", ())


def _run(function: Callable[..., Any], task: tuple[Any, ...], held: list[Any], folder: str) -> Gave | Threw | Lacked:
    """In a worker: one task, with what all of them share."""
    import ray

    global _shared
    _go_to(folder)
    if _shared[0] != held[0].hex():
        _shared = (held[0].hex(), ray.get(held[0]))
    return carried_out(function, task, _shared[1])


def _go_to(folder: str) -> None:
    with suppress(OSError):  # on a machine that has no such folder only whole paths mean anything
        os.chdir(folder)

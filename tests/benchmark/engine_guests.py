"""A plugin as workers on other machines find it: in a folder on PYTHONPATH, with an entry point. Its guests do what guests should not."""

from __future__ import annotations

import os
from pathlib import Path

PLUGIN = '''
import os
import signal
import time
from pathlib import Path

import numpy as np

from benchmark import Case, Reference, Report, hookimpl


def kill_once(flag):
    """End this process as the kernel would, unless somebody did before."""
    try:
        Path(flag).open("x").close()
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class Steady:
    """Writes about four cases together, each text with the batch and a number drawn for its case; takes its time."""

    batch_size = 4

    def __init__(self, seed: int = 0, at: str = "", flag: str = "", seen: str = "", seconds: float = 0.02, independent: bool = True) -> None:
        self.seed, self.at, self.flag, self.seen, self.seconds, self.is_independent_by_case = seed, at, flag, seen, seconds, independent

    def provenance(self):
        return {"seed": self.seed}

    def be_seen(self, case):
        """Leave a trace; with a file ``wait`` there, do not write the second block before another worker has left its own."""
        folder = Path(self.seen)
        (folder / str(os.getpid())).touch()
        end = time.monotonic() + 240
        while case.id == "case-8" and (folder / "wait").exists() and len(list(folder.iterdir())) < 3 and time.monotonic() < end:
            time.sleep(0.05)

    def generate(self, cases):
        before = 0
        for start in range(0, len(cases), 4):
            batch = cases[start : start + 4]
            for case in batch:
                if self.seen:
                    self.be_seen(case)
                if self.flag and case.id == self.at:
                    kill_once(self.flag)
                time.sleep(self.seconds)
                drawn = np.random.default_rng([self.seed, int(case.id.removeprefix("case-"))]).random()
                count = "" if self.is_independent_by_case else f" {before}"
                before += 1
                yield Report(case.id, f"Clear lungs {drawn} {batch[0].id}{count}.", details={"drawn": drawn})


class Poison(Steady):
    def generate(self, cases):
        for case in cases:
            if case.id == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield Report(case.id, "Clear lungs.")


class Unmade:
    def __init__(self) -> None:
        raise RuntimeError("no such layer")


class Raises:
    def generate(self, cases):
        for case in cases:
            if case.id == "case-17":
                raise ValueError("out of ideas")
            yield Report(case.id, "Clear lungs.")


class Leaves:
    """Ends the program when it is called, with a status as if all were well."""

    def generate(self, cases):
        raise SystemExit(0)


class Hangs:
    def generate(self, cases):
        for case in cases:
            if case.id == "case-17":
                time.sleep(3600)
            yield Report(case.id, "Clear lungs.")


class Learner:
    """Reads what it learns from while it writes."""

    def __init__(self, training) -> None:
        self.training = training

    def generate(self, cases):
        first = self.training.references("train")[0].report
        for case in cases:
            yield Report(case.id, first)


class Surroundings:
    """Tells what it finds around it."""

    def generate(self, cases):
        import ray

        for case in cases:
            told = [os.environ.get("SOME_API_KEY", "no key"), ray.util.get_node_ip_address(), os.getcwd(), os.environ.get("RAY_USAGE_STATS_ENABLED")]
            yield Report(case.id, " ".join(told))


class Asker:
    """Asks a language model while it is made."""

    def __init__(self, llm=None) -> None:
        try:
            llm.asking("report", "openai/none")
        except Exception as error:
            if type(error).__name__ == "AsksALanguageModel":
                raise
        self.place = os.getpid()

    def generate(self, cases):
        for case in cases:
            yield Report(case.id, f"from {self.place}")


class Sixty:
    name, is_credentialed, note = "sixty", False, "Sixty sentences."

    def cases(self, split):
        """Of what is learnt from ten are measured too."""
        return [Case(f"case-{number}", f"p{number // 2}", "s", ()) for number in (range(50, 80) if split == "train" else range(60))]

    def references(self, split):
        return [Reference(case.id, f"Clear lungs {case.id.removeprefix('case-')}.") for case in self.cases(split)]

    def fingerprint(self, split):
        return split

    def problems(self):
        return []


class Fragile:
    name = "fragile"

    def __init__(self, flag: str = "") -> None:
        self.flag = flag

    def statistics(self, hypotheses, references):
        if self.flag:
            kill_once(self.flag)
        return np.array([[len(text), 1.0] for text in hypotheses], dtype=float).reshape(-1, 2)

    def values(self, sums):
        return {"characters": sums[..., 0] / sums[..., 1]}

    def signature(self):
        return "fragile|v1"


@hookimpl
def register_models(register):
    models = {"steady": Steady, "poison": Poison, "unmade": Unmade, "raises": Raises, "around": Surroundings, "asker": Asker}
    for name, model in {**models, "leaves": Leaves, "hangs": Hangs, "learner": Learner}.items():
        register(name, model)


@hookimpl
def register_datasets(register):
    register("sixty", Sixty)


@hookimpl
def register_metrics(register):
    register("fragile", Fragile)
'''


def write_plugin(folder: Path) -> dict[str, str]:
    """The plugin installed in ``folder``; the environment of a process that finds it there."""
    (folder / "engine_test_guests.py").write_text(PLUGIN)
    about = folder / "engine_test_guests-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: engine-test-guests\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[clala_benchmark]\nengine_test_guests = engine_test_guests\n")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))),
        "RAY_USAGE_STATS_ENABLED": "0",
    }

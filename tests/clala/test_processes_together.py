"""Two processes with half the batch are one process with the whole: its samples, its losses, its gradients, its curve."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import command_words, events
from torch import Tensor, nn

from clala.checkpoint import load, new_bundle
from clala.config import CLALAConfig, Recipe
from clala.data import Samples, TooFewSamples
from clala.held import held
from clala.model import CLALA, Batch
from clala.norms import SharedBatchNorm2d, share_norms
from clala.processes import new_accelerator
from clala.state import TrainingState
from clala.together import Deal, all_rows, all_shares
from clala.tokens import WordTokenizer
from clala.train import shared_since


class Board:
    """What processes send to each other, for threads: each puts its rows down and waits for the others'."""

    def __init__(self, world: int) -> None:
        self.laid: list[Tensor] = [torch.empty(0)] * world
        self.barrier = threading.Barrier(world, timeout=60)

    def gather(self, rank: int) -> Callable[[Tensor, Sequence[int]], list[Tensor]]:
        """As ``gather_rows`` does it in the process of that rank."""

        def gathered(own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
            assert len(own) == sizes[rank]
            assert not own.requires_grad
            self.laid[rank] = own
            self.barrier.wait()
            found = [rows.clone() for rows in self.laid]
            self.barrier.wait()  # until all have read
            return found

        return gathered


def in_threads(world: int, work: Callable[[int, Callable[[Tensor, Sequence[int]], list[Tensor]]], Any]) -> list[Any]:
    """What ``work(rank, gather)`` returns for every rank, all running at once."""
    board, found, failures = Board(world), [None] * world, []

    def one(rank: int) -> None:
        try:
            found[rank] = work(rank, board.gather(rank))
        except BaseException as error:
            failures.append(error)
            board.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return found


def shares(samples: Samples, how: Recipe, world: int, **named: Any) -> list[list[Batch]]:
    """An epoch's batches as each of ``world`` processes is dealt them, the whole batch being ``how.batch``."""
    part = replace(how, batch=how.batch // world)
    return [list(samples.batches(part, seed=1, epoch=0, crop_px=32, shard=(rank, world), **named)) for rank in range(world)]


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("changes", [{}, {"by_length": True}, {"jitter": 0.0, "brightness": 0.0}, {"normal_share": 0.6, "repeat_below": 1.0}])
def test_what_the_processes_are_dealt_makes_the_batch_of_one(samples: Samples, quick: Recipe, world: int, changes: dict[str, Any]) -> None:
    """Rows, partners, how crops stray and are lit: row by row and bit by bit, in every step."""
    how = replace(quick, batch=6, **changes)
    whole, dealt = shares(samples, how, 1, llcl=True)[0], shares(samples, how, world, llcl=True)
    assert whole
    assert [len(each) for each in dealt] == [len(whole)] * world
    for number, batch in enumerate(whole):
        for rank in range(world):
            own = dealt[rank][number]
            for name in ("crops", "comparisons", "lesions", "regions", "roi_lesions", "sentence_ids", "comparison_lesions", "has_partner"):
                assert torch.equal(getattr(own, name), getattr(batch, name)[rank::world]), name
            width = own.tokens.shape[1]  # padded to its own longest
            assert torch.equal(own.tokens, batch.tokens[rank::world, :width])
            assert own.deal == Deal(rank, (6 // world,) * world, int((~batch.padding[:, 1:]).sum()))


def test_a_batch_that_does_not_divide_is_dealt_to_the_last_row(samples: Samples) -> None:
    rows = samples.with_sentence()[:7]
    own = [samples.batch(rows, crop_px=32, shard=(rank, 3)) for rank in range(3)]
    assert [len(batch.crops) for batch in own] == [3, 2, 2]
    assert {batch.deal.sizes for batch in own if batch.deal} == {(3, 2, 2)}


def test_a_process_that_would_get_no_sample_is_told_before_the_others_wait_for_it(samples: Samples, quick: Recipe) -> None:
    """36 regions: 40 processes cannot share them, and two whole batches of 36 to a step are more than there are."""
    with pytest.raises(TooFewSamples, match=r"1 x 6 region samples for each of 40 processes make one step, but an epoch has 36 of them in all"):
        shares(samples, replace(quick, batch=240), 40, llcl=False)
    with pytest.raises(TooFewSamples, match=r"2 x 36 region samples for each of 1 processes .* lower accumulate or batch, or start fewer processes"):
        shares(samples, replace(quick, batch=36, accumulate=2), 1, llcl=False)


@pytest.fixture(scope="module")
def plain(config: CLALAConfig) -> CLALAConfig:
    """Without what the networks draw or count for themselves: dropout, batch norm."""
    return replace(config, dropout=0.0, word_dropout=0.0, stem="patch", itcl_symmetric=True)


@pytest.fixture(scope="module")
def model(plain: CLALAConfig, tokenizer: WordTokenizer) -> CLALA:
    torch.manual_seed(0)
    return new_bundle(plain, tokenizer).model


def losses_and_gradients(model: CLALA, batch: Batch, **named: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    own = deepcopy(model).train()
    losses = own(batch, **named)
    losses["loss"].backward()
    return {name: float(x.detach()) for name, x in losses.items()}, {name: p.grad for name, p in own.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize(("number", "world"), [(6, 2), (7, 2), (8, 3)])
def test_losses_and_mean_gradients_of_the_shares_are_those_of_the_whole(samples: Samples, model: CLALA, number: int, world: int, stage: int) -> None:
    """Each share has its copy of the network; DistributedDataParallel would average what they find, here it is done by hand."""
    model.enter_stage(stage)
    rows = samples.with_sentence()[3 : 3 + number]
    named: dict[str, Any] = {"crop_px": 32, "llcl": stage == 1, "seed": (5,)}
    losses, gradients = losses_and_gradients(model, samples.batch(rows, **named))
    found = in_threads(world, lambda rank, gather: losses_and_gradients(model, samples.batch(rows, **named, shard=(rank, world)), gather=gather))
    for theirs, _ in found:  # every process says the loss of the whole
        assert theirs == pytest.approx(losses, rel=1e-5)
    assert losses.keys() == ({"loss", "ce", "itcl", "llcl"} if stage == 1 else {"loss", "ce"})
    for name, whole in gradients.items():
        mean = torch.stack([theirs[name] for _, theirs in found]).mean(0)
        torch.testing.assert_close(mean, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()) + 1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_a_mean_of_the_processes_means_would_be_another_loss(samples: Samples, model: CLALA) -> None:
    """What the test above would not see if all shares had the same number of words, or the contrast stayed within a share."""
    model.enter_stage(1)
    rows, named = samples.with_sentence()[3:10], {"crop_px": 32, "seed": (5,)}
    with torch.no_grad():
        whole = model(samples.batch(rows, **named))
        alone = [model(replace(samples.batch(rows, **named, shard=(rank, 2)), deal=None)) for rank in range(2)]
    for name in ("ce", "itcl", "llcl"):
        assert abs(float(alone[0][name] + alone[1][name]) / 2 - float(whole[name])) > 1e-4 * float(whole[name]), name


def test_alone_nothing_is_gathered() -> None:
    def never(own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        raise AssertionError("there is nobody to ask")

    own = torch.rand(3, 2, requires_grad=True)
    assert all_rows(own, None, never) is own
    assert all_shares(own.sum(), None, never).grad_fn is not None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_shared_batch_norm_is_torchs_where_nobody_shares(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    theirs, pixels = nn.BatchNorm2d(4).double(), (torch.randn(5, 4, 3, 6) * 3 + 20).double().to(memory_format=layout)
    nn.init.normal_(theirs.weight)
    ours = deepcopy(theirs)
    ours.__class__ = SharedBatchNorm2d
    for _ in range(2):
        a, b = pixels.clone().requires_grad_(), pixels.clone().requires_grad_()
        one, other = theirs(a), ours(b)
        torch.testing.assert_close(one, other)
        (one**3).sum().backward()
        (other**3).sum().backward()
        torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(theirs.weight.grad, ours.weight.grad)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(value, ours.state_dict()[name])
    torch.testing.assert_close(theirs.eval()(pixels), ours.eval()(pixels))


def test_one_process_keeps_torchs_batch_norm() -> None:
    network = nn.Sequential(nn.BatchNorm2d(4))
    share_norms(network, new_accelerator("cpu"))
    assert type(network[0]) is nn.BatchNorm2d


def test_more_processes_than_before_draw_numbers_of_their_own_and_the_same_again(tmp_path: Path) -> None:
    """Else the new ones would forget the same words and units as each other."""
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.rand(3, 2)).sum().backward()
    optimiser.step()
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    torch.manual_seed(3)
    state.save({"step": 1}, is_best=True)
    drawn = []
    for rank in (0, 1, 2, 0, 1, 2):
        torch.manual_seed(3)
        state.load(rank)
        drawn.append(torch.rand(4).tolist())
    assert drawn[:3] == drawn[3:]
    assert len({tuple(each) for each in drawn[:3]}) == 3


def test_who_shared_the_steps_is_kept_in_order() -> None:
    first = shared_since({"step": 0}, 2, 3)
    assert first == [{"from_step": 0, "processes": 2, "batch": 3}]
    assert shared_since({"step": 4, "shared_by": first}, 2, 3) == first
    assert shared_since({"step": 7, "shared_by": first}, 1, 6) == [*first, {"from_step": 7, "processes": 1, "batch": 6}]
    assert shared_since({"step": 9}, 1, 6) == [{"from_step": 9, "processes": 1, "batch": 6}]  # what an older version saved does not say


WHOLE = 6
"""region samples, and images, per step over all processes"""
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no")
"""With ``--cpu`` it would start one process, whatever number it is given; so it starts two as if for GPUs, and ``--device cpu`` puts them where they
are."""


class Launched:
    """``clala.train`` in one process, or in several that ``accelerate launch`` starts."""

    def __init__(self, index: Path, config: CLALAConfig, quick: Recipe) -> None:
        # Half the rate: what differs is rounding, and Adam makes a whole step of the smallest gradient.
        how = replace(quick, learning_rate_stage1=5e-4, classifier_learning_rate=1e-3)
        self.settings = (index, replace(config, dropout=0.0), how)

    def start(self, out: Path, processes: int, *, whole: int = WHOLE) -> subprocess.Popen[str]:
        more = ["--out", str(out), "--device", "cpu", "--precision", "no", "--workers", "1", "--save-every", "1", "--log-every", "1"]
        share = [word for name in ("batch", "classifier_batch") for word in ("--set", f"{name}={whole // processes}")]
        words = command_words(*self.settings, *more, *share)
        if processes > 1:
            words = [words[0], *LAUNCH, "--num_processes", str(processes), "--dynamo_backend", "no", *words[1:]]
        # The launcher makes a folder for logs, and leaves it.
        (temporary := out.parent / f"{out.name}-temporary").mkdir(exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
        return subprocess.Popen(words, env=environment, text=True, stderr=subprocess.PIPE)

    def run(self, out: Path, processes: int) -> None:
        process = self.start(out, processes)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said[-3000:]


@pytest.fixture(scope="module")
def launched(index: Path, config: CLALAConfig, quick: Recipe) -> Launched:
    return Launched(index, config, quick)


@pytest.fixture(scope="module")
def alone(launched: Launched, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with the whole batch, undisturbed."""
    out = tmp_path_factory.mktemp("alone")
    launched.run(out, 1)
    return out


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL to it and to what it started: the launcher gives each worker a session of its own."""
    import psutil

    started = psutil.Process(process.pid).children(recursive=True)
    for each in (process, *started):
        each.kill()
    psutil.wait_procs(started)
    process.communicate()


def curve(folder: Path) -> dict[tuple[str, int, int], dict[str, float]]:
    """Every number of the log by event, stage, and step or epoch; where a step was done again after a kill, it must have been the same step."""
    found: dict[tuple[str, int, int], dict[str, float]] = {}
    for kind in ("classifier", "step", "epoch"):
        for line in events(folder, kind):
            numbers = {name: line[name] for name in ("loss", "ce", "itcl", "llcl", "ce_validate", "lesion_f1_validate", "rate") if name in line}
            key = (kind, int(line.get("stage", 0)), int(line["step" if kind == "step" else "epoch"]))
            if key in found:
                assert numbers == pytest.approx(found[key], rel=1e-4)
            found[key] = numbers
    return found


def assert_same_curve(one: Path, other: Path) -> None:
    a, b = curve(one), curve(other)
    assert a.keys() == b.keys()
    assert {stage for kind, stage, _ in a if kind == "step"} == {1, 2}
    for key, numbers in a.items():
        assert b[key] == pytest.approx(numbers, rel=1e-4, abs=1e-6), key


@pytest.mark.slow
def test_accelerate_launch_with_two_processes_has_the_curve_of_one_with_the_doubled_batch(launched: Launched, alone: Path, tmp_path: Path) -> None:
    """Real processes over gloo, both stages and the classifier, the demo's network with its batch norms; every step."""
    launched.run(tmp_path, 2)
    assert events(tmp_path, "data")[0]["processes"] == 2
    assert [(line["stage"], line["epoch"]) for line in events(tmp_path, "epoch")] == [(1, 0), (1, 1), (2, 0)]  # once, not once per process
    assert load(tmp_path).about["processes"] == 2
    assert_same_curve(tmp_path, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_killed_training_goes_on_with_another_number_of_processes(launched: Launched, alone: Path, tmp_path: Path, before: int, after: int) -> None:
    process = launched.start(tmp_path, before)
    note = tmp_path / "work" / "stage1" / "state.json"
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["counters"]["step"] >= 2):
        time.sleep(0.005)
    assert process.poll() is None, "it was done before it could be killed"
    kill_all(process)
    killed_at = json.loads(note.read_text())["counters"]["step"]
    assert killed_at < max(step for kind, stage, step in curve(alone) if (kind, stage) == ("step", 1)), "stage 1 was over before it could be killed"
    launched.run(tmp_path, after)
    assert_same_curve(tmp_path, alone)
    first, second = json.loads(note.read_text())["counters"]["shared_by"]
    assert first == {"from_step": 0, "processes": before, "batch": WHOLE // before}
    assert second == {"from_step": killed_at, "processes": after, "batch": WHOLE // after}


def until_step(out: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many steps of stage 1 are saved."""
    note = out / "work" / "stage1" / "state.json"
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["counters"]["step"] >= step):
        time.sleep(0.005)
    assert process.poll() is None, "it was done too early"


def workers_of(process: subprocess.Popen[str]) -> list[Any]:
    """The processes that the launcher has started."""
    import psutil

    return list(psutil.Process(process.pid).children())


@pytest.mark.slow
def test_when_the_launcher_is_killed_nobody_trains_on_and_the_folder_is_free(launched: Launched, tmp_path: Path) -> None:
    """It is killed outright and can tell nobody. Until its processes are gone another training is refused, whatever its number of processes."""
    import psutil

    out = tmp_path / "out"
    process = launched.start(out, 2)
    until_step(out, 1, process)
    workers = workers_of(process)
    assert len(workers) == 2
    for each in workers:
        each.suspend()  # else they might be done before the others have come
    (holder,) = {each.pid for each in workers} & {int((out / ".lock").read_text().split()[0])}
    before = {path: path.read_bytes() for path in out.rglob("*.json*")}
    for processes in (1, 2):
        refused = launched.start(out, processes)
        _, said = refused.communicate(timeout=300)
        assert refused.returncode != 0
        assert said.count(f"out is being written by process {holder} on ") == processes, "every process says it, and none waits for another"
    assert {path: path.read_bytes() for path in out.rglob("*.json*")} == before
    process.kill()
    for each in workers:
        each.resume()
    _, left = psutil.wait_procs(workers, timeout=60)
    _, said = process.communicate()
    assert not left
    # The first to see it says so; the other may see the first gone before it looks for the launcher itself.
    assert re.search(r"process [01] of the training ends: its launcher is gone; run the same command again to go on\n", said)
    with held(out):
        assert json.loads((out / "work" / "stage1" / "state.json").read_text())["counters"]["step"] >= 1


@pytest.mark.slow
def test_a_process_that_dies_takes_the_others_with_it(launched: Launched, tmp_path: Path) -> None:
    """They would wait for it in the next step; the launcher looks. What was saved is whole, as above."""
    import psutil

    out = tmp_path / "out"
    process = launched.start(out, 2)
    until_step(out, 1, process)
    workers = workers_of(process)
    (first,) = (each for each in workers if each.pid == int((out / ".lock").read_text().split()[0]))
    (other,) = (each for each in workers if each.pid != first.pid)
    other.kill()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not psutil.pid_exists(first.pid)
    with held(out):
        assert json.loads((out / "work" / "stage1" / "state.json").read_text())["counters"]["step"] >= 1


@pytest.mark.slow
def test_the_command_of_one_process_given_to_two_is_refused_in_words(launched: Launched, alone: Path) -> None:
    """Each with the batch of the one: a step would see twice as much, another training."""
    before = (alone / "work" / "stage1" / "state.json").read_bytes()
    process = launched.start(alone, 2, whole=2 * WHOLE)
    _, said = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "give another folder, or delete work/ in it. A step there sees 6 regions, and here 6 x 2 processes = 12; --set batch=3 goes on" in said
    assert (alone / "work" / "stage1" / "state.json").read_bytes() == before

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from biovil_t_reference import CASES, FIXTURE, pictures, random_weights

from clala.biovil_t import BioViLT, NotFetched, WrongWeights, load_published, published_weights, sine_positions

HI_ML: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return random_weights({name: tuple(shape) for name, shape in HI_ML["shapes"].items()}, HI_ML["seed"])


@pytest.fixture(scope="module")
def published(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the layout of the published one, with other numbers."""
    path = tmp_path_factory.mktemp("biovil") / "biovil_t_image_model_proj_size_128.pt"
    torch.save(weights, path)
    return path


@pytest.fixture(scope="module")
def network(published: Path) -> BioViLT:
    made = BioViLT().eval()
    load_published(made, published)
    return made


def unfilled() -> BioViLT:
    """A network that holds no numbers: enough to be refused other ones."""
    with torch.device("meta"):
        return BioViLT()


def test_names_and_shapes_are_those_of_the_published_file() -> None:
    ours = {name: list(value.shape) for name, value in unfilled().state_dict().items()}
    assert len(ours) == 372
    assert ours == HI_ML["shapes"]


@pytest.mark.parametrize("case", CASES)
def test_every_output_is_that_of_hi_ml_with_the_same_weights(case: str, network: BioViLT) -> None:
    """In one process both agree to 4e-6; another processor rounds fifty layers otherwise. Values without places would differ by 2."""
    size_px, has_earlier = CASES[case]
    with torch.inference_mode():
        found = network(pictures(1, size_px, 1), pictures(1, size_px, 2) if has_earlier else None)
    for name, expected in HI_ML["cases"][case].items():
        output = getattr(found, name)
        assert list(output.shape) == expected["shape"]
        assert float(output.double().mean()) == pytest.approx(expected["mean"], abs=1e-4)
        flat = output.flatten()
        values = flat[torch.linspace(0, len(flat) - 1, len(expected["values"])).long()]
        assert values.tolist() == pytest.approx(expected["values"], abs=1e-4), name


@pytest.mark.parametrize(
    ("one", "other", "has_earlier"),
    [
        ("encoder.encoder.layer2.1.bn1.weight", "encoder.encoder.layer2.1.bn2.weight", False),
        ("encoder.vit_pooler.blocks.1.attn.proj_q.weight", "encoder.vit_pooler.blocks.1.attn.proj_k.weight", True),
    ],
)
def test_a_tensor_in_the_wrong_place_makes_the_comparison_fail(one: str, other: str, has_earlier: bool, network: BioViLT) -> None:
    """The negative control: without it, agreement with hi-ml could be blind to the tensor."""
    state = {name: network.state_dict()[name].clone() for name in (one, other)}
    maps = [map_.transpose(1, 2).unflatten(2, (14, 14)) for map_ in torch.randn(2, 1, 196, 256, generator=torch.Generator().manual_seed(3))]

    def seen() -> torch.Tensor:
        with torch.inference_mode():
            return network.encoder.vit_pooler(*maps) if has_earlier else network(pictures(1, 64, 3)).patches

    before = seen()
    try:
        network.load_state_dict({one: state[other], other: state[one]}, strict=False)
        assert float((seen() - before).abs().max()) > 100 * 1e-4  # what the comparison lets pass
    finally:
        network.load_state_dict(state, strict=False)


def test_two_images_together_are_two_alone(network: BioViLT) -> None:
    both = pictures(2, 64, 3)
    with torch.inference_mode():
        together, alone = network(both), [network(both[:1]), network(both[1:])]
    for name in together._fields:
        torch.testing.assert_close(getattr(together, name), torch.cat([getattr(one, name) for one in alone]), atol=1e-4, rtol=1e-4)


def test_a_grey_image_is_three_equal_channels(network: BioViLT) -> None:
    grey = pictures(1, 64, 3)
    with torch.inference_mode():
        assert torch.equal(network(grey).image, network(grey.repeat(1, 3, 1, 1)).image)


def test_without_an_earlier_image_a_learnt_vector_stands_for_the_difference(network: BioViLT) -> None:
    with torch.inference_mode():
        found = network(pictures(1, 64, 3))
    assert torch.equal(found.patches[0, 256:, 1, 1], network.encoder.missing_previous_emb.detach()[0, :, 0, 0])


def test_places_are_a_full_turn_of_the_slowest_and_quickest_waves() -> None:
    """By hand: row 1 of 2 is half a turn, row 2 a whole one; the first half tells rows, the second columns."""
    places = sine_positions(2)
    assert places.shape == (2, 2, 256)
    torch.testing.assert_close(places[0, 1, :2], torch.tensor([0.0, -1.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(places[0, 1, 128:130], torch.tensor([0.0, 1.0]), atol=1e-5, rtol=0)
    assert float(places[1, 0, 126]) == pytest.approx(2 * torch.pi / 10000 ** (126 / 128), rel=1e-3)


def test_an_earlier_image_of_another_size_is_refused(network: BioViLT) -> None:
    with pytest.raises(ValueError, match=r"on a map of 14 x 14; these have one of 2 x 2: resize both to 448 px"):
        network(pictures(1, 64, 1), pictures(1, 64, 2))
    with pytest.raises(ValueError, match="one of equal size is needed for each"):
        network(pictures(1, 64, 1), pictures(1, 128, 2))


def test_what_a_file_lacks_and_what_it_has_too_much_is_said(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    weights = {name: torch.zeros(()).expand(shape) for name, shape in HI_ML["shapes"].items()}  # small files: names and shapes are all that counts
    torch.save({**{name: value for name, value in weights.items() if "norm_post" not in name}, "head.weight": torch.zeros(2)}, path)
    with pytest.raises(WrongWeights, match=r"of the 372 tensors .* 2 are missing \(first encoder.vit_pooler.norm_post.bias\)") as caught:
        load_published(unfilled(), path)
    assert re.search(r"and 1 have no place \(first head.weight\); its md5 is \w{32}, that of biovil_t_image_model", str(caught.value))
    torch.save({**weights, "projector.model.3.bias": torch.zeros(64)}, path)
    with pytest.raises(WrongWeights, match=r"projector.model.3.bias is \(64,\), expected is \(128,\)"):
        load_published(unfilled(), path)


def test_a_file_of_something_else_is_said(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"state_dict": {}, "epoch": 3}, path)
    with pytest.raises(WrongWeights, match="holds state_dict, epoch and so on, expected is a mapping of names to tensors"):
        load_published(unfilled(), path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(WrongWeights, match="holds a Tensor, expected"):
        load_published(unfilled(), path)
    path.write_text("<html>", encoding="utf-8")
    with pytest.raises(WrongWeights, match="no PyTorch file at all"):
        load_published(unfilled(), path)


class RunsCode:
    """Unpickled, it would write a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.victim, "run")


def test_a_file_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    path, victim = tmp_path / "evil.pt", tmp_path / "victim"
    torch.save({"weight": RunsCode(victim)}, path)
    with pytest.raises(WrongWeights, match=r"holds more than tensors.* and is not opened, for it could run code"):
        load_published(unfilled(), path)
    assert not victim.exists()


def test_a_path_is_taken_as_it_is_and_one_that_leads_nowhere_is_said(published: Path, tmp_path: Path) -> None:
    assert published_weights(published) == published
    with pytest.raises(FileNotFoundError, match="or none to have it downloaded"):
        published_weights(tmp_path / "nothing.pt")


def test_without_a_network_the_way_round_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFetched, match=r"could not be fetched from microsoft/BiomedVLP-BioViL-T .* and give its path"):
        published_weights()

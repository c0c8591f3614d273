"""A folder of weights -> a network that is ready to be asked: of a kind that transformers knows, small enough, and with not one tensor made up."""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.pretrained import FILES, network_folder, read_config, reading
from adapters.vision_language.loading import check_finite, check_places, empty
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.stored import WrongWeights
from benchmark.records import UserError

SETTING = "hf.weights"


class UnknownKind(UserError):
    """A model that transformers does not know, or that reads no images."""


def folder_of(name: str, *, revision: str, download: bool) -> Path:
    """The folder of a model that is named by its path or by its name on the hub. Raises ``NoNetwork``."""
    which = f"{name}@{revision}" if revision and not Path(name).expanduser().is_dir() else name
    return network_folder(which, SETTING, download=download, files=(*FILES, "*.jinja"))


def config_of(folder: Path, name: str) -> Any:
    """Its sizes. Raises ``UnknownKind``, ``NoNetwork``."""
    import json

    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    with reading("config.json", folder, "hf"):
        kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    version = importlib.metadata.version("transformers")
    if kind not in CONFIG_MAPPING:
        raise UnknownKind(
            f"hf: {name} is of the kind {kind!r}, which transformers {version} does not know; the program that may lie in its folder is never run: "
            "name a model of a kind that it knows, or another version of transformers"
        )
    config = read_config(folder, "hf")
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise UnknownKind(f"hf: {name} is of the kind {kind!r}, which reads no images with text; name an image-text-to-text model")
    return config


def sizes_of(config: Any, tokens: int, images: int) -> Sizes:
    """How much memory it takes, from a network without any."""
    import torch
    from transformers import AutoModelForImageTextToText

    network = empty(lambda: AutoModelForImageTextToText.from_config(config, trust_remote_code=False))
    head = network.get_output_embeddings()
    matrices = sum(part.weight.numel() for part in network.modules() if isinstance(part, torch.nn.Linear) and part is not head)
    whole = sum(parameter.numel() for parameter in network.parameters())
    text, eyes = config.get_text_config(), getattr(config, "vision_config", None)
    try:
        cache, work = language_sizes(text)
    except AttributeError:  # layers of other kinds than attention
        cache, work = 0, 10 * int(getattr(text, "hidden_size", 0))
    seen = 12 * int(getattr(eyes, "hidden_size", 0) or 0)  # what a layer computes with, for each patch
    return Sizes(matrices, whole - matrices, cache, work, eyes=tokens * seen, tokens=tokens, images=images)


def load(folder: Path, config: Any, *, precision: str, device: Any, device_map: str, attention: str) -> tuple[Any, list[str]]:
    """The network, and the names of tensors in its files that it has no place for. Raises ``WrongWeights`` for one that is missing or misshapen."""
    import torch
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    number = {"fp32": torch.float32, "fp16": torch.float16}.get(precision, torch.bfloat16)
    more: dict[str, Any] = {} if attention == "auto" else {"attn_implementation": attention}
    if precision == "8bit":
        more["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    if precision == "4bit":
        more["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=number)
    with reading("the weights", folder, "hf"), _no_program(folder):
        network, told = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=config,
            dtype=number,
            device_map=device_map or {"": str(device)},
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told apart below, by name
            **more,
        )
    for what, names in (("are missing", told["missing_keys"]), ("are of another shape", told["mismatched_keys"])):
        if named := sorted(str(name[0] if isinstance(name, tuple) else name) for name in names):
            raise WrongWeights(
                f"hf: of the tensors of {folder.name} {len(named)} {what} ({named[0]} first) and would be random; take the folder whole, "
                "or the version of transformers that it was written for"
            )
    check_places(getattr(network, "hf_device_map", {}), "hf")
    for name, value in network.state_dict().items():
        if not value.is_meta:
            check_finite(name, value, "hf")
    return network.eval().requires_grad_(False), sorted(map(str, told["unexpected_keys"]))


@contextmanager
def _no_program(folder: Path) -> Iterator[None]:
    """While weights are read: a file that holds more than tensors is refused in our words, for PyTorch's own advise to run what is in it."""
    try:
        yield
    except Exception as error:  # a pickle's is wrapped, in some versions, in what another file raises
        if "weights_only" not in str(error) and not isinstance(error, pickle.UnpicklingError):
            raise
        raise WrongWeights(
            f"hf: the weights of {folder.name} hold more than tensors and plain values, or are no PyTorch file, and are not opened, for they could "
            "run code; take the model as safetensors, or fetch the files again"
        ) from error

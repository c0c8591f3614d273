"""How a model of transformers is asked: its processor, its own chat template, and the tensors that both make of words and images.

The template is the model's, and so is the place of the images in it. What is filled in cannot speak for it: signs of the vocabulary that stand in a
report (``<image>``) are taken out of the question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.pretrained import NoNetwork, reading
from adapters.running import whole_signs
from adapters.vision_language.pieces import without_signs
from benchmark.records import UserError

if TYPE_CHECKING:
    from PIL import Image

FILM_PX = (2544, 3056)
"""width and height of the usual image of MIMIC-CXR-JPG"""


class NoTemplate(UserError):
    """The model's chat template is not there, or takes no image."""


class Asked(NamedTuple):
    """One case, as it is asked about."""

    text: str
    """the question, not yet in the template"""
    images: Sequence[Image.Image]
    """in three colours"""


class Asking:
    """Words and images -> what the network reads."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        """``template``: a file of Jinja in place of the model's own. Raises ``NoNetwork``, ``NoTemplate``."""
        from transformers import AutoProcessor

        with reading("the processor", folder, "hf"):
            self.processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        self.pieces: Any = getattr(self.processor, "tokenizer", None)
        if self.pieces is None or getattr(self.processor, "image_processor", None) is None:
            raise NoNetwork(f"hf: {folder.name} has no processor of words and images (processor_config.json, tokenizer); take the folder whole")
        self.pieces.padding_side = "left"  # an answer goes on where its question ends
        if self.pieces.pad_token_id is None:
            self.pieces.pad_token = self.pieces.eos_token
        self.who = folder.name
        self.template = self._read_template(template)
        own = getattr(self.processor, "image_token", None)
        # Of those that a vocabulary marks as special, transformers names only those that it has a use for: <start_of_turn> is none of them.
        special = {sign.content for sign in self.pieces.added_tokens_decoder.values() if sign.special and sign.content.strip()}
        self._signs = sorted({*special, *self.pieces.all_special_tokens, *([own] if isinstance(own, str) else [])}, key=len, reverse=True)
        self._check_images()

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the template's checksum."""
        return hashlib.sha256(self.template.encode()).hexdigest()[:12]

    def in_template(self, text: str, images: int) -> str:
        """The question as it is sent: within the model's turns, with a sign for each image before the words. Raises ``NoTemplate``."""
        text = without_signs(whole_signs(text), self._signs)
        content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": text}]
        try:
            return str(
                self.processor.apply_chat_template(
                    [{"role": "user", "content": content}], chat_template=self.template, add_generation_prompt=True, tokenize=False
                )
            )
        except Exception as error:  # of Jinja, and whatever a template raises by itself
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise NoTemplate(
                f"hf: {self.who} was to be asked with {images} images, and its chat template will not ({first}); "
                "name another template, --set hf.template=FILE, or --set hf.images=frontal"
            ) from error

    def tensors(self, asked: Sequence[Asked]) -> Any:
        """What the network reads of a batch, filled up on the left; raises whatever the processor does."""
        texts = [self.in_template(one.text, len(one.images)) for one in asked]
        begin = self.pieces.bos_token
        more = {"add_special_tokens": False} if begin and texts[0].startswith(begin) else {}  # else there would be two
        return self.processor(text=texts, images=[list(one.images) for one in asked], padding=True, return_tensors="pt", **more)

    def tokens_of_a_film(self, words: str, images: int, max_side_px: int) -> int:
        """Tokens of a question with so many images of the usual size."""
        from PIL import Image

        share = min(1.0, max_side_px / max(FILM_PX)) if max_side_px else 1.0
        film = Image.new("RGB", (round(FILM_PX[0] * share), round(FILM_PX[1] * share)))
        with reading("the processor", Path(self.who), "hf"):
            return int(self.tensors([Asked(words, [film] * images)])["input_ids"].shape[1])

    def _read_template(self, file: Path | None) -> str:
        if file is not None:
            try:
                return file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise NoTemplate(f"hf: the template {file.name} cannot be read ({error}); name a text file") from error
        found = getattr(self.processor, "chat_template", None) or self.pieces.chat_template
        found = found.get("default") if isinstance(found, dict) else found
        if not found:
            raise NoTemplate(
                f"hf: {self.who} has no chat template, so nobody says how it is asked; name a model that was trained to be asked (-it, -Instruct), "
                "or a template, --set hf.template=FILE"
            )
        return str(found)

    def _check_images(self) -> None:
        """Raise ``NoTemplate`` for a template that passes over images: the model would write of nothing, and fluently."""
        if self.in_template("?", 1) == self.in_template("?", 0):
            raise NoTemplate(
                f"hf: {self.who} was to be shown an image, and its chat template has no place for one; "
                "name a model whose template has, or a template, --set hf.template=FILE"
            )

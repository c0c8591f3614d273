"""LLM-CXR as a model of the benchmark: cases to impressions.

python -m benchmark run --models llm_cxr:FOLDER      FOLDER holds both unpacked archives, or is that of the language model with the other beside it

Lee et al., LLM-CXR: Instruction-finetuned LLM for CXR image understanding and generation, ICLR 2024 (https://arxiv.org/abs/2305.11490). Equal to the
authors' program (https://github.com/hyn2028/llm-cxr at 854a233: image, codes, prompt, its token ids, logits, greedy tokens, text) but for this:

- theirs draws one of ten instructions for each case, and then the tokens; here it is the first of the ten and the likeliest tokens, so that a table
  can be made again. instruction=random and sampling=yes do as theirs, each case by a seed of its own;
- an answer without a word is an empty report; theirs finds a "#" in it;
- theirs encodes no image with a side under 256 pixels, here it is made larger, as in their demo; colour is made grey; DICOM files are read too;
- the language model reads 16 bits, as theirs; questions of a batch are filled up on the left, and what fills them is not seen.

Words of an image in an answer are no text: they are left out of it, as theirs leaves them out, but kept with the report, and counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.needed import packages_line
from adapters.pretrained import NoNetwork, file_digests
from adapters.protocol import learnt_from
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import Sizes
from adapters.vision_language.pieces import ids_of, number_of, read_pieces
from adapters.vision_language.pixels import middle, normalised, resized
from adapters.vision_language.published import PACKAGES, memory_line
from adapters.vision_language.writing import Asked, Drawn, Writer, Written, reports, seed_of
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ProtocolCard, Report, UserError

WHO = "llm_cxr"
LANGUAGE, VQGAN = "llmcxr_mimic-cxr-256-txvloss-medvqa-stage1_2", "vqgan_mimic-cxr-256-txvloss"
"""folders in the published archives"""
PAGE = "https://github.com/hyn2028/llm-cxr#pretrained-models"
PUBLISHED_SIZES = Sizes(
    matrices=2_516_582_400,  # 32 layers of 4 x 2560 x 2560 + 2 x 2560 x 10240
    others=293_377_792,  # embeddings and head of 51,305 words, the encoder
    cache=2 * 32 * 2560,
    work=6 * 2560 + 3 * 10240,
    eyes=2 * 4 * 256 * 256 * 128,
    tokens=256 + 60 + 128,
)
INSTRUCTIONS = (  # training/mimiccxr_vq_dataset.py
    "Generate free-text radiology reports for the entered chest X-ray images.",
    "Use the entered chest X-ray images to create corresponding free-text radiology reports.",
    "Based on the entered chest X-ray images, produce free-text radiology reports.",
    "Create free-text radiology reports that correspond to the entered chest X-ray images.",
    "Utilize the entered chest X-ray images to generate corresponding free-text radiology reports.",
    "Generate free-text radiology reports in accordance with the entered chest X-ray images.",
    "Use the entered chest X-ray images to create accurate free-text radiology reports.",
    "Produce free-text radiology reports that match the entered chest X-ray images.",
    "Create free-text radiology reports that are consistent with the entered chest X-ray images.",
    "Utilize the entered chest X-ray images to generate comprehensive free-text radiology reports.",
)
PROMPT = (  # training/consts.py
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\nInput:\n{image}\n\n### Response:\n"
)
IMAGE = "<image>"
END = "### End"
TOP_P = 0.92  # training/generate.py
LONGEST = 128  # generate_eval.py
BATCH = 16
BLANKS = (*".?!,", "n't", "'m", "'s", "'ve", "'re")
"""before these transformers 4.28 leaves out a blank of what it decodes, and both around a lone '"""


class LLMCXR:
    """Writes impressions."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        seed: int = 0,
        weights: str = "",
        vqgan: str = "",
        precision: Precision = "auto",
        batch_size: int = 0,
        max_tokens: int = LONGEST,
        instruction: str = "",
        sampling: bool = False,
        device_map: DeviceMap = "",
        trust_pickle: bool = False,
    ) -> None:
        """Load the published files.

        weights       folder that holds both unpacked archives, or that of the language model; ``argument`` is the same
        vqgan         folder of the VQ-GAN, a .yaml and a .ckpt; empty = the one beside the language model, under its published name
        precision     of the language model: auto = bf16, as its authors ran it; 8bit and 4bit need bitsandbytes. The VQ-GAN keeps 32 bits
        batch_size    cases at once; 0 = as many as fit, 16 at most
        max_tokens    of a report
        instruction   given in place of the first of the authors' ten; random = for each case one of the ten, as theirs
        sampling      draw tokens among the likeliest that make up 92 % (theirs), by ``seed``; else take the likeliest
        device_map    spread the network over devices by accelerate; empty = all of it on one
        trust_pickle  open a .ckpt even if it holds more than tensors, which can run code

        Raises UserError for what is not there, does not fit, or is another model's.
        """
        check_packages(WHO)
        if max_tokens < 1:
            raise UserError(f"{WHO}: max_tokens is {max_tokens}; at least 1 is needed")
        if IMAGE in instruction:
            raise UserError(f"{WHO}: the instruction has an {IMAGE} of its own; the image is put in behind it, leave the sign out")
        from adapters.llm_cxr.network import Network, files_of, open_files
        from adapters.vision_language.loading import empty, load

        where, kind = device_and_precision(WHO, device, precision)
        language, eyes = folders(argument or weights, vqgan)
        self.pieces = read_pieces(language, WHO)
        self.end, self.words = number_of(self.pieces, END, WHO), int(self.pieces.get_vocab_size(with_added_tokens=True))
        self.sign = ids_of(self.pieces, IMAGE)
        if len(self.sign) != 3:
            raise NoNetwork(f"{WHO}: the vocabulary cuts {IMAGE} into {len(self.sign)} pieces, the model's into 3; take the one published with it")
        files = open_files(language, eyes, self.words, trust_pickle=trust_pickle)
        self._files = files_of(language, eyes)
        network = empty(lambda: Network(files.eyes, files.language))
        sizes = files.sizes(network, max_tokens)
        run = fitted(sizes, WHO, device=where, precision=kind, batch_size=batch_size, at_most=BATCH, device_map=device_map)
        self.network = load(
            network,
            files.stored,
            WHO,
            precision=run.precision,
            device=run.device,
            small="language.gpt_neox",
            device_map=device_map,
            exact=("vqgan",),
        )
        self.precision, self.max_tokens, self.instruction, self.sampling, self.seed = run.precision, max_tokens, instruction, sampling, seed
        self.image_px, self.image_tokens = files.image_px, files.image_tokens
        self.writer = Writer(
            self.network.language,
            self.network.see,
            self.pieces,
            end=[self.end],
            most=max_tokens,
            batch_size=run.batch_size,
            who=WHO,
            drawn=Drawn(TOP_P) if sampling else None,
        )

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return [
            packages_line(PACKAGES),
            (
                False,
                f"two archives, {LANGUAGE}.tar (about 11 GB) and {VQGAN}.tar, from Google Drive, not gated (code Apache-2.0; weights: no licence): "
                f"links at {PAGE}; unpack both into one folder and name it, {WHO}:FOLDER",
            ),
            memory_line(PUBLISHED_SIZES),
        ]

    @property
    def cases_together(self) -> int:
        """A report's last digits may depend on these."""
        return self.writer.cases_together

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order."""
        return reports(self.writer, cases, self.ask, self.finish)

    def ask(self, case: Case) -> Asked | str:
        """What the model is asked about a case, or why it cannot be."""
        if not case.images:
            return "the case has no image"
        path = case.images[0].path
        chunks = self.chunks(self.asked_of(case))
        return Asked(chunks, lambda: [self.picture(read_radiograph(path))], self.image_tokens, seed_of(self.seed, case))

    def asked_of(self, case: Case) -> str:
        """The instruction about a case."""
        if self.instruction == "random":
            return random.Random(f"{self.seed} {case.id}").choice(INSTRUCTIONS)
        return self.instruction or INSTRUCTIONS[0]

    def chunks(self, instruction: str) -> list[list[int]]:
        """The ids before and behind the image: it stands for the second of the three pieces of its sign, whose first and last are read."""
        ids = ids_of(self.pieces, PROMPT.format(instruction=instruction, image=IMAGE))
        places = [place for place in range(len(ids) - 2) if ids[place : place + 3] == self.sign]
        if len(places) != 1:
            raise NoNetwork(f"{WHO}: the vocabulary cuts the prompt so that {len(places)} images are in it; take the one published with the model")
        return [ids[: places[0] + 1], ids[places[0] + 2 :]]

    def picture(self, grey: np.ndarray) -> np.ndarray:
        """(H, W) uint8 -> (3, S, S) float32 in [-1, 1]."""
        share = self.image_px / min(grey.shape)
        size = (round(share * grey.shape[1]), round(share * grey.shape[0]))
        return normalised(middle(resized(grey, size, "lanczos"), self.image_px), (0.5,) * 3, (0.5,) * 3)

    def finish(self, case: Case, written: Written) -> Report:
        """The report of what was written; words of an image are none of it, and their ids are kept."""
        details: dict[str, Any] = {"cut_at_tokens": len(written.ids)} if written.is_cut else {}
        if any(number >= self.words for number in written.ids):
            self.writer.rate.unread["they hold words of an image"] += 1
            details["ids_with_words_of_an_image"] = written.ids
        return Report(case.id, text=self.said(written.ids), details=details)

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer, as the authors' program reads it."""
        text: str = self.pieces.decode([number for number in ids if number < self.words], skip_special_tokens=False)
        for sign in BLANKS[:4]:
            text = text.replace(f" {sign}", sign)
        text = text.replace(" ' ", "'")
        for sign in BLANKS[4:]:
            text = text.replace(f" {sign}", sign)
        return text.strip()

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums of all files, and how they are used."""
        made = {
            "files_sha256": file_digests(self._files),
            "precision": self.precision,
            "max_tokens": self.max_tokens,
            "instruction": self.instruction or INSTRUCTIONS[0],
            "sampling": f"top_p={TOP_P}" if self.sampling else "",
        }
        return {**made, "seed": self.seed} if self.sampling or self.instruction == "random" else made

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        leaks = {name: why for name, why in (learnt_from("mimic_cxr").leaks or {}).items() if name != "mimic_cxr/validate"}
        how = f"tokens drawn, top-p {TOP_P}, seed {self.seed}" if self.sampling else "greedy"
        given = {
            "": "Each case was given the first of its authors' ten instructions; theirs draws one for each.",
            "random": f"Each case was given one of its authors' ten instructions, drawn by seed {self.seed}.",
        }.get(self.instruction, f"It was given another instruction than it was trained with: {self.instruction}")
        greedy = () if self.sampling else ("Its authors' program draws its tokens; here they are the likeliest, so that a table can be made again.",)
        small = (f"The language model's matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        return ProtocolCard(
            target="impression",
            inputs=("frontal image",),
            decoding=f"{how}, at most {self.max_tokens} tokens",
            training=(
                "MIMIC-CXR, train split: findings with impression, then impressions of frontal images, their VQA and the way back to images; "
                "Dolly v2 3B, which had learnt before"
            ),
            leaks=leaks,
            licence="Apache-2.0 (code), none stated for the weights",
            weights=f"{PAGE}, stage1_2",
            remarks=("It writes an impression: beside findings it is measured on what it was not taught to write.", given, *greedy, *small),
        )


def folders(named: str, vqgan: str) -> tuple[Path, Path]:
    """The folders of the language model and of the VQ-GAN. Raises ``NoNetwork``."""
    if not named:
        raise NoNetwork(f"{WHO}: no weights are named, and no hub has them; unpack the archives of {PAGE} into one folder and name it: {WHO}:FOLDER")
    folder = Path(named).expanduser()
    language = folder if (folder / "config.json").is_file() else folder / LANGUAGE
    places = [Path(vqgan).expanduser()] if vqgan else [folder / VQGAN, language.parent / VQGAN]
    if not (language / "config.json").is_file():
        raise NoNetwork(f"{WHO}.weights={folder.name}: holds neither config.json nor the folder {LANGUAGE}; unpack the archive of {PAGE} and name it")
    if not (found := [place for place in places if place.is_dir()]):
        raise NoNetwork(f"{WHO}.vqgan={places[0].name}: is no folder; unpack the archive of {PAGE} and name it, --set {WHO}.vqgan=FOLDER")
    return language, found[0]

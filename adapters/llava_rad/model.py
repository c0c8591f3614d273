"""LLaVA-Rad as a model of the benchmark: cases to findings.

python -m benchmark run --models llava_rad --set llava_rad.download=yes                        fetches 13.5 + 2 GB once, into the hub's cache
python -m benchmark run --models llava_rad --set llava_rad.weights=PATH --set llava_rad.base=PATH

Zambrano Chaves et al., A clinically accessible small multimodal radiology model and evaluation metric for chest X-ray findings, Nature Communications
2025 (https://arxiv.org/abs/2403.08002). Equal to the authors' program (https://github.com/microsoft/LLaVA-Rad at 1fc4409: prompt, image, features,
greedy tokens) from the image file to the report, but for this:

- the additions of its LoRA are put into the weights in 32 bits, theirs in 16; with 16 bits a report can differ by it, and by who shares its batch;
- their batches hold questions of one length, ours are filled up on the left, and what fills them is not seen;
- theirs keeps colour, if an image has any; here an image is made grey first. DICOM files are read too;
- an indication is the case's, as the dataset cuts it out of the report; theirs was cut out by GPT-4, and not everywhere alike;
- signs of the vocabulary in it (``</s>``, ``<image>``) become blanks, where theirs reads an end, or looks for a second image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adapters.pretrained import file_digests
from adapters.protocol import learnt_from
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import Sizes
from adapters.vision_language.pieces import IMAGE, around_images, check_rows, number_of, read_pieces, signs_of, without_signs
from adapters.vision_language.pixels import CLIP_DEVIATION, CLIP_MEAN, middle, normalised, short_side_to
from adapters.vision_language.published import Published, needs_of
from adapters.vision_language.writing import Asked, Writer, Written, reports
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ProtocolCard, Report, UserError

WEIGHTS = Published(
    "microsoft/llava-rad",
    "dcdbc6caf6806c9acb66e12a827a39c86e00f6a7",
    "MSR licence, research only",
    2.0,
    ("config.json", "adapter_config.json", "adapter_model.bin", "non_lora_trainables.bin", "biomedclipcxr_518*"),
    ("config.json", "adapter_config.json", "adapter_model.bin", "non_lora_trainables.bin", "biomedclipcxr_518_checkpoint.pt"),
)
BASE = Published("lmsys/vicuna-7b-v1.5", "3321f76e3f527bd14065daf69dad9344000a201d", "Llama 2 licence", 13.5)
PUBLISHED_SIZES = Sizes(
    matrices=6_476_005_376,  # 32 layers of 4 x 4096 x 4096 + 3 x 4096 x 11008
    others=361_830_144,  # embeddings and head of 32,000 words, 11 blocks of ViT-B, projector
    cache=2 * 32 * 4096,
    work=6 * 4096 + 3 * 11008,
    eyes=1369 * (8 * 768 + 3072),
    tokens=1369 + 150 + 256,
)
SYSTEM = (  # conversation "v1" of LLaVA
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the "
    "user's questions."
)
QUESTION = "Provide a description of the findings in the radiology image."  # llava/utils.py, data_loader_mimic_reason_findings
QUESTION_GIVEN = "Provide a description of the findings in the radiology image given the following indication: {indication}"
BATCH = 8  # scripts/eval.sh
LONGEST = 256  # llava/eval/model_mimic_cxr.py


class LLaVARad:
    """Writes findings."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: str = "",
        base: str = "",
        download: bool = False,
        precision: Precision = "auto",
        batch_size: int = 0,
        max_tokens: int = LONGEST,
        question: str = "",
        device_map: DeviceMap = "",
        trust_pickle: bool = False,
    ) -> None:
        """Load the published files, or those that are named.

        weights       folder of LLaVA-Rad, or its name on the Hugging Face hub with @ and a revision; ``argument`` is the same
        base          likewise of Vicuna, which it was trained on
        download      fetch what is not on this machine
        precision     auto = fp16 on a GPU, as its authors ran it, and bf16 on a CPU; 8bit and 4bit need bitsandbytes
        batch_size    cases at once; 0 = as many as fit, 8 at most
        max_tokens    of a report
        question      asked in place of theirs, without the indication
        device_map    spread the network over devices by accelerate; empty = all of it on one
        trust_pickle  open the ViT's checkpoint even if it holds more than tensors, which can run code

        Raises UserError for what is not there, does not fit, or is another model's.
        """
        check_packages("llava_rad")
        if max_tokens < 1:
            raise UserError(f"llava_rad: max_tokens is {max_tokens}; at least 1 is needed")
        from adapters.llava_rad.network import Network, open_files, weights_of
        from adapters.vision_language.loading import empty, load

        where, kind = device_and_precision("llava_rad", device, precision, usual="fp16")
        folder = WEIGHTS.folder(argument or weights, "llava_rad.weights", download=download)
        below = BASE.folder(base, "llava_rad.base", download=download)
        self.loaded = WEIGHTS.loaded(argument or weights, folder) + (f", upon {BASE.loaded(base, below)}" if base else "")
        self._files = weights_of(folder, below)
        self.pieces = read_pieces(below, "llava_rad")
        self.begin, end = number_of(self.pieces, "<s>", "llava_rad"), number_of(self.pieces, "</s>", "llava_rad")
        self.signs = signs_of(self.pieces)
        files = open_files(folder, below, trust_pickle=trust_pickle)
        check_rows(self.pieces, files.language.vocab_size, "llava_rad")
        network = empty(lambda: Network(files.tower, files.language))
        run = fitted(
            files.sizes(network, max_tokens),
            "llava_rad",
            device=where,
            precision=kind,
            batch_size=batch_size,
            at_most=BATCH,
            device_map=device_map,
        )
        self.network = load(
            network, files.stored, "llava_rad", precision=run.precision, device=run.device, small="language.model", device_map=device_map
        )
        self.precision, self.max_tokens, self.question, self.tower = run.precision, max_tokens, question, files.tower
        self.writer = Writer(
            self.network.language, self.network.see, self.pieces, end=[end], most=max_tokens, batch_size=run.batch_size, who="llava_rad"
        )

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return needs_of("llava_rad", (WEIGHTS, BASE), PUBLISHED_SIZES)

    @property
    def cases_together(self) -> int:
        """A report's last digits may depend on these."""
        return self.writer.cases_together

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order."""
        return reports(self.writer, cases, self.ask, finish)

    def ask(self, case: Case) -> Asked | str:
        """What the model is asked about a case, or why it cannot be."""
        if not case.images:
            return "the case has no image"
        path = case.images[0].path
        chunks = around_images(self.pieces, prompt(without_signs(case.indication, self.signs), self.question), self.begin)
        return Asked(chunks, lambda: [self.picture(read_radiograph(path))], self.tower.side**2)

    def picture(self, grey: np.ndarray) -> np.ndarray:
        """(H, W) uint8 -> (3, S, S) float32."""
        side = self.tower.image_px
        return normalised(middle(short_side_to(grey, side), side), CLIP_MEAN, CLIP_DEVIATION)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums of all files, and how they are used."""
        return {
            "files_sha256": file_digests(self._files),
            "precision": self.precision,
            "max_tokens": self.max_tokens,
            "question": self.question,
        }

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        learnt = learnt_from("mimic_cxr")
        own = (f"It was asked another question than it was trained on: {self.question}",) if self.question else ()
        small = (f"The language model's matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        return ProtocolCard(
            target="findings",
            inputs=("frontal image",) if self.question else ("frontal image", "indication"),
            decoding=f"greedy, at most {self.max_tokens} tokens",
            training="MIMIC-CXR, train split, findings cut out of the reports by rules and GPT-4; Vicuna-7B v1.5 and a ViT that had learnt before",
            leaks=learnt.leaks,
            licence="MSR licence, research only (weights), Llama 2 licence (base model)",
            weights=self.loaded,
            remarks=("Its authors measured it on findings that GPT-4 and rules had cut out of the reports, of frontal images alone.", *own, *small),
        )


def prompt(indication: str, question: str = "") -> str:
    """The whole prompt, with a sign for the image."""
    asked = question or (QUESTION_GIVEN.format(indication=indication.replace("\n", " ")) if indication.strip() else QUESTION)
    return f"{SYSTEM} USER: {IMAGE}\n{without_signs(asked, [IMAGE]).strip()} ASSISTANT:"


def finish(case: Case, written: Written) -> Report:
    """The report of what was written."""
    text = written.text.strip().removesuffix("</s>").strip()
    return Report(case.id, text=text, details={"cut_at_tokens": len(written.ids)} if written.is_cut else {})

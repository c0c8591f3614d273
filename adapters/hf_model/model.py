"""Any image-text-to-text model that transformers knows (Qwen-VL, MedGemma, InternVL, LLaVA, ...) as a model of the benchmark, asked in words.

python -m benchmark run --models hf:google/medgemma-4b-it --set hf.download=yes
python -m benchmark run --models hf:Qwen/Qwen2.5-VL-7B-Instruct --set hf.prompt=prompts/mine.md --set hf.max_side_px=1024 --set hf.precision=4bit
python -m benchmark run --models hf:path/to/folder --set hf.images=all --context full

It is asked by its own chat template for the FINDINGS, greedily; the program that may lie in its folder is never run. What fills a batch is not seen.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from adapters.hf_model.asking import Asked, Asking
from adapters.hf_model.network import config_of, folder_of, load, sizes_of
from adapters.needed import packages_line
from adapters.pretrained import config_digest, reading_digest, weights_digest
from adapters.prompted.answer import Refusals, Section, check_settings, read_answer, report_of
from adapters.prompted.picture import opened
from adapters.prompted.question import Images, filled, inputs_of, prompt_of, shown
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import TooLittleMemory
from benchmark.records import Case, ProtocolCard, Report, UserError

Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]
BATCH = 8
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
WORDS_OF_A_CASE = "Fever and cough. " * 100
"""as many as an indication and a prior report may have, for the estimate of memory"""


class Written(NamedTuple):
    """What was written about a case."""

    text: str
    tokens: int
    is_cut: bool
    """no end came within the tokens that it may have"""


class HFModel:
    """Writes what a model of transformers answers."""

    def __init__(
        self,
        argument: str,
        *,
        device: str = "auto",
        prompt: Path | None = None,
        images: Images = "frontal",
        max_side_px: int = 0,
        template: Path | None = None,
        weights: str = "",
        revision: str = "",
        download: bool = False,
        precision: Precision = "auto",
        batch_size: int = 0,
        max_new_tokens: int = 512,
        device_map: DeviceMap = "",
        attention: Attention = "auto",
        section: Section = "findings",
        refusals: Refusals = "fail",
    ) -> None:
        """Load the model: its name on the Hugging Face hub, or a folder.

        prompt       a text in place of prompts/report.md
        images       frontal = the one that the report is asked for; all = further views and the previous examination too
        max_side_px  longer side of an image before the model's own processor gets it; 0 = as it is
        template     a chat template (Jinja) in place of the model's own
        weights      the folder, where argument is to be the name alone
        revision     of the hub's repository
        download     fetch what is not on this machine
        precision    auto = bf16, or fp16 on a GPU that has no bf16; 8bit and 4bit need bitsandbytes
        batch_size   cases at once; 0 = as many as fit, 8 at most
        device_map   spread the network over devices by accelerate; empty = all of it on one
        attention    which of transformers' implementations computes it
        section      findings = what stands under that heading, where an answer has headings; whole = every answer as it is
        refusals     fail = a refusal in words is a failed case; keep = it is scored as a report

        Raises UserError for what is not there, does not fit, or cannot be shown an image.
        """
        check_packages("hf")
        if images not in ("frontal", "all"):
            raise UserError(f"hf: images is {images!r}; it must be frontal or all")
        check_settings("hf", section, refusals)
        if attention not in get_args(Attention):
            raise UserError(f"hf has no attention={attention!r}; known: {', '.join(get_args(Attention))}")
        if max_new_tokens < 1 or max_side_px < 0:
            raise UserError(f"hf: max_new_tokens is {max_new_tokens} and max_side_px {max_side_px}; at least 1 and 0 are needed")
        self.images, self.max_side_px, self.max_new_tokens = images, max_side_px, max_new_tokens
        self.name = Path(argument).name if Path(argument).expanduser().is_dir() else argument  # where it lies is nobody's business
        self.section, self.refusals, self.attention = section, refusals, attention
        self.prompt = prompt_of(prompt)
        where, kind = device_and_precision("hf", device, precision)
        self.folder = folder_of(weights or argument, revision=revision, download=download)
        config = config_of(self.folder, self.name)
        self.asking = Asking(self.folder, template)
        text = config.get_text_config()
        self.longest = int(getattr(text, "max_position_embeddings", 0) or sys.maxsize)
        count = 1 if images == "frontal" else 2
        tokens = self.asking.tokens_of_a_film(self.prompt.text + WORDS_OF_A_CASE, count, max_side_px)
        sizes = sizes_of(config, tokens + max_new_tokens, count)
        run = fitted(sizes, "hf", device=where, precision=kind, batch_size=batch_size, at_most=BATCH, device_map=device_map)
        self.precision, self.batch_size = run.precision, run.batch_size
        self.network, self.left_out = load(
            self.folder, config, precision=run.precision, device=run.device, device_map=device_map, attention=attention
        )
        self.end = self._plain_answers()

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        has_all, said = packages_line(("torch", "torchvision", "transformers", "accelerate", "safetensors"))
        small = (
            ""
            if importlib.util.find_spec("bitsandbytes")
            else "; 8bit and 4bit need bitsandbytes, not installed: pip install 'clala-benchmark[quantised]'"
        )
        return [
            (has_all, f"{said}{small}" if has_all else said),
            (
                True,
                "a model that the user names, by its name on the Hugging Face hub (fetched with hf.download=yes) or a folder: "
                "hf:google/medgemma-4b-it; licence and gating are on its page (hf auth login, or $HF_TOKEN); about 2 GB of memory for a billion "
                "parameters in bf16, and what it needs is said before it is loaded",
            ),
        ]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch; the images of the next are read while one is written."""
        from adapters.learning import ahead

        batches = [cases[start : start + self.batch_size] for start in range(0, len(cases), self.batch_size)]
        asked = ahead((partial(self._ask_all, batch) for batch in batches), depth=1)
        for batch, questions in zip(batches, asked, strict=True):
            answers = iter(self._write([one for one in questions if isinstance(one, Asked)]))
            for case, question in zip(batch, questions, strict=True):
                answer = next(answers) if isinstance(question, Asked) else question
                yield Report(case.id, failure=answer) if isinstance(answer, str) else self._report(case, answer)

    def _ask_all(self, cases: Sequence[Case]) -> list[Asked | str]:
        return [self._ask(case) for case in cases]

    def _ask(self, case: Case) -> Asked | str:
        """What is asked about a case, or why nothing can be."""
        if not case.images:
            return "the case has no image"
        images = shown(case, self.images)
        try:
            pictures = [opened(image.path, self.max_side_px).convert("RGB") for image in images]
        except UserError as error:
            return str(error)
        return Asked(filled(self.prompt, case, images), pictures)

    def _write(self, asked: Sequence[Asked]) -> list[Written | str]:
        """Of each what was written, or why nothing was. A batch that does not go through is taken apart: one case must not fail the others."""
        if not asked:
            return []
        try:
            tensors = self.asking.tensors(asked)
        except Exception as error:  # each processor has its own words for an image that it does not like
            first = (str(error).strip().splitlines() or [""])[0]
            return self._apart(asked, f"the model's processor will not take the case ({type(error).__name__}: {first})")
        length = int(tensors["input_ids"].shape[1])
        if length + self.max_new_tokens > self.longest:
            return self._apart(asked, f"question ({length} tokens) and answer (up to {self.max_new_tokens}) are more than the model's {self.longest}")
        return self._answers(asked, tensors)

    def _apart(self, asked: Sequence[Asked], why: str) -> list[Written | str]:
        return [why] if len(asked) == 1 else [found for one in asked for found in self._write([one])]

    def _answers(self, asked: Sequence[Asked], tensors: Any) -> list[Written | str]:
        import torch

        begin = tensors["input_ids"].shape[1]
        try:
            with torch.inference_mode():
                rows = self.network.generate(**tensors.to(self.network.device, self.network.dtype), max_new_tokens=self.max_new_tokens)
            return [self._written(row) for row in rows[:, begin:].tolist()]
        except torch.OutOfMemoryError as error:
            if len(asked) == 1:
                raise TooLittleMemory(
                    "hf: one case alone did not fit into memory; end what else uses the device, or name --set hf.precision=4bit, or smaller images, "
                    "--set hf.max_side_px=1024"
                ) from error
        torch.cuda.empty_cache()  # outside of the handler, which would keep the failed batch's tensors
        half = (len(asked) + 1) // 2
        return [*self._write(asked[:half]), *self._write(asked[half:])]

    def _written(self, row: list[int]) -> Written:
        places = [row.index(end) for end in self.end if end in row]
        ids = row[: min(places)] if places else row
        return Written(self.asking.pieces.decode(ids, skip_special_tokens=True), len(ids), not places)

    def _report(self, case: Case, written: Written) -> Report:
        details: dict[str, Any] = {"tokens": written.tokens, **({"cut_at_tokens": written.tokens} if written.is_cut else {})}
        return report_of(case.id, written.text, read_answer(written.text, self.section), self.refusals, details)

    def _plain_answers(self) -> list[int]:
        """Take the likeliest token, always; the ids that end an answer."""
        from transformers import GenerationConfig

        named = self.network.generation_config.eos_token_id
        end = list(named) if isinstance(named, list | tuple) else [self.asking.pieces.eos_token_id if named is None else int(named)]
        # Of the files there may come a temperature, or a penalty: what is compared shall be what the network finds likeliest.
        self.network.generation_config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=self.asking.pieces.pad_token_id)
        return end

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums, the words, the form of the images, and how the network is used."""
        files = [self.folder / name for name in PROCESSOR_FILES if (self.folder / name).is_file()]
        return {
            "weights": weights_digest(self.folder),
            "reading": reading_digest(self.folder),
            "processor": config_digest({file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}),
            "left_out": len(self.left_out),
            "prompt": self.prompt.digest,
            "template": self.asking.digest,
            "images": self.images,
            "max_side_px": self.max_side_px,
            "precision": self.precision,
            "attention": self.attention,
            "max_new_tokens": self.max_new_tokens,
            "end": self.end,
            "section": self.section,
            "refusals": self.refusals,
        }

    def card(self) -> ProtocolCard:
        """Of what it learnt from nobody here knows."""
        size = f"at most {self.max_side_px} pixels a side" if self.max_side_px else "as its processor makes them of the whole file"
        small = (f"Its matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        unused = (f"{len(self.left_out)} tensors of its files have no place in the network, {self.left_out[0]} first.",) if self.left_out else ()
        return ProtocolCard(
            inputs=inputs_of(self.prompt, self.images),
            decoding=f"greedy, at most {self.max_new_tokens} tokens",
            weights=f"{self.name}, sha256 {weights_digest(self.folder)}",
            remarks=(
                f"Asked in words for the FINDINGS (prompt {self.prompt.digest}), images {size}; whether it has seen the measured cases, nobody says.",
                *small,
                *unused,
            ),
        )

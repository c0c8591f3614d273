"""RaDialog as a model of the benchmark: cases to findings.

python -m benchmark run --models radialog --set radialog.download=yes                        fetches 13.5 + 1.2 GB once, into the hub's cache
python -m benchmark run --models radialog --set radialog.weights=PATH --set radialog.base=PATH
python -m benchmark run --models radialog --set radialog.findings=file:structured_preds_chexpert_log_weighting_test_macro.json

Pellegrini et al., RaDialog: Large Vision-Language Models for X-Ray Reporting and Dialog-Driven Assistance, MIDL 2025
(https://arxiv.org/abs/2311.18681), in its second version, RaDialog-LLaVA. Equal to the authors' program
(https://github.com/ChantalMP/RaDialog_LLaVA at 72fa7ff: classifier, prompt, image, features, greedy tokens) from the image file to the report of one
case, but for this:

- their tower is never taken out of training mode, so that what it sees in an image depends on the images beside it, twelve in their evaluation. Here
  each image is seen by itself, as theirs does with one; ``norms`` has both other ways (``network.Norms``);
- the additions of its LoRA are put into the weights in 32 bits, theirs in 16; with 16 bits a report can differ by it;
- theirs turns colour to grey after the spread to 0..255, if an image has any; here before it. DICOM files are read too.

Version 1 is not built. It puts the image through a projector whose weights its own checkpoint seems not to hold (drawn anew, frozen, and left out of
what was saved), so that reports would follow a seed, and it stands on a copy of LAVIS; what its authors put on the hub is version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any, get_args

import numpy as np

from adapters.pretrained import file_digests
from adapters.protocol import learnt_from
from adapters.radialog.findings import NoFindings, file_named, in_words, read_findings
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import Sizes
from adapters.vision_language.pieces import IMAGE, around_images, check_rows, number_of, read_pieces
from adapters.vision_language.pixels import middle, normalised, short_side_to, spread_to_255
from adapters.vision_language.published import PATTERNS, Published, needs_of
from adapters.vision_language.writing import WINDOW, Asked, Writer, Written, reports
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ImageFile, ProtocolCard, Report, UserError

CLASSIFIER = "findings_classifier/checkpoints/chexpert_train/ChexpertClassifier.ckpt"
CORE = ("config.json", "adapter_config.json", "adapter_model.bin", "non_lora_trainables.bin")
WEIGHTS = Published(
    "ChantalPellegrini/RaDialog-interactive-radiology-report-generation",
    "14b6bf53a4105c7080f6f4ec6ff2f3b806a580a3",
    "Apache-2.0",
    1.2,
    (*CORE, CLASSIFIER),
    (*CORE, CLASSIFIER),
)
BASE = Published("liuhaotian/llava-v1.5-7b", "4481d270cc22fd5c4d1bb5df129622006ccd9234", "Llama 2 licence", 13.5, PATTERNS)
PUBLISHED_SIZES = Sizes(
    matrices=6_476_005_376,  # 32 layers of 4 x 4096 x 4096 + 3 x 4096 x 11008
    others=337_000_000,  # embeddings and head of 32,000 words, BioViL-T twice, projector, head of the classifier
    cache=2 * 32 * 4096,
    work=6 * 4096 + 3 * 11008,
    eyes=3 * 64 * 224**2,
    tokens=196 + 150 + 300,
)
SYSTEM = (  # conversation "v1", as RaDialog has it
    "A chat between a curious user and an artificial intelligence assistant acting as an experienced radiologist. The assistant gives professional, "
    "detailed, and polite answers to the user's questions."
)
QUESTION = (  # vicuna_prompts.json, img_matching_examples_ig2_noexamples_IMG_findings
    ". Predicted Findings: {findings}. You are to act as a radiologist and write the finding section of a chest x-ray radiology report for this "
    "X-ray image and the given predicted findings. Write in the style of a radiologist, write one fluent text without enumeration, be concise and "
    "don't provide explanations or reasons."
)
BATCH = 12  # test.py
LONGEST = 300  # test.py; 600 in the demo
READERS = 2
"""threads; Pillow and numpy let each other work"""
SHORT_SIDE_PX = 512  # test.py
IMAGE_PX, PATCHES = 448, 196  # 14 x 14 cells of 32 px, as in network.py, which is not imported before there is something to load
GREY: tuple[tuple[float, float, float], tuple[float, float, float]] = ((0.0,) * 3, (1.0,) * 3)
"""neither mean nor spread are taken off"""
SEEN = {
    "image": "The batch norms of its image encoder used each image's own mean and spread, as its authors' program does for one image at a time; the "
    "scores they publish are of batches of twelve.",
    "batch": "The batch norms of its image encoder used mean and spread of twelve neighbouring cases, as its authors' evaluation does: another order "
    "of the cases, or a run that is resumed, gives other reports.",
    "running": "The batch norms of its image encoder used what they learnt in training, which its authors' program never does.",
}


class RaDialog:
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
        findings: str = "classifier",
        norms: str = "image",
        device_map: DeviceMap = "",
        trust_pickle: bool = False,
    ) -> None:
        """Load the published files, or those that are named.

        weights       folder of RaDialog, or its name on the Hugging Face hub with @ and a revision; ``argument`` is the same
        base          likewise of LLaVA-1.5, which it was trained on
        download      fetch what is not on this machine
        precision     auto = bf16; 8bit and 4bit need bitsandbytes
        batch_size    cases at once; 0 = as many as fit, 12 at most
        max_tokens    of a report
        findings      what it is told of each image: classifier = what its own sees there; file:PATH = JSON, dicom id -> list of labels
        norms         whose mean and spread the image encoder takes off: image, batch or running, see ``network.Norms``
        device_map    spread the network over devices by accelerate; empty = all of it on one
        trust_pickle  open files that hold more than tensors and plain values, which can run code

        Raises UserError for what is not there, does not fit, or is another model's.
        """
        check_packages("radialog")
        if max_tokens < 1:
            raise UserError(f"radialog: max_tokens is {max_tokens}; at least 1 is needed")
        stored = file_named(findings)
        self.told = read_findings(stored) if stored else None
        from adapters.radialog.classifier import ready
        from adapters.radialog.network import Network, Norms, forget_running, open_files, weights_of
        from adapters.vision_language.loading import empty, load

        if norms not in get_args(Norms):
            raise UserError(f"radialog has no norms={norms!r}; known: {', '.join(get_args(Norms))}")
        where, kind = device_and_precision("radialog", device, precision)
        published = WEIGHTS._replace(files=CORE, wanted=CORE) if stored else WEIGHTS
        folder = published.folder(argument or weights, "radialog.weights", download=download)
        below = BASE.folder(base, "radialog.base", download=download)
        self.loaded = WEIGHTS.loaded(argument or weights, folder) + (f", upon {BASE.loaded(base, below)}" if base else "")
        self._files = [*weights_of(folder, below), stored or folder / CLASSIFIER]
        self.pieces = read_pieces(below, "radialog")
        self.begin, end = number_of(self.pieces, "<s>", "radialog"), number_of(self.pieces, "</s>", "radialog")
        files = open_files(folder, below, trust_pickle=trust_pickle)
        check_rows(self.pieces, files.language.vocab_size, "radialog")
        network = empty(lambda: Network(files.language))
        beside = 0 if stored else sum(value.numel() for value in network.tower.state_dict().values())
        sizes = files.sizes(network, max_tokens, beside)
        run = fitted(sizes, "radialog", device=where, precision=kind, batch_size=batch_size, at_most=BATCH, device_map=device_map)
        # First of the two: its checkpoint is the one that may be refused, and that is better said before 14 GB are read.
        self.classifier = None if stored else ready(folder / CLASSIFIER, precision=kind, device=where, trust_pickle=trust_pickle)
        self.network = load(
            network, files.stored, "radialog", precision=run.precision, device=run.device, small="language.model", device_map=device_map
        )
        if norms != "running":
            forget_running(self.network.tower)
        self.precision, self.max_tokens, self.findings, self.norms, self.device = run.precision, max_tokens, findings, norms, run.device
        see = {"image": self.network.see_each, "batch": self.network.project, "running": self.network.see}[norms]
        self.writer = Writer(self.network.language, see, self.pieces, end=[end], most=max_tokens, batch_size=run.batch_size, who="radialog")
        self._labels: dict[str, tuple[str, ...]] = {}

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return needs_of("radialog", (WEIGHTS, BASE), PUBLISHED_SIZES)

    @property
    def cases_together(self) -> int:
        """A report's last digits may depend on these."""
        return self.writer.cases_together

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order."""
        self._labels.clear()
        together = self._together(cases) if self.norms == "batch" else None
        pool = ThreadPoolExecutor(READERS)
        read = read_ahead(cases, WINDOW * self.writer.batch_size, pool)
        try:
            yield from reports(self.writer, cases, lambda case: self.ask(case, read, together), self.finish)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def ask(
        self,
        case: Case,
        read: Callable[[Case], np.ndarray] = lambda case: shrunk(case.images[0]),
        together: Callable[[Case], np.ndarray] | None = None,
    ) -> Asked | str:
        """What the model is asked about a case, or why it cannot be.

        read      gives the image of a case as ``shrunk`` does, for the classifier
        together  gives the (196, 512) patches of a case that was seen beside others, in place of its image
        """
        if not case.images:
            return "the case has no image"
        image = case.images[0]
        try:
            grey = read(case) if self.told is None else None
            labels = self.labels(image, grey)
        except UserError as error:
            return str(error)
        self._labels[case.id] = labels
        chunks = around_images(self.pieces, prompt(labels), self.begin)
        # Between being asked and being read wait some hundred cases: what is kept of an image is its middle, in 8 bits.
        kept = middle(grey, IMAGE_PX).copy() if grey is not None else None

        def images() -> list[np.ndarray]:
            return [together(case) if together else normalised(middle(shrunk(image), IMAGE_PX) if kept is None else kept, *GREY)]

        return Asked(chunks, images, PATCHES)

    def labels(self, image: ImageFile, grey: np.ndarray | None) -> tuple[str, ...]:
        """What the model is told of an image; ``grey`` as ``shrunk`` gives it, for the classifier. Raises ``UserError``."""
        if self.classifier is not None and grey is not None:
            from adapters.radialog.classifier import IMAGE_PX

            return self.classifier.labels(normalised(middle(grey, IMAGE_PX), *GREY))
        name = image.id or image.path.stem
        if self.told is None or name not in self.told:
            raise NoFindings(f"no findings are stored of image {name!r}; add them to the file, or have the classifier asked")
        return self.told[name]

    def _together(self, cases: Sequence[Case]) -> Callable[[Case], np.ndarray]:
        """A case -> its patches, seen beside those that come with it, twelve of the order in which the cases are given."""
        import torch

        group_of = {case.id: number // BATCH for number, case in enumerate(cases)}

        @lru_cache(maxsize=2 + WINDOW * self.writer.batch_size // BATCH)
        def seen(group: int) -> dict[str, np.ndarray | UserError]:
            found: dict[str, np.ndarray | UserError] = {}
            for case in cases[group * BATCH : (group + 1) * BATCH]:
                try:
                    if case.images:
                        found[case.id] = normalised(middle(shrunk(case.images[0]), IMAGE_PX), *GREY)
                except UserError as error:
                    found[case.id] = error
            usable = {name: picture for name, picture in found.items() if isinstance(picture, np.ndarray)}
            with torch.inference_mode():
                patches = self.network.look(torch.from_numpy(np.stack(list(usable.values()))).to(self.device)) if usable else ()
            return {**found, **{name: own.float().cpu().numpy() for name, own in zip(usable, patches, strict=True)}}

        def patches(case: Case) -> np.ndarray:
            own = seen(group_of[case.id])[case.id]
            if isinstance(own, UserError):
                raise own
            return own

        return patches

    def finish(self, case: Case, written: Written) -> Report:
        """The report of what was written, with what the model was told."""
        details: dict[str, Any] = {"told": list(self._labels.pop(case.id, ()))}
        if written.is_cut:
            details["cut_at_tokens"] = len(written.ids)
        return Report(case.id, text=written.text.strip().removesuffix("</s>").strip(), details=details)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums of all files, and how they are used."""
        return {
            "files_sha256": file_digests(self._files),
            "precision": self.precision,
            "max_tokens": self.max_tokens,
            "findings": "classifier" if self.classifier else "file",
            "norms": self.norms,
        }

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        learnt = learnt_from("mimic_cxr")
        told = (
            "It is told what a classifier sees in the same image, which learnt CheXbert's labels on MIMIC-CXR's train split."
            if self.classifier
            else "It is told findings of a file, and not what its classifier sees: whoever made the file decides what it starts from."
        )
        small = (f"The language model's matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        return ProtocolCard(
            target="findings",
            inputs=("frontal image",),
            decoding=f"greedy, at most {self.max_tokens} tokens",
            training="MIMIC-CXR, train split, findings, with questions and corrections about them (RaDialog-Instruct); LLaVA-1.5 and BioViL-T, "
            "which had learnt before, the latter on MIMIC-CXR too",
            leaks=learnt.leaks,
            licence="Apache-2.0 (weights), Llama 2 licence (base model)",
            weights=self.loaded,
            remarks=(told, SEEN[self.norms], *small),
        )


def prompt(labels: Sequence[str]) -> str:
    """The whole prompt, with a sign for the image."""
    return f"{SYSTEM} USER: {IMAGE}{QUESTION.format(findings=in_words(labels))} ASSISTANT:"


def shrunk(image: ImageFile) -> np.ndarray:
    """(H, W) uint8 with a short side of 512, the whole range of grey used. Raises ``UnreadableImage``."""
    return short_side_to(spread_to_255(read_radiograph(image.path)), SHORT_SIDE_PX, "bilinear")


def read_ahead(cases: Sequence[Case], count: int, pool: ThreadPoolExecutor) -> Callable[[Case], np.ndarray]:
    """A case -> its image as ``shrunk`` gives it; those of the next so many cases are read meanwhile. To be asked in the order of the cases.

    The classifier must have seen an image before its question can be put: without this, everybody would wait for the disk between two windows.
    """
    waiting = iter([case for case in cases if case.images])
    coming: dict[str, Future[np.ndarray]] = {}

    def read(case: Case) -> np.ndarray:
        for later in islice(waiting, count - len(coming)):
            coming[later.id] = pool.submit(shrunk, later.images[0])
        return coming.pop(case.id).result()

    return read

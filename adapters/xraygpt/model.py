"""XrayGPT as a model of the benchmark: cases to summaries of findings and impression.

python -m benchmark run --models xraygpt:FOLDER      FOLDER holds the three .pth and the folder Vicuna_Radiology_fp16

Thawakar et al., XrayGPT: Chest radiographs summarization using medical vision-language models, 2023 (https://arxiv.org/abs/2306.07971). Equal to the
authors' program (https://github.com/mbzuai-oryx/XrayGPT at d0baa6a: image, projected queries, prompt and its token ids, logits, greedy tokens, text)
but for this:

- theirs draws one of fifteen questions for each case, some of which ask for no report; here it is always the second, which asks for findings and
  impression. question=random draws as theirs;
- tokens are drawn as theirs are, but each case by a seed of its own; sampling=no takes the likeliest, so that a table does not hang on a seed;
- theirs computes layer norms in 32 bits and products in 16; here the ViT is all in 16, the Q-Former all in 32;
- an end sign in an answer ends it, theirs leaves it in the text; of bytes in a row that make no sign all are lost, of theirs not all;
- colour is made grey first; DICOM files are read too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from adapters.needed import packages_line
from adapters.pretrained import NoNetwork, file_digests
from adapters.protocol import learnt_from
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import Sizes
from adapters.vision_language.pieces import SPACE, around_images, check_rows, number_of, read_pieces
from adapters.vision_language.pixels import CLIP_DEVIATION, CLIP_MEAN, normalised, resized
from adapters.vision_language.published import PACKAGES, memory_line
from adapters.vision_language.writing import Asked, Drawn, Writer, Written, reports, seed_of
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ProtocolCard, Report, UserError

WHO = "xraygpt"
BASE = "Vicuna_Radiology_fp16"  # xraygpt/configs/models/xraygpt.yaml
EYES, QFORMER, OWN = "eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth", "xraygpt_pretrained1.pth"
PAGE = "https://github.com/mbzuai-oryx/XrayGPT#launching-demo-on-local-machine"
PUBLISHED_SIZES = Sizes(
    matrices=6_476_005_376,  # 32 layers of 4 x 4096 x 4096 + 3 x 4096 x 11008
    others=1_356_674_560,  # ViT-g, Q-Former, embeddings and head of 32,000 words
    cache=2 * 32 * 4096,
    work=6 * 4096 + 3 * 11008,
    eyes=257 * (8 * 1408 + 6144),
    tokens=32 + 80 + 300,
)
Style = Literal["evaluation", "demo"]
IMAGE = "<ImageHere>"
PROMPTS = {
    "evaluation": "###Patient: <Img><ImageHere></Img> {question} ###Doctor: ",  # eval_configs/xraygpt_eval.yaml, prompts/alignment.txt
    "demo": (  # xraygpt/conversation/conversation.py
        "You are an experienced Doctor, give the following medical scan: <Img>ImageContent</Img>. You will be able to see the medical scan once I "
        "provide it to you. Please answer my questions.###Patient: <Img><ImageHere></Img> {question}###Doctor:"
    ),
}
QUESTIONS = (  # prompts/alignment.txt
    "Describe the given chest x-ray image in detail.",
    "Take a look at this chest x-ray and describe the findings and impression.",
    "Could you provide a detailed description of the given x-ray image?",
    "Describe the given chest x-ray image as detailed as possible.",
    "What are the key findings in this chest x-ray image?",
    "Could you highlight any abnormalities or concerns in this chest x-ray image?",
    "What specific features of the lungs and heart are visible in this chest x-ray image?",
    "What is the most prominent feature visible in this chest x-ray image, and how is it indicative of the patient's health?",
    "What are the finding and overall impression provided by this chest x-ray image?",
    "How does the size and shape of the heart in this chest x-ray image?",
    "Is the overall impression provided by this chest x-ray image normal or abnormal? Answer based on the observed findings.",
    "Are there any indications of infection or inflammation in this chest x-ray image, and if so, what is the likely cause?",
    "Based on the findings in this chest x-ray image, what is the overall impression?",
    "Are there any visible indications of enlargement or abnormalities in the patient's lymph nodes in this chest x-ray image?",
    "Is there any potential complications or risks are associated with the observed abnormalities in this chest x-ray image? or the x-ray is normal?",
)
QUESTION = QUESTIONS[1]
STOPS = ((f"{SPACE}###",), ("##", "#"))  # ids 835 and 2277, 29937 of LLaMA's vocabulary: conversation.py
TOP_P, TOP_K = 0.9, 50
"""top-p is theirs; of top-k they say nothing, and transformers then draws among 50"""
LONGEST = 300
BATCH = 8


class XrayGPT:
    """Writes summaries."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        seed: int = 0,
        weights: str = "",
        base: str = "",
        precision: Precision = "auto",
        batch_size: int = 0,
        max_tokens: int = LONGEST,
        question: str = "",
        style: Style = "evaluation",
        sampling: bool = True,
        device_map: DeviceMap = "",
        trust_pickle: bool = False,
    ) -> None:
        """Load the published files.

        weights       folder of eva_vit_g.pth, blip2_pretrained_flant5xxl.pth and xraygpt_pretrained1.pth; ``argument`` is the same
        base          folder of their Vicuna; empty = Vicuna_Radiology_fp16 within the other
        precision     auto = fp16 on a GPU, as its authors ran it, and bf16 on a CPU; 8bit and 4bit need bitsandbytes. The Q-Former keeps 32 bits
        batch_size    cases at once; 0 = as many as fit, 8 at most
        max_tokens    of a report
        question      asked in place of the second of the authors' fifteen; random = for each case one of the fifteen, as theirs
        style         the words around the question: evaluation, in which it was trained too, or demo, which begins with who is speaking
        sampling      draw tokens among the likeliest that make up 90 %, 50 at most (theirs), by ``seed``; else take the likeliest
        device_map    spread the network over devices by accelerate; empty = all of it on one
        trust_pickle  open a .pth even if it holds more than tensors, which can run code

        Raises UserError for what is not there, does not fit, or is another model's.
        """
        check_packages(WHO)
        if max_tokens < 1:
            raise UserError(f"{WHO}: max_tokens is {max_tokens}; at least 1 is needed")
        if style not in get_args(Style):
            raise UserError(f"{WHO} has no style={style!r}; known: {', '.join(get_args(Style))}")
        if IMAGE in question:
            raise UserError(f"{WHO}: the question has an {IMAGE} of its own; the image is put in before it, leave the sign out")
        from adapters.vision_language.loading import empty, load
        from adapters.xraygpt.network import Network, files_of, open_files

        where, kind = device_and_precision(WHO, device, precision, usual="fp16")
        folder, below = folders(argument or weights, base)
        self._files = files_of(folder, below)
        self.pieces = read_pieces(below, WHO)
        self.begin, end = number_of(self.pieces, "<s>", WHO), number_of(self.pieces, "</s>", WHO)
        self.unknown = number_of(self.pieces, "<unk>", WHO)
        stops = [[number_of(self.pieces, piece, WHO) for piece in stop] for stop in STOPS]
        files = open_files(folder, below, trust_pickle=trust_pickle)
        check_rows(self.pieces, files.language.vocab_size, WHO)
        network = empty(lambda: Network(files.shape, files.language))
        sizes = files.sizes(network, max_tokens)
        run = fitted(sizes, WHO, device=where, precision=kind, batch_size=batch_size, at_most=BATCH, device_map=device_map)
        self.network = load(
            network,
            files.stored,
            WHO,
            precision=run.precision,
            device=run.device,
            small="language.model",
            device_map=device_map,
            exact=("qformer", "queries"),
        )
        self.precision, self.max_tokens, self.shape = run.precision, max_tokens, files.shape
        self.question, self.style, self.sampling, self.seed = question, style, sampling, seed
        self.writer = Writer(
            self.network.language,
            self.network.see,
            self.pieces,
            end=[end],
            most=max_tokens,
            batch_size=run.batch_size,
            who=WHO,
            stops=stops,
            drawn=Drawn(TOP_P, top_k=TOP_K) if sampling else None,
        )

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return [
            packages_line(PACKAGES),
            (
                False,
                f"{OWN} and {BASE} (12.4 GB; CC BY-NC-SA 4.0, not gated), links at {PAGE}; {EYES} and {QFORMER} (2.0 and 0.4 GB, BSD-3), which their "
                f"program fetches from LAVIS' models/BLIP2; put all four into one folder and name it, {WHO}:FOLDER",
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
        chunks = around_images(self.pieces, PROMPTS[self.style].format(question=self.asked_of(case)), self.begin, image=IMAGE)
        return Asked(chunks, lambda: [self.picture(read_radiograph(path))], self.shape.queries, seed_of(self.seed, case))

    def asked_of(self, case: Case) -> str:
        """The question about a case."""
        if self.question == "random":
            return random.Random(f"{self.seed} {case.id}").choice(QUESTIONS)
        return self.question or QUESTION

    def picture(self, grey: np.ndarray) -> np.ndarray:
        """(H, W) uint8 -> (3, S, S) float32: the whole image, made square by force as theirs does."""
        side = self.shape.image_px
        return normalised(resized(grey, (side, side)), CLIP_MEAN, CLIP_DEVIATION)

    def finish(self, case: Case, written: Written) -> Report:
        """The report of what was written; if nothing is left of it, it stays as it came."""
        details: dict[str, Any] = {"cut_at_tokens": len(written.ids)} if written.is_cut else {}
        text, raw = self.said(written.ids), written.text.strip()
        if raw and not text:
            self.writer.rate.unread["nothing is behind their last 'Doctor:', or before their first '###'"] += 1
            text, details = raw, {**details, "is_raw": True}
        return Report(case.id, text=text, details=details)

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer, as the authors' program reads it."""
        ids = list(ids)
        for sign in (self.unknown, self.begin):
            if ids[:1] == [sign]:
                ids = ids[1:]
        text: str = self.pieces.decode(ids, skip_special_tokens=False)
        text = text.split("###")[0].split("Doctor:")[-1].strip()
        return text.replace("ChatDoctor", "XrayGPT").replace("Chat Doctor", "XrayGPT") if self.style == "demo" else text

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums of all files, and how they are used."""
        made = {
            "files_sha256": file_digests(self._files),
            "precision": self.precision,
            "max_tokens": self.max_tokens,
            "question": self.question or QUESTION,
            "style": self.style,
            "sampling": f"top_p={TOP_P}, top_k={TOP_K}" if self.sampling else "",
        }
        return {**made, "seed": self.seed} if self.sampling or self.question == "random" else made

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        leaks = {name: why for name, why in (learnt_from("mimic_cxr").leaks or {}).items() if name != "mimic_cxr/validate"}
        own = "it was trained with 3,403 reports of Open-i, whose 3,955 are IU X-Ray's, of whatever split"
        how = f"tokens drawn, top-p {TOP_P}, top-k {TOP_K}, seed {self.seed}" if self.sampling else "greedy"
        asked = {
            "": f"Each case was asked the second of its authors' fifteen questions, {QUESTION!r}; theirs draws one for each.",
            "random": f"Each case was asked one of its authors' fifteen questions, drawn by seed {self.seed}; some ask for less than a report.",
        }.get(self.question, f"It was asked another question than it was trained with: {self.question}")
        greedy = () if self.sampling else ("Its authors' program draws its tokens; here they are the likeliest.",)
        small = (f"The language model's matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        return ProtocolCard(
            target="findings and impression",
            inputs=("frontal image",),
            decoding=f"{how}, at most {self.max_tokens} tokens",
            training=(
                "reports of MIMIC-CXR, train split, and of Open-i, rewritten by GPT-3.5 into summaries; a Vicuna-7B that had read such and talks "
                "of doctors; EVA-CLIP and BLIP-2's Q-Former, as they had learnt from photographs"
            ),
            leaks={**leaks, "iu_xray": own},
            licence="CC BY-NC-SA 4.0 (code and weights), LLaMA's terms (base model)",
            weights=f"{PAGE}, {OWN}",
            remarks=("It writes free summaries, and its authors measured it against rewritten reports.", asked, *greedy, *small),
        )


def folders(named: str, base: str) -> tuple[Path, Path]:
    """The folders of the three .pth and of the LLaMA. Raises ``NoNetwork``."""
    if not named:
        raise NoNetwork(f"{WHO}: no weights are named, and no hub has them; get them at {PAGE} and name their folder: {WHO}:FOLDER")
    folder = Path(named).expanduser()
    if lacking := [name for name in (EYES, QFORMER, OWN) if not (folder / name).is_file()]:
        raise NoNetwork(f"{WHO}.weights={folder.name}: holds no {', no '.join(lacking)}; put the files of {PAGE} and LAVIS into it")
    below = Path(base).expanduser() if base else folder / BASE
    if not (below / "config.json").is_file():
        raise NoNetwork(f"{WHO}.base={below.name}: holds no config.json; unpack {BASE}.zip and name its folder, --set {WHO}.base=FOLDER")
    return folder, below

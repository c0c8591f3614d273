"""Any model that reads images behind an endpoint: hosted ones, or a vLLM, SGLang or Ollama of one's own, asked in words for the FINDINGS.

python -m benchmark run --models api:openai/gpt-4o-mini
python -m benchmark run --models api:openai/gpt-4o-mini --set api.prompt=prompts/mine.md --budget 5
python -m benchmark run --models api:Qwen/Qwen2.5-VL-7B-Instruct --llm-url http://127.0.0.1:8000/v1
python -m benchmark run --models small=api:openai/gpt-4o-mini,large=api:openai/gpt-4o --set large.max_side_px=2048 --estimate

It is asked by the client of language models (``benchmark/llm``), as the task ``report``: temperature 0, answers kept and never paid for twice,
limits, ``--budget``, ``--estimate``, ``--batch``, keys from the environment alone. Images and text of a credentialed dataset go to this machine
alone, or to hosts that ``benchmark.toml`` approves. ``--set llm.report.seed=1``, ``llm.report.max_tokens`` and the like are the endpoint's settings.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.prompted.answer import Answer, Refusals, Section, check_settings, read_answer, report_of
from adapters.prompted.picture import Format, encoded, opened
from adapters.prompted.question import Images, filled, inputs_of, prompt_of, shown
from benchmark.llm.questions import Failed, LanguageModels, Question, Unusable, ask_for
from benchmark.records import Case, ProtocolCard, Report, UserError


class ApiModel:
    """Writes what an endpoint answers."""

    asks = True
    """its questions stand in an estimate"""

    def __init__(
        self,
        argument: str,
        *,
        llm: LanguageModels | None = None,
        prompt: Path | None = None,
        images: Images = "frontal",
        max_side_px: int = 1024,
        image_format: Format = "jpeg",
        quality: int = 90,
        section: Section = "findings",
        refusals: Refusals = "fail",
    ) -> None:
        """Nothing is sent yet; that the data may not go there is said here.

        argument      the model as LiteLLM names it, provider/name, or as the server at --llm-url does
        prompt        a text in place of prompts/report.md
        images        frontal = the one that the report is asked for; all = further views and the previous examination too
        max_side_px   longer side of what is sent; 0 = as it is
        image_format  png loses nothing, and is some five times as large
        quality       of a JPEG, 1 to 95
        section       findings = what stands under that heading, where an answer has headings; whole = every answer as it is
        refusals      fail = a refusal in words is a failed case; keep = it is scored as a report

        Raises UserError.
        """
        if images not in ("frontal", "all"):
            raise UserError(f"api: images is {images!r}; it must be frontal or all")
        check_settings("api", section, refusals)
        if image_format not in ("jpeg", "png"):
            raise UserError(f"api: image_format is {image_format!r}; it must be jpeg or png")
        if max_side_px < 0 or not 1 <= quality <= 95:
            raise UserError(f"api: max_side_px is {max_side_px} and quality {quality}; at least 0, and 1 to 95, are needed")
        self.model, self.images, self.max_side_px, self.form, self.quality = argument, images, max_side_px, image_format, quality
        self.section, self.refusals = section, refusals
        self.prompt = prompt_of(prompt)
        self.ask = ask_for("report", llm, argument)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        has_http = importlib.util.find_spec("aiohttp") is not None
        has_litellm = importlib.util.find_spec("litellm") is not None
        others = "" if has_litellm else "; for Anthropic, Azure, Bedrock, Vertex also LiteLLM, not installed: pip install 'clala-benchmark[llm]'"
        return [
            (has_http, f"packages{others}" if has_http else "aiohttp not installed: pip install 'clala-benchmark[llm]'"),
            (
                True,
                "a model that the user names, and its key in the environment: api:openai/gpt-4o-mini, or api:NAME --llm-url http://127.0.0.1:8000/v1 "
                "for a server of one's own; its licence and terms are the provider's",
            ),
        ]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order; the next are asked for while one is waited for."""
        waiting: deque[tuple[Case, str]] = deque()
        """cases in order, with why they cannot be asked about, or nothing"""

        def questions() -> Iterator[Question]:
            for case in cases:
                question = self._question(case)
                waiting.append((case, question if isinstance(question, str) else ""))
                if isinstance(question, Question):
                    yield question

        for outcome in self.ask(questions(), self._read):
            yield from _failed(waiting)
            case, _ = waiting.popleft()
            if isinstance(outcome, Failed):
                yield Report(case.id, failure=f"no report from {self.model}: {outcome.kind}: {outcome.what}")
            else:
                yield report_of(case.id, outcome.text, outcome.value, self.refusals, {"served_by": outcome.served_by} if outcome.served_by else {})
        yield from _failed(waiting)

    def _question(self, case: Case) -> Question | str:
        """What is asked about a case, or why nothing can be."""
        if not case.images:
            return "the case has no image"
        images = shown(case, self.images)
        try:
            pictures = tuple(encoded(opened(image.path, self.max_side_px), self.form, self.quality) for image in images)
        except UserError as error:
            return str(error)
        return Question("report", filled(self.prompt, case, images), images=pictures)

    def _read(self, written: str) -> Answer:
        answer = read_answer(written, self.section)
        if not answer.text:
            raise Unusable("the report is empty; write the report")
        return answer

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: the model and its settings, the words, the form of the images."""
        form = "png" if self.form == "png" else f"jpeg, quality {self.quality}"
        return {
            "asked_as": self.ask.signature(),
            "prompt": self.prompt.digest,
            "images": self.images,
            "max_side_px": self.max_side_px,
            "image_format": form,
            "section": self.section,
            "refusals": self.refusals,
        }

    def card(self) -> ProtocolCard:
        """Of a model behind an endpoint nobody here knows what it learnt from."""
        size = f"at most {self.max_side_px} pixels a side" if self.max_side_px else "in full size"
        return ProtocolCard(
            inputs=inputs_of(self.prompt, self.images),
            decoding=self.ask.signature().replace("|", ", "),
            weights=f"behind an endpoint, as {self.model}",
            remarks=(
                f"Asked in words for the FINDINGS (prompt {self.prompt.digest}), images {size}; whether it has seen the measured cases, nobody says.",
                "What answers under a provider's name may change from one day to the next.",
            ),
        )


def _failed(waiting: deque[tuple[Case, str]]) -> Iterator[Report]:
    """The cases at the front that cannot be asked about."""
    while waiting and waiting[0][1]:
        case, why = waiting.popleft()
        yield Report(case.id, failure=why)

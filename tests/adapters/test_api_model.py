"""Models behind endpoints: what leaves the machine, what comes back, and what becomes of answers that are none. A real server on loopback."""

from __future__ import annotations

import base64
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmark"))

from llm_server import Server, serve

from adapters.api_model import ApiModel
from adapters.prompted.answer import Answer, read_answer
from benchmark import cli, evaluator
from benchmark.estimates import estimate_run
from benchmark.llm.batch import Pauses
from benchmark.llm.budget import BudgetReached
from benchmark.llm.client import WINDOW_OF_IMAGES
from benchmark.llm.data_use import DataUse, MayNotTravel
from benchmark.llm.models import LanguageModels, Manner
from benchmark.llm.prompts import BadPrompt
from benchmark.llm.questions import Picture, Question
from benchmark.llm.routes import NoEndpoint
from benchmark.records import Case, ImageFile, Report, RunConfig, UserError

FREE = DataUse(False, "")
MINE = "Say what is there. {images}\nWhy: {indication}\nBefore: {prior_report}\nThe end."


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answers, settings and keys of this machine."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CLALA_BENCHMARK_CONFIG", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


class Served:
    """A server of all tests, and what was asked of it in one."""

    def __init__(self, running: Server) -> None:
        self.url, self._running, self._before = running.url, running, len(running.requests())

    def requests(self) -> list[dict[str, Any]]:
        return self._running.requests()[self._before :]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server"), answers={"": "The lungs are clear."}) as found:
        yield found


@pytest.fixture
def server(running: Server) -> Served:
    return Served(running)


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    file = tmp_path / "mine.md"
    file.write_text(MINE)
    return file


def picture(folder: Path, name: str, size: tuple[int, int] = (80, 60)) -> Path:
    """A PNG of noise, width and height as given."""
    file = folder / f"{name}.png"
    Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, size[::-1]).astype(np.uint8)).save(file)
    return file


def case(folder: Path, name: str = "a", **more: Any) -> Case:
    return Case(name, "p", "s", (ImageFile(picture(folder, name), "PA"), ImageFile(picture(folder, f"{name}-lateral"), "LATERAL")), **more)


def models(server: Served | None, use: DataUse = FREE, manner: Manner | None = None, **options: str) -> LanguageModels:
    url = {"llm.api_base": server.url} if server else {}
    return LanguageModels(url | {f"llm.{name.replace('__', '.')}": value for name, value in options.items()}, use, manner)


def written(server: Served, *cases: Case, **settings: Any) -> list[Report]:
    return list(ApiModel("qwen-vl", llm=models(server, retries="0"), **settings).generate(cases))


def parts(server: Served, place: int = 0) -> list[dict[str, Any]]:
    """The parts of the one message of a request."""
    (message,) = server.requests()[place]["body"]["messages"]
    assert message["role"] == "user"
    return list(message["content"])


def image_of(part: dict[str, Any]) -> Image.Image:
    assert part["type"] == "image_url"
    head, _, content = part["image_url"]["url"].partition(";base64,")
    found = Image.open(io.BytesIO(base64.b64decode(content)))
    assert head == f"data:image/{str(found.format).lower()}"
    return found


def test_a_case_leaves_as_its_images_and_the_prompt_with_what_the_case_says(server: Served, tmp_path: Path, prompt: Path) -> None:
    told = case(tmp_path, indication="Fever.", prior_report="Clear {images}.", prior_image=picture(tmp_path, "before"))
    (report,) = written(server, told, prompt=prompt, images="all")
    assert report == Report("a", "The lungs are clear.", details={"served_by": "qwen-vl"})
    *images, text = parts(server)
    assert [image_of(image).size for image in images] == [(80, 60)] * 3
    assert text == {
        "type": "text",
        "text": (
            "Say what is there. Image 1: this examination, PA view.\nImage 2: this examination, LATERAL view.\n"
            "Image 3: the previous examination of the same patient.\nWhy: Fever.\nBefore: Clear {images}.\nThe end."
        ),
    }
    assert (server.requests()[0]["body"]["model"], server.requests()[0]["body"]["temperature"]) == ("qwen-vl", 0)


def test_what_a_case_does_not_have_leaves_no_heading_behind(server: Served, tmp_path: Path, prompt: Path) -> None:
    written(server, case(tmp_path), prompt=prompt)
    *images, text = parts(server)
    assert len(images) == 1
    assert text["text"] == "Say what is there. Image 1: this examination, PA view.\nThe end."


def test_png_carries_every_pixel_and_a_side_is_no_longer_than_asked(server: Served, tmp_path: Path) -> None:
    whole = case(tmp_path)
    written(server, whole, image_format="png", max_side_px=0)
    written(server, whole, max_side_px=40)
    exact = np.asarray(image_of(parts(server)[0]))
    assert np.array_equal(exact, np.asarray(Image.open(whole.images[0].path)))
    assert image_of(parts(server, 1)[0]).size == (40, 30)


def test_another_image_is_another_question_and_the_same_is_never_asked_twice(server: Served, tmp_path: Path) -> None:
    first, second = case(tmp_path, "a"), case(tmp_path, "bb")
    for _ in range(2):
        assert [report.case_id for report in written(server, first, second)] == ["a", "bb"]
    assert len(server.requests()) == 2
    written(server, first, quality=50)
    assert len(server.requests()) == 3


def test_an_answer_that_is_none_fails_its_case_alone(server: Served, tmp_path: Path, prompt: Path) -> None:
    """A filter, a cut, a refusal by field and one in words: none becomes a report, and no report is made up for it."""
    orders = ("filter", "length", "refusal", "refusal text")
    cases = [case(tmp_path, f"c{number}", indication="{{" + order + "}}") for number, order in enumerate(orders)]
    reports = written(server, *cases, case(tmp_path, "good"), prompt=prompt)
    kept = written(server, cases[3], prompt=prompt, refusals="keep")
    assert [report.text for report in reports] == ["", "", "", "", "The lungs are clear."]
    assert [report.failure.partition("; ")[0] for report in reports] == [
        "no report from qwen-vl: refused: the model, or its provider's filter, would not answer",
        "no report from qwen-vl: cut short: the answer was not finished after 2,048 tokens",
        "no report from qwen-vl: refused: the model, or its provider's filter, would not answer",
        "the model refused in words",
        "",
    ]
    assert reports[3].details["written"] == "I am sorry, but I cannot help with that."
    assert (kept[0].text, kept[0].failure, kept[0].details["refused"]) == ("I am sorry, but I cannot help with that.", "", True)


def test_an_empty_answer_is_asked_for_once_more_and_then_has_failed(server: Served, tmp_path: Path, prompt: Path) -> None:
    (report,) = written(server, case(tmp_path, indication="{{say '<think>nothing</think> '}}"), prompt=prompt)
    assert report.failure == "no report from qwen-vl: unusable: the report is empty; write the report"
    again = server.requests()[1]["body"]["messages"]
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert [part["type"] for part in again[0]["content"]] == ["image_url", "text"]


def test_findings_are_taken_from_an_answer_with_headings_and_the_whole_is_kept(server: Served, tmp_path: Path, prompt: Path) -> None:
    said = "**FINDINGS:**\nThe heart is large.\n\n**IMPRESSION:** Cardiomegaly."
    asked = case(tmp_path, indication="{{say '" + said + "'}}")
    (findings,) = written(server, asked, prompt=prompt)
    (whole,) = written(server, asked, prompt=prompt, section="whole")
    assert (findings.text, findings.details["written"]) == ("The heart is large.", said)
    assert (whole.text, "written" in whole.details) == (said, False)


def test_a_case_whose_image_cannot_be_read_fails_in_its_place(server: Served, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    broken, bare = Case("x", "p", "s", (ImageFile(tmp_path / "bad.png"),)), Case("y", "p", "s", ())
    reports = written(server, broken, case(tmp_path), bare)
    assert [report.case_id for report in reports] == ["x", "a", "y"]
    assert "bad.png" in reports[0].failure
    assert (reports[1].failure, reports[2].failure) == ("", "the case has no image")
    assert len(server.requests()) == 1


def test_nothing_of_a_credentialed_dataset_leaves_this_machine(server: Served, tmp_path: Path) -> None:
    secret = DataUse(True, "the text of mimic_cxr")
    with pytest.raises(MayNotTravel, match=r"the images and the text of mimic_cxr may not leave this machine, and api\.openai\.com was to be asked"):
        ApiModel("openai/gpt-4o-mini", llm=models(None, secret))
    (report,) = ApiModel("qwen", llm=models(server, secret)).generate([case(tmp_path)])
    assert report.text == "The lungs are clear."


def test_a_url_belongs_to_the_model_that_it_was_given_with() -> None:
    """``--llm-url`` alone is the api model's; beside ``--llm`` it is the judge's, and images of the one are not sent to the other's."""

    def url(named: str, **options: str) -> str:
        return models(None, **options).endpoint("report", named).api_base

    assert url("qwen", api_base="http://127.0.0.1:1/v1") == "http://127.0.0.1:1/v1"
    assert url("openai/gpt-4o", model="judge", api_base="http://127.0.0.1:1/v1") == ""
    assert url("qwen", model="judge", api_base="http://127.0.0.1:1/v1", report__api_base="http://127.0.0.1:2/v1") == "http://127.0.0.1:2/v1"
    assert url("qwen", report__model="other", report__api_base="http://127.0.0.1:2/v1") == ""


def test_settings_and_prompts_that_cannot_be_meant_are_refused(tmp_path: Path, server: Served) -> None:
    with pytest.raises(UserError, match="images is 'both'; it must be frontal or all"):
        ApiModel("qwen", llm=models(server), images="both")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="quality 101; at least 0, and 1 to 95, are needed"):
        ApiModel("qwen", llm=models(server), quality=101)
    with pytest.raises(UserError, match="report by a language model needs one to ask, and got none"):
        ApiModel("qwen")
    with pytest.raises(NoEndpoint, match="cannot tell where the model 'qwen' is"):
        ApiModel("qwen", llm=models(None))
    (tmp_path / "odd.md").write_text("{findings}")
    with pytest.raises(BadPrompt, match=r"has a place \{findings\} that nothing fills; its places are \{images\} and \{indication\}"):
        ApiModel("qwen", llm=models(server), prompt=tmp_path / "odd.md")


def test_a_prompt_on_the_command_line_is_for_the_models_that_are_asked_in_words() -> None:
    mine = Path("mine.md")
    assert cli._with_prompt({}, ["constant,a=api:openai/gpt-4o", "api:qwen"], mine) == {"a.prompt": "mine.md", "api:qwen.prompt": "mine.md"}
    for models in (["constant,clala"], ["all"]):
        with pytest.raises(UserError, match=r"--prompt mine\.md is for models that are asked in words, and none is named"):
            cli._with_prompt({}, models, mine)
    with pytest.raises(UserError, match=r"--set api\.prompt=other\.md and --prompt mine\.md say different things; give one"):
        cli._with_prompt({"api.prompt": "other.md"}, ["api:qwen"], mine)


def test_all_models_are_not_those_that_the_user_must_name() -> None:
    assert not {"api", "hf", "command", "reports_file"} & set(cli._all_models({}))


def test_the_signature_names_model_prompt_and_images_and_the_card_knows_of_no_training(server: Served, prompt: Path) -> None:
    model = ApiModel("qwen", llm=models(server), prompt=prompt, images="all", max_side_px=512)
    assert model.provenance() == {
        "asked_as": "qwen|temperature:0|max_tokens:2048",
        "prompt": model.prompt.digest,
        "images": "all",
        "max_side_px": 512,
        "image_format": "jpeg, quality 90",
        "section": "findings",
        "refusals": "fail",
    }
    card = model.card()
    assert (card.leaks, card.training, card.target) == (None, "", "unknown")
    assert card.inputs == ("frontal image", "other views", "prior image", "indication", "prior report")


def config(server: Served, folder: Path, limit: int) -> RunConfig:
    rows = [f"{name},{picture(folder, name)},The heart is large." for name in ("a", "bb", "ccc", "dddd", "eeeee", "ffffff")]
    (folder / "cases.csv").write_text("\n".join(["id,image,report", *rows]))
    options = {"llm.api_base": server.url, "llm.input_price": "1", "llm.output_price": "1"}
    return RunConfig(("api:qwen-vl",), ("lesions",), f"manifest:{folder / 'cases.csv'}", limit=limit, options=options)


def test_a_run_is_estimated_with_its_images_uncounted_until_answers_say_what_they_come_to(server: Served, tmp_path: Path) -> None:
    (before,) = estimate_run(config(server, tmp_path, 3), tmp_path / "run", Manner()).rows
    assert (before.task, before.calls, before.cost) == ("report", 3, None)
    assert "the 3 images NOT counted" in before.basis
    assert server.requests() == []
    outcome = evaluator.run(config(server, tmp_path, 3), tmp_path / "run", only_generate=True)
    assert [report.text for report in outcome.reports["api:qwen-vl"]] == ["The lungs are clear."] * 3
    tokens = [len(str(request["body"]["messages"][0]["content"])) // 4 for request in server.requests()]
    (after,) = estimate_run(config(server, tmp_path, 6), tmp_path / "other", Manner()).rows
    assert (after.calls, after.cached, after.prompt_tokens) == (3, 3, sum(tokens))
    assert after.cost == pytest.approx((after.prompt_tokens + after.completion_tokens) / 1e6)


def test_a_budget_bears_the_most_that_an_image_may_cost_and_stops_before_it_is_crossed(server: Served, tmp_path: Path) -> None:
    """A dollar per token: not one image fits into 48,000."""
    llm = models(server, manner=Manner(budget=48_000), input_price="1000000", output_price="0")
    with pytest.raises(BudgetReached):
        list(ApiModel("qwen", llm=llm).generate([case(tmp_path)]))
    assert server.requests() == []


def test_no_more_images_wait_in_memory_than_keep_the_endpoint_busy(server: Served) -> None:
    taken = 0

    def questions() -> Iterator[Question]:
        nonlocal taken
        for number in range(300):
            taken += 1
            yield Question("report", "What is it?", images=(Picture(bytes([number % 256, number // 256]), "image/png"),))

    outcomes = models(server).asking("report", "qwen")(questions(), str)
    next(outcomes)
    assert 0 < taken <= WINDOW_OF_IMAGES
    assert sum(1 for _ in outcomes) == 299


def test_cases_are_handed_in_as_a_batch_and_their_images_with_them(server: Served, tmp_path: Path) -> None:
    llm = models(server, manner=Manner(mode="batch"))
    model = ApiModel("qwen", llm=llm)
    llm.clients[0].pauses = Pauses(first=0.02, longest=0.1)
    reports = list(model.generate([case(tmp_path, "a"), Case("y", "p", "s", ()), case(tmp_path, "bb")]))
    assert [(report.case_id, report.text, report.failure) for report in reports] == [
        ("a", "The lungs are clear.", ""),
        ("y", "", "the case has no image"),
        ("bb", "The lungs are clear.", ""),
    ]
    assert server.requests() == []  # none was asked one by one


@pytest.mark.parametrize(("setting", "known"), [("section", "findings, whole"), ("refusals", "fail, keep")])
def test_a_setting_that_there_is_not_is_refused_from_python_too(setting: str, known: str) -> None:
    wrong: dict[str, Any] = {setting: "banana"}
    with pytest.raises(UserError, match=f"^api has no {setting}='banana'; known: {known}$"):
        ApiModel("qwen-vl", **wrong)


@pytest.mark.parametrize(
    "said",
    [
        "I cannot see any pneumothorax. The heart is normal in size.",
        "I cannot see any findings on this image that would suggest pneumonia.",
        "I am unable to evaluate the left base because of rotation. Lungs are otherwise clear.",
        "I'm unable to evaluate the apices. No effusion.",
        "I cannot view a fracture. The bones are intact.",
        "I cannot identify any findings. The lungs are clear.",
        "As an AI-assisted read: the lungs are clear.",
    ],
)
def test_a_finding_in_the_first_person_is_no_refusal(said: str) -> None:
    assert read_answer(said, "findings") == Answer(said, False)


@pytest.mark.parametrize(
    "said",
    [
        "I'm unable to view or analyze images directly.",
        "I cannot interpret X-rays.",
        "I can't interpret medical images, but a radiologist can.",
        "I am not able to provide a medical diagnosis.",
        "I cannot provide you with a radiology report.",
        "I can’t see the attached image.",
        "I'm not able to provide medical advice",
        "Unfortunately, I can't help with that.",
        "I cannot assist.",
        "I am unable to generate the FINDINGS section.",
        "I cannot provide any findings.",
        "I can't identify people in images.",
        "I cannot fulfill this request.",
        "I can't interpret this.",
        "As an AI language model, I have no eyes.",
        "I'm sorry, but I can't.",
    ],
)
def test_what_will_not_be_done_with_the_image_or_the_request_is_a_refusal(said: str) -> None:
    assert read_answer(said, "findings").is_refusal


def test_a_heading_with_blanks_behind_it_is_read_at_once() -> None:
    """Each blank twice as many made it four times as slow: 8,000 took seconds."""
    began = time.process_time()
    assert read_answer("findings" + " " * 40_000 + "x", "findings").text.endswith("x")
    assert not read_answer("I cannot provide " + "the " * 20_000 + "end", "findings").is_refusal
    assert time.process_time() - began < 1
    assert read_answer("**Findings** : clear", "findings").text == "clear"

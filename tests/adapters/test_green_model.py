"""GREEN's model on a tiny LLaMA with random weights: its turns, its batches, its memory, and the score of what it writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llama import tiny_llama  # noqa: E402

from adapters.green_model.generation import ChatModel, Written, tidied  # noqa: E402
from adapters.green_model.metric import GreenModel, green_model  # noqa: E402
from adapters.pretrained import NoNetwork, reading_digest, weights_digest  # noqa: E402
from benchmark.metrics.green import Green  # noqa: E402
from benchmark.metrics.green_prompt import PublishedPrompt  # noqa: E402
from benchmark.records import UserError  # noqa: E402

TEXT = "Reference: {REF}; candidate: {CAND}."
PROMPT = PublishedPrompt(TEXT, "the test", hashlib.sha256(TEXT.encode()).hexdigest())
QUESTIONS = ["short", "one that is somewhat longer", "q1", "the last"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))


def chat(folder: Path, batch_size: int = 16, longest: int = 120) -> ChatModel:
    return ChatModel(folder, device="cpu", precision="fp32", batch_size=batch_size, longest=longest)


def test_the_question_is_put_between_the_turns_that_the_model_was_trained_on(folder: Path) -> None:
    """Rendered by the authors' template: the question, an empty turn, the head of the next; then the end that their tokenizer adds."""
    model = chat(folder)
    tokens = model.tokens("Q\n")
    assert (tokens[0], tokens[-1], tokens.count(model.end)) == (1, 2, 3)
    text = "<|user|>\nQ\n</s>\n<|assistant|>\n</s>\n<|assistant|>\n"
    assert model._pieces.decode(tokens, skip_special_tokens=False) == f"<s>{text}</s>"


def test_a_server_is_given_the_same_turns_by_the_template(folder: Path) -> None:
    jinja2 = pytest.importorskip("jinja2")
    import adapters.green_model

    source = (Path(adapters.green_model.__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
    # As transformers and vLLM read templates: a line end behind a block is none of the text.
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)
    found = template.render(messages=[{"role": "user", "content": "Q\n"}], bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
    model = chat(folder)
    assert model._pieces.encode(found, add_special_tokens=False).ids == model.tokens("Q\n")


def by_the_book(model: ChatModel, question: str, most: int) -> list[int]:
    """Greedy, token by token, without a cache and without a batch."""
    network = model._network
    tokens = model.tokens(question)
    start = len(tokens)
    while len(tokens) < most:
        with torch.no_grad():
            token = int(network(torch.tensor([tokens])).logits[0, -1].argmax())
        if token == model.end:
            break
        tokens.append(token)
    return tokens[start:]


def test_answers_are_the_likeliest_token_by_token_to_their_end_in_batches_filled_on_the_left(folder: Path) -> None:
    model = chat(folder)
    (batch,) = model.write(QUESTIONS)
    found = dict(batch)
    assert [place for place, _ in batch] == [1, 3, 0, 2], "the longest first"
    ends = 0
    for place, question in enumerate(QUESTIONS):
        written = found[place]
        assert written is not None
        wanted = by_the_book(model, question, 120)
        assert len(wanted) == written.answer_tokens > 0
        assert written.text == tidied(model._pieces.decode(model.tokens(question) + wanted)).rpartition("<|assistant|>")[2]
        ends += written.answer_tokens < 20
    assert len({written.text for written in found.values() if written}) == len(QUESTIONS), "the answers must differ for this to say something"
    assert 0 < ends < len(QUESTIONS), "some must come to their end soon, and others not"


def answers(model: ChatModel, questions: Sequence[str]) -> dict[str, Written | None]:
    return {questions[place]: written for batch in model.write(questions) for place, written in batch}


def test_the_room_of_an_answer_is_its_own_whoever_shares_the_batch(folder: Path) -> None:
    """The 93 tokens of the longest question leave 27 of 120, which is nothing to the others; a limit at an answer's very end is no limit."""
    questions = ["x" * 50, *(f"q{number}" for number in range(3))]
    alone, together = answers(chat(folder, batch_size=1), questions), answers(chat(folder), questions)
    assert alone == together
    longest = max(written.answer_tokens for written in together.values() if written)
    assert longest > 27, "an answer must be longer than the room that its neighbour has"
    model = chat(folder)
    question = next(question for question, written in together.items() if written and written.answer_tokens == longest)
    whole = len(model.tokens(question)) + longest + 1
    assert answers(chat(folder, longest=whole), ["x" * 40, question])[question] == together[question]
    assert answers(chat(folder, longest=whole - 1), ["x" * 40, question])[question] is None


def test_a_question_that_leaves_no_room_for_a_whole_answer_has_none(folder: Path) -> None:
    found = answers(chat(folder), ["x" * 90, "x" * 50, "short"])
    assert (found["x" * 90], found["x" * 50]) == (None, None), "no room at all, and no end in the room that there is"
    assert found["short"] is not None
    assert list(chat(folder).write([])) == []


def test_an_answer_that_was_cut_is_no_score_and_is_asked_anew_where_there_is_room(folder: Path, tmp_path: Path) -> None:
    bare = PublishedPrompt("{REF}{CAND}", "the test", hashlib.sha256(b"{REF}{CAND}").hexdigest())

    def measured(longest: int) -> GreenModel:
        return GreenModel(chat(folder, longest=longest), bare, "tiny", cache=tmp_path / "answers.sqlite")

    metric = measured(120)
    rows = metric.statistics(["x" * 50, "q0", "x" * 50], ["", "", ""])
    assert np.isnan(rows[:, 1]).tolist() == [True, False, True]
    assert metric.failures == {"no room for a whole answer": 2}
    asked: list[int] = []
    again = measured(120)
    again._chat.write = lambda questions: (asked.append(len(questions)), ())[1]  # type: ignore[method-assign,assignment,func-returns-value]
    with pytest.raises(KeyError):
        again.statistics(["x" * 50, "q0"], ["", ""])
    assert asked == [1], "the whole answer was kept, the other not"


def test_evidence_is_of_kept_answers_and_the_model_stays_where_it_is(folder: Path, tmp_path: Path) -> None:
    bare = PublishedPrompt("{REF}{CAND}", "the test", hashlib.sha256(b"{REF}{CAND}").hexdigest())

    def metric() -> GreenModel:
        return GreenModel(chat(folder), bare, "tiny", cache=tmp_path / "answers.sqlite")

    assert metric().evidence(["q0"], [""]) == [[]]
    rows = metric().statistics(["q0"], [""])
    later = metric()
    later._chat.write = lambda questions: pytest.fail("the model was asked")  # type: ignore[method-assign,assignment]
    kept, not_kept = later.evidence(["q0", "q1"], ["", ""])
    assert [(item.about, item.value) for item in kept if item.about == "Matched findings"] == [("Matched findings", f"{rows[0, 8]:.0f}")]
    assert not_kept == []
    assert later.evidence_title == "GREEN (tiny)"


def test_half_a_sign_is_read_as_one_that_is_not_known(folder: Path) -> None:
    model = chat(folder)
    assert model.tokens("a\ud83d") == model.tokens("a\ufffd")
    assert model.tokens("\ud83d\ude00") == model.tokens("\U0001f600")


def test_blanks_before_marks_are_taken_out_as_the_authors_do() -> None:
    assert tidied("(a) False: 2 . edema , effusion ; it 's n't") == "(a) False: 2. edema, effusion ; it'sn't"


ANSWER = """
[Explanation]:
They differ.

[Clinically Significant Errors]:
(a) False report of a finding in the candidate: {errors}. edema

[Clinically Insignificant Errors]:
(d) Misassessment of the severity of a finding: 2. a; b

[Matched Findings]:
{matched}. effusion"""


class Scripted(ChatModel):
    """A model that counts the letters of the candidate: e errors, m matches; and leaves no room for a long one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, device="cpu", precision="fp32", batch_size=2)
        self.asked: list[str] = []

    def write(self, questions: Sequence[str]) -> Iterator[list[tuple[int, Written | None]]]:
        for place, question in enumerate(questions):
            self.asked.append(question)
            candidate = question.rpartition("candidate: ")[2]
            answer = ANSWER.format(errors=candidate.count("e"), matched=candidate.count("m"))
            yield [(place, None if "long" in candidate else Written(answer, 1, 1))]


def test_answers_are_read_and_scored_as_published(folder: Path, tmp_path: Path) -> None:
    model = Scripted(folder)
    metric = GreenModel(model, PROMPT, "tiny", cache=tmp_path / "answers.sqlite")
    rows = metric.statistics(["mme", "ee", "long", "mme"], ["ref", "ref", "ref", "ref"])
    assert rows[:, 1].tolist() == pytest.approx([2 / 3, 0, np.nan, 2 / 3], nan_ok=True)
    assert rows[0].tolist() == pytest.approx([1, 2 / 3, 1, 0, 0, 0, 0, 0, 2, 2])
    assert metric.failures == {"no room for a whole answer": 1}
    assert model.asked == [f"Reference: ref; candidate: {text}." for text in ("mme", "ee", "long")], "equal pairs once"
    found = metric.values(np.nansum(rows, axis=0))
    assert found["green"] == pytest.approx(4 / 9)
    assert found["significant.false_finding"] == pytest.approx(4 / 3)
    assert metric.statistics([], []).shape == (0, 10)


def test_what_was_answered_is_not_asked_again_by_another_run(folder: Path, tmp_path: Path) -> None:
    class Killed(Scripted):
        def write(self, questions: Sequence[str]) -> Iterator[list[tuple[int, Written | None]]]:
            for batch in super().write(questions):
                if len(self.asked) == 3:
                    raise KeyboardInterrupt
                yield batch

    texts = [f"m{'e' * number}" for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        GreenModel(Killed(folder), PROMPT, "tiny", cache=tmp_path / "answers.sqlite").statistics(texts, ["r"] * 5)
    model = Scripted(folder)
    rows = GreenModel(model, PROMPT, "tiny", cache=tmp_path / "answers.sqlite").statistics(texts, ["r"] * 5)
    assert len(model.asked) == 3
    assert rows[:, 1].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])


def test_other_weights_are_asked_anew_and_have_another_signature(folder: Path, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=1)
    metrics = [GreenModel(Scripted(path), PROMPT, "tiny", cache=tmp_path / "answers.sqlite") for path in (folder, other)]
    for metric in metrics:
        metric.statistics(["m"], ["r"])
    assert [len(metric._chat.asked) for metric in metrics] == [1, 1]  # type: ignore[attr-defined]
    assert metrics[0].signature() != metrics[1].signature()
    digest, reading = weights_digest(folder), reading_digest(folder)
    assert metrics[0].signature() == (
        f"green|judge:local|model:tiny|weights:{digest}|reading:{reading}|prompt:published-{PROMPT.digest}|precision:fp32|answer:greedy|tokens:2048|"
        "generation:v2|words:300|v1"
    )


def other_pieces(folder: Path) -> None:
    """The numbers of two letters in each other's place."""
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = found["model"]["vocab"]
    vocabulary["a"], vocabulary["e"] = vocabulary["e"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(found), encoding="utf-8")


def other_heads(folder: Path) -> None:
    found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**found, "rms_norm_eps": 0.5}), encoding="utf-8")


@pytest.mark.parametrize("change", [other_pieces, other_heads])
def test_the_same_weights_used_otherwise_are_asked_anew_and_have_another_signature(
    folder: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    change(changed)
    assert answers(chat(folder, longest=300), ["aeae"]) != answers(chat(changed, longest=300), ["aeae"]), "the change must change something"
    metrics = [GreenModel(Scripted(path), PROMPT, "tiny", cache=tmp_path / "answers.sqlite") for path in (folder, changed)]
    for metric in metrics:
        metric.statistics(["m"], ["r"])
    assert [len(metric._chat.asked) for metric in metrics] == [1, 1]  # type: ignore[attr-defined]
    assert metrics[0].signature() != metrics[1].signature()


def test_only_the_published_model_is_called_green(folder: Path) -> None:
    assert GreenModel(chat(folder), PROMPT, "StanfordAIMI/GREEN-radllama2-7b").titles == {"green": "GREEN"}
    assert GreenModel(chat(folder), PROMPT, "tiny").titles == {"green": "GREEN (tiny)"}


def test_a_real_network_goes_from_texts_to_a_score(folder: Path, tmp_path: Path) -> None:
    """Random weights write nothing that could be counted: matched 0, and so GREEN 0, as published."""
    metric = GreenModel(chat(folder, batch_size=2, longest=600), PROMPT, "tiny", cache=tmp_path / "answers.sqlite")
    assert metric.statistics(["a", "b", "c"], ["r", "r", "r"]).tolist() == [[1.0, *[0.0] * 9]] * 3


def test_all_that_is_missing_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "prompt.txt").write_text("another text", encoding="utf-8")
    message = r"is not the published one .*; and {0}.model=StanfordAIMI/GREEN-radllama2-7b: is neither a folder .*--set {0}.download=yes"
    with pytest.raises(UserError, match=message.format("green_model")):
        green_model(prompt=tmp_path / "prompt.txt")
    with pytest.raises(UserError, match=message.format("green")):
        Green(judge="local", prompt=tmp_path / "prompt.txt")
    with pytest.raises(UserError, match=r"--set green_model.prompt=FILE|green_model.prompt=.*: cannot be read"):
        green_model(prompt=tmp_path / "nowhere.txt")


def test_a_folder_or_a_setting_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    for settings, message in (({"precision": "int8"}, "known: auto, fp16, bf16, fp32"), ({"batch_size": 0}, "it must be at least 1")):
        with pytest.raises(UserError, match=message):
            ChatModel(folder, device="cpu", **settings)  # type: ignore[arg-type]
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    text = (other / "tokenizer.json").read_text(encoding="utf-8")
    (other / "tokenizer.json").write_text(text.replace('"</s>"', '"<end>"'), encoding="utf-8")
    with pytest.raises(NoNetwork, match="the vocabulary of other has no </s>"):
        ChatModel(other, device="cpu")


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("config.json", "{", "config.json of spoilt cannot be read"),
        ("config.json", "{}", "config.json of spoilt cannot be read"),
        ("tokenizer.json", "{}", "tokenizer.json of spoilt cannot be read"),
        ("tokenizer.json", None, "spoilt holds no vocabulary, tokenizer.json or tokenizer.model; take the folder whole"),
        ("model.safetensors", "no weights", "the weights of spoilt cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused_with_what_to_do(folder: Path, tmp_path: Path, file: str, data: str | None, message: str) -> None:
    spoilt = Path(shutil.copytree(folder, tmp_path / "spoilt"))
    if data is None:
        (spoilt / file).unlink()
    else:
        (spoilt / file).write_text(data, encoding="utf-8")
    with pytest.raises(NoNetwork, match=f"green: {message}"):
        list(chat(spoilt).write(["a"]))


def test_no_program_of_a_folder_is_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    about: dict[str, Any] = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (own / "config.json").write_text(json.dumps(about), encoding="utf-8")
    (own / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(NoNetwork, match=r"config.json of own cannot be read"):
        chat(own)
    assert not (tmp_path / "ran").exists()

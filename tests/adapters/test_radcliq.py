"""RadCliQ-v1 from its four features: the published constants by hand, the features each from its own program, the direction said everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_bert import PIECES, SIZES, tiny_roberta  # noqa: E402

from adapters.bertscore.metric import BertScore  # noqa: E402
from adapters.chexbert.labeller import Chexbert  # noqa: E402
from adapters.chexbert.network import Network, Sizes  # noqa: E402
from adapters.radcliq.metric import FEATURES, Radcliq, predicted_errors  # noqa: E402
from benchmark.annotating.choose import annotator_named  # noqa: E402
from benchmark.metrics.radgraph_scores import radgraph_combined  # noqa: E402
from benchmark.records import UserError  # noqa: E402

HYPOTHESES = ["Small left  pleural effusion.", "The heart is normal. No effusion.", "no", "Small left  pleural effusion."]
REFERENCES = ["Small left pleural effusion.", "The heart is enlarged.", "The lungs are clear.", "Small left pleural effusion."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three networks, tiny; annotations are by rules."""
    made = tmp_path_factory.mktemp("radcliq")
    tiny_roberta(made / "roberta")
    sizes = Sizes(words=len(PIECES), places=64, width=32, inner=48, layers=2, attention_heads=2)
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(value.shape, generator=generator) * 0.3 for name, value in Network(sizes).state_dict().items()}
    torch.save({"model_state_dict": {f"module.{name}": value for name, value in state.items()}}, made / "chexbert.pth")
    (made / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return made


@pytest.fixture
def radcliq(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Radcliq:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    return made(folder)


def made(folder: Path, **settings: Any) -> Radcliq:
    usual = {"bert": str(folder / "roberta"), "layer": 2, "chexbert_weights": folder / "chexbert.pth", "attention_heads": 2, "annotator": "rules"}
    return Radcliq(**{**usual, "device": "cpu", **settings})


def test_the_constants_are_the_published_ones() -> None:
    """By hand: at the means nothing but the intercept; one standard deviation above in one feature adds its weight; BLEU-2 adds nothing."""
    mean, scale = [0.53792312, 0.61757256, 0.76479421, 0.44738335], [0.30282584, 0.22430938, 0.25394391, 0.29892717]
    weights = [-0.377083683, -0.370300100, -0.252616218, 4.31504841e-12]
    rows = np.array([mean, *(np.array(mean) + np.eye(4)[place] * scale for place in range(4))])
    assert predicted_errors(rows) == pytest.approx([2.46655256e-10, *(weight + 2.46655256e-10 for weight in weights)], abs=1e-15)
    # 1, 1, 1, 1: -0.377083683 * 0.46207688 / 0.30282584 - 0.3703001 * 0.38242744 / 0.22430938 - 0.252616218 * 0.23520579 / 0.25394391
    assert predicted_errors(np.ones((1, 4)))[0] == pytest.approx(-1.44069031, abs=1e-8)


def test_each_feature_is_that_of_its_own_program(radcliq: Radcliq, folder: Path) -> None:
    rows = radcliq.statistics(HYPOTHESES, REFERENCES)
    found = dict(zip(FEATURES, rows[:, 2:].T, strict=True))
    scorer = BertScore(model=str(folder / "roberta"), layer=2, baseline="0.84732/0.84759504/0.8473319", device="cpu")
    wanted = scorer.statistics([text.replace("  ", " ") for text in HYPOTHESES], REFERENCES)[:, 3]
    np.testing.assert_allclose(found["bertscore"], wanted, atol=1e-5)
    annotator = annotator_named("rules")
    pairs = zip(annotator.annotate(HYPOTHESES), annotator.annotate(REFERENCES), strict=True)
    assert found["radgraph_combined"].tolist() == [radgraph_combined(ours, theirs) for ours, theirs in pairs]
    labeller = Chexbert(weights=folder / "chexbert.pth", attention_heads=2, device="cpu")
    ours, theirs = (labeller.class_tokens(texts).astype(float) for texts in (HYPOTHESES, REFERENCES))
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(ours, theirs, strict=True)]
    np.testing.assert_allclose(found["semb"], cosine, atol=1e-6)
    # small left pleural effusion . twice alike, but for the second blank: 6 words to 5 with split(" "), 5 and 5 with split()
    assert found["bleu_2"][0] == pytest.approx(1)
    assert found["bleu_2"][1] == pytest.approx((4 / 8 * 2 / 7) ** 0.5)
    np.testing.assert_allclose(rows[:, 1], predicted_errors(rows[:, 2:]), atol=1e-12)
    assert np.ptp(rows[:, 1]) > 0.5


def test_a_case_scores_the_same_alone_and_in_any_company(radcliq: Radcliq) -> None:
    together = radcliq.statistics(HYPOTHESES, REFERENCES)
    alone = np.concatenate([radcliq.statistics([ours], [theirs]) for ours, theirs in zip(HYPOTHESES, REFERENCES, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_lower_is_better_and_every_name_says_so(radcliq: Radcliq) -> None:
    rows = radcliq.statistics([REFERENCES[0], HYPOTHESES[2]], [REFERENCES[0], REFERENCES[2]])
    assert rows[0, 1] < rows[1, 1], "an equal text has fewer errors than an unlike one"
    assert radcliq.lower_is_better == {"rules.roberta-2.raw"}
    assert radcliq.titles["rules.roberta-2.raw"] == "RadCliQ-v1 (raw, lower is better, RadGraph by rules, BERTScore by roberta-2)"
    signature = radcliq.signature()
    assert signature.startswith("radcliq_v1|direction:lower_is_better|unit:mean_of_cases|bertscore:(bertscore|as:bert-score-0.3.13|model:roberta|")
    assert "|idf:no|baseline:0.84732/0.84759504/0.8473319|" in signature
    assert "|radgraph:(rules|" in signature


def test_with_the_network_and_layer_of_its_paper_it_bears_its_own_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only then: the constants are fitted to those."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    monkeypatch.setitem(SIZES, "num_hidden_layers", 6)
    tiny_roberta(tmp_path / "distilroberta-base")
    tiny_roberta(tmp_path / "my roberta")
    own = made(folder, bert=str(tmp_path / "distilroberta-base"), layer=5)
    assert own.titles["rules.raw"] == "RadCliQ-v1 (raw, lower is better, RadGraph by rules)"
    for bert, layer, who in (("distilroberta-base", 4, "distilroberta-base-4"), ("my roberta", 5, "my_roberta-5")):
        other = made(folder, bert=str(tmp_path / bert), layer=layer)
        assert other.titles[f"rules.{who}.inverse"] == f"1 / RadCliQ-v1 (higher is better, RadGraph by rules, BERTScore by {who})"
        assert set(other.values(np.ones(6))) == {f"rules.{who}.{name}" for name in ("raw", "inverse", *FEATURES)}
        assert other.lower_is_better == set(other.headlines) == {f"rules.{who}.raw"}


@pytest.mark.parametrize("annotator", ["file:{}/radgraph.json", "radgraph=rules", "package:radgraph"])
def test_an_annotator_is_not_taken_for_radgraph_for_what_else_stands_in_its_word(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, annotator: str
) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    (tmp_path / "radgraph.json").write_text("{}", encoding="utf-8")
    try:
        said = made(folder, annotator=annotator.format(tmp_path)).signature()
    except UserError as error:
        said = str(error)
    assert "no setting" not in said
    assert "|radgraph:(" in said or "cannot be had: (1) " in said


def test_the_mean_and_its_inverse_are_of_column_sums(radcliq: Radcliq) -> None:
    rows = np.array([[1.0, 2.0, 0.1, 0.2, 0.3, 0.4], [1.0, 3.0, 0.3, 0.2, 0.1, 0.0]])
    found = radcliq.values(rows.sum(axis=0))
    assert (found["rules.roberta-2.raw"], found["rules.roberta-2.inverse"], found["rules.roberta-2.semb"]) == (
        pytest.approx(2.5),
        pytest.approx(0.4),
        pytest.approx(0.2),
    )
    assert np.isnan(radcliq.values(np.array([1.0, -1.0, 1, 1, 1, 1]))["rules.roberta-2.inverse"]), "1 / -1 would be the worst of all"
    assert np.isnan(radcliq.values(np.zeros(6))["rules.roberta-2.raw"])
    assert radcliq.statistics([], []).shape == (0, 6)


def test_references_are_read_once_for_all_models(radcliq: Radcliq) -> None:
    radcliq.statistics(HYPOTHESES, REFERENCES)
    shapes: list[int] = []
    hook = radcliq._chexbert.network.bert.register_forward_pre_hook(lambda _, given: shapes.append(1))
    embeddings = radcliq._chexbert.network.bert.embeddings.word_embeddings.register_forward_pre_hook(lambda _, given: shapes.append(len(given[0])))
    try:
        radcliq.statistics(["Heart."] * 4, REFERENCES)
    finally:
        hook.remove()
        embeddings.remove()
    assert sum(shapes) == 1


def test_all_that_is_missing_is_told_at_once_in_this_metrics_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        Radcliq(annotator="file:nowhere.json")
    message = str(caught.value)
    assert message.startswith("radcliq_v1 needs three networks, and 3 cannot be had: (1) radcliq_v1.bert=distilroberta-base: is neither")
    assert "(2) no CheXbert weights on this machine" in message
    assert "--set radcliq_v1.chexbert_weights=PATH, or have it fetched: --set radcliq_v1.download=yes; (3) " in message
    assert "nowhere.json" in message

"""RadGraph's network: DyGIE++ over a BERT. Word vectors to entities, and of the likeliest spans to relations.

D. Wadden et al., "Entity, relation, and event extraction with contextualized span representations" (EMNLP 2019, https://arxiv.org/abs/1909.03546);
S. Jain et al., "RadGraph" (2021, https://arxiv.org/abs/2106.14463). Written from the papers and from the names and shapes of the published files.

A span is [vector of its first word; vector of its last word; embedding of its width]. The first layer of each head is linear in these, so it is
computed once per word and added up per span, and of a pair [a; b; a * b] once per span but for the product, which is the same for (a, b) and (b, a).
The numbers are those of the whole products to rounding; on a CPU the heads take a fifth of the time.

W words, S spans, K kept spans, D width of the BERT, F of the embedding of widths, H of the hidden layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from clala.misfit import misfit


@dataclass(frozen=True)
class Sizes:
    """What config.json and the shapes of the tensors say of the heads."""

    width: int
    """D"""
    longest_span: int
    """in words"""
    widths: int
    """rows of the embedding of widths"""
    width_features: int
    """F"""
    hidden: tuple[int, ...]
    """H of each hidden layer"""
    entity_labels: int
    """without the one for no entity"""
    relation_labels: int
    """without the one for no relation"""
    spans_per_word: float
    """share of spans that are kept for relations, per word"""


class Found(NamedTuple):
    """What is found in one report; numbers of labels count from 0."""

    entities: list[tuple[int, int, int]]
    """(first word, last word, label), in the order of the spans"""
    relations: list[tuple[tuple[int, int], tuple[int, int], int]]
    """(span, span, label), in the order of the pairs"""


class FeedForward(nn.Module):
    """Hidden layers with ReLU, then a linear one; the first is used in parts."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(sizes))
        self.out = nn.Linear(sizes[-1], outputs)

    def first(self, slices: Sequence[int]) -> tuple[Tensor, ...]:
        """The first layer's weights for the parts of its input, which are so wide: (H, part) each."""
        ends = list(itertools.accumulate(slices))
        return tuple(self._layer.weight[:, end - size : end] for size, end in zip(slices, ends, strict=True))

    @property
    def bias(self) -> Tensor:
        """(H,) of the first layer."""
        return self._layer.bias

    @property
    def _layer(self) -> nn.Linear:
        layer = self.hidden[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def rest(self, x: Tensor) -> Tensor:
        """(N, H) what the first layer gives -> (N, outputs)."""
        x = x.relu_()
        for layer in self.hidden[1:]:
            x = layer(x).relu_()
        scores: Tensor = self.out(x)
        return scores


class Heads(nn.Module):
    """Word vectors -> entities and relations."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        span = 2 * sizes.width + sizes.width_features
        self.sizes = sizes
        self.widths = nn.Embedding(sizes.widths, sizes.width_features)
        self.entity = FeedForward(span, sizes.hidden, sizes.entity_labels)
        self.keep = FeedForward(span, sizes.hidden, 1)
        self.pair = FeedForward(3 * span, sizes.hidden, sizes.relation_labels)

    def forward(self, words: Tensor, lengths: Sequence[int]) -> list[Found]:
        """Entities and relations of several reports.

        words    (W, D)  vectors of the words of all reports, one report after the other
        lengths  words of each report
        returns  one for each report, in order
        """
        starts, ends, counts = self.spans(lengths)
        starts, ends = starts.to(words.device), ends.to(words.device)
        labels = self._best(self._span_scores(self.entity, words, starts, ends)).cpu()
        kept = self._kept(self._span_scores(self.keep, words, starts, ends)[:, 0], lengths, counts)
        first, second, related = self._relations(words, starts, ends, kept)
        return _found(labels, first.cpu(), second.cpu(), related.cpu(), starts.cpu(), ends.cpu(), lengths, counts)

    def spans(self, lengths: Sequence[int]) -> tuple[Tensor, Tensor, list[int]]:
        """(S,) first and last word of every span, by report, first and last word; and how many spans each report has."""
        starts, ends, counts, before = [], [], [], 0
        for length in lengths:
            first = torch.arange(length)[:, None]
            last = first + torch.arange(self.sizes.longest_span)
            inside = last < length
            starts.append(before + first.expand_as(last)[inside])
            ends.append(before + last[inside])
            counts.append(int(inside.sum()))
            before += length
        return torch.cat(starts), torch.cat(ends), counts

    def _parts(self) -> list[int]:
        return [self.sizes.width, self.sizes.width, self.sizes.width_features]

    def _span_scores(self, head: FeedForward, words: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """(S, outputs) scores of every span."""
        of_first, of_last, of_width = head.first(self._parts())
        hidden = (words @ of_first.T)[starts]
        hidden += (words @ of_last.T)[ends]
        hidden += (self.widths.weight @ of_width.T + head.bias)[ends - starts]
        return head.rest(hidden)

    @staticmethod
    def _best(scores: Tensor) -> Tensor:
        """(..., labels) scores -> (...) the best label, or -1 where none is above 0."""
        best, label = scores.max(dim=-1)
        return torch.where(best > 0, label, -1)

    def _kept(self, scores: Tensor, lengths: Sequence[int], counts: Sequence[int]) -> list[Tensor]:
        """Of each report the numbers of the spans that may have relations, in their order."""
        kept, before = [], 0
        for length, count in zip(lengths, counts, strict=True):
            # In float32, as the network was trained: 0.1 of 30 words are 4 spans, not 3.
            most = min(max(int(torch.tensor(float(length)).mul(self.sizes.spans_per_word).ceil()), 1), count)
            kept.append(before + scores[before : before + count].topk(most).indices.sort().values)
            before += count
        return kept

    def _relations(self, words: Tensor, starts: Tensor, ends: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of the spans of each pair that is related, and the label; by report, first and second span."""
        spans = torch.cat(list(kept))
        first, last = starts[spans], ends[spans]
        width = last - first
        importance = self._span_scores(self.keep, words, first, last)[:, 0]
        parts = self.pair.first(self._parts() * 3)
        tables = [[words @ parts[3 * side].T, words @ parts[3 * side + 1].T, self.widths.weight @ parts[3 * side + 2].T] for side in (0, 1)]
        ours, theirs = (of_first[first] + of_last[last] + of_width[width] for of_first, of_last, of_width in tables)  # (K, H)
        ours += self.pair.bias
        vectors = torch.cat([words[first], words[last], self.widths.weight[width]], dim=1)  # (K, 2D + F)
        product = torch.cat(list(parts[6:]), dim=1).T.contiguous()
        found = []
        low, high = _pairs([len(report) for report in kept], words.device)
        at_once = _PAIRS_AT_ONCE[words.device.type == "cpu"]
        for a, b in zip(torch.split(low, at_once), torch.split(high, at_once), strict=True):
            common = (vectors[a] * vectors[b]) @ product
            both = torch.cat([common + ours[a] + theirs[b], common + ours[b] + theirs[a]])
            label = self._best(self.pair.rest(both) + (importance[a] + importance[b]).repeat(2)[:, None])
            pairs = torch.stack([torch.cat([a, b]), torch.cat([b, a]), label])
            found.append(pairs[:, label >= 0])
        # The pair of a span with itself came twice.
        related = torch.unique(torch.cat(found, dim=1), dim=1)
        return spans[related[0]], spans[related[1]], related[2]


_PAIRS_AT_ONCE = {True: 1_024, False: 65_536}
"""on a CPU what fits into its cache (6 MB at the published sizes), elsewhere what keeps it busy"""


def _pairs(counts: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers of the lower and the higher of every pair within a report, itself with itself included."""
    low, high, before = [], [], 0
    for count in counts:
        pairs = torch.triu_indices(count, count) + before
        low.append(pairs[0])
        high.append(pairs[1])
        before += count
    return torch.cat(low).to(device), torch.cat(high).to(device)


def _found(
    labels: Tensor, first: Tensor, second: Tensor, related: Tensor, starts: Tensor, ends: Tensor, lengths: Sequence[int], counts: Sequence[int]
) -> list[Found]:
    """All that was found, report by report, in words of the report."""
    found = [Found([], []) for _ in lengths]
    report_of = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    before = torch.tensor([0, *lengths]).cumsum(0)[report_of]  # words of the reports before, by span
    starts, ends = starts - before, ends - before
    for span in (labels >= 0).nonzero()[:, 0].tolist():
        found[int(report_of[span])].entities.append((int(starts[span]), int(ends[span]), int(labels[span])))
    for a, b, label in zip(first.tolist(), second.tolist(), related.tolist(), strict=True):
        found[int(report_of[a])].relations.append(((int(starts[a]), int(ends[a])), (int(starts[b]), int(ends[b])), label))
    return found


HEAD_WIDTH = 64
"""numbers that each attention head of a BERT sees, where no config.json says how many heads there are"""


class Encoder(nn.Module):
    """The BERT, by transformers: word pieces to vectors."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, pieces: Tensor, lengths: Tensor) -> Tensor:
        """Vectors of all pieces.

        pieces   (M, T)  numbers, filled up on the right
        lengths  (M,)    pieces of each row
        returns  (M, T, D)
        """
        is_full = bool((lengths == pieces.shape[1]).all())
        mask = None if is_full else (torch.arange(pieces.shape[1], device=pieces.device) < lengths[:, None]).long()
        vectors: Tensor = self.bert(input_ids=pieces, attention_mask=mask).last_hidden_state
        return vectors


class WrongTensors(ValueError):
    """Tensors that are not of a network of this kind, in words."""


def bert_of(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Any:
    """The BERT of tensors by their names within it; ``config`` is the backbone's, and may be empty where the shapes say all.

    Raises WrongTensors.
    """
    try:
        return _bert_of(state, config)
    except WrongTensors:
        raise
    except Exception as error:  # of sizes and names that make no network transformers and torch raise what each part of them raises
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WrongTensors(f"its BERT cannot be made with the config.json of its backbone ({first})") from error


def reading_of(bert: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of a BERT beside its weights: of one whose shapes say the rest three settings, else the whole config."""
    if bert.config.model_type != "bert":
        return dict(config)
    return {name: getattr(bert.config, name) for name in ("model_type", "num_attention_heads", "hidden_act", "layer_norm_eps")}


def _bert_of(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModel, BertConfig, BertModel

    words = state.get("embeddings.word_embeddings.weight")
    if words is not None and config.get("model_type", "bert") != "modernbert":
        inner = state.get("encoder.layer.0.intermediate.dense.weight")
        places, kinds = (state.get(f"embeddings.{name}_embeddings.weight") for name in ("position", "token_type"))
        if inner is None or places is None or kinds is None:
            raise WrongTensors("it has word embeddings, but no BERT beneath them")
        layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
        width = words.shape[1]
        sizes = {
            "vocab_size": len(words),
            "hidden_size": width,
            "intermediate_size": len(inner),
            "num_hidden_layers": layers,
            "max_position_embeddings": len(places),
            "type_vocab_size": len(kinds),
        }
        kept = {name: config[name] for name in ("layer_norm_eps", "hidden_act") if name in config}
        if "num_attention_heads" not in config and width % HEAD_WIDTH:
            raise WrongTensors(f"its BERT is {width} numbers wide, which attention heads of {HEAD_WIDTH} do not share; it needs its config.json")
        heads = config.get("num_attention_heads", width // HEAD_WIDTH)
        if not isinstance(heads, int) or heads < 1 or width % heads:
            raise WrongTensors(f"its BERT is {width} numbers wide, which num_attention_heads={heads!r} of its backbone's config.json do not share")
        bert: Any = BertModel(BertConfig(**sizes, **kept, num_attention_heads=heads), add_pooling_layer=False)
    elif config:
        bert = AutoModel.from_config(AutoConfig.for_model(**config), trust_remote_code=False)
    else:
        raise WrongTensors("its BERT is of no kind that shapes alone describe, and no config.json of it was found")
    own = {name: value for name, value in state.items() if not name.startswith("pooler.") and not name.endswith("position_ids")}
    if problem := misfit(bert.state_dict(), own, "a BERT of this size"):
        raise WrongTensors(problem)
    bert.load_state_dict(own)
    return bert


def needs_config(state: Mapping[str, Tensor]) -> bool:
    """True if the shapes of these tensors do not describe their BERT."""
    return "embeddings.word_embeddings.weight" not in state


def heads_of(state: Mapping[str, Tensor], *, longest_span: int, spans_per_word: float) -> Heads:
    """The heads of tensors by their names in ``Heads``. Raises WrongTensors."""
    for name in ("widths.weight", "entity.out.weight", "pair.out.weight", "entity.hidden.0.weight"):
        if name not in state or state[name].dim() != 2:
            raise WrongTensors(f"it has no matrix that is {name.removesuffix('.weight')} of a RadGraph network")
    widths, features = state["widths.weight"].shape
    layers = sum(name.startswith("entity.hidden.") and name.endswith(".weight") for name in state)
    sizes = Sizes(
        width=(state["entity.hidden.0.weight"].shape[1] - features) // 2,
        longest_span=longest_span,
        widths=widths,
        width_features=features,
        hidden=tuple(len(state[f"entity.hidden.{layer}.weight"]) for layer in range(layers)),
        entity_labels=len(state["entity.out.weight"]),
        relation_labels=len(state["pair.out.weight"]),
        spans_per_word=spans_per_word,
    )
    heads = Heads(sizes)
    if problem := misfit(heads.state_dict(), state, "the heads of a RadGraph network"):
        raise WrongTensors(problem)
    heads.load_state_dict(dict(state))
    return heads

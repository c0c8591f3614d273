"""RadGraph's published networks as annotators: ``radgraph``, ``radgraph_xl``, ``modern_radgraph_xl``.

python -m benchmark score --references r.csv --predictions p.csv --metrics radgraph --set radgraph.annotator=radgraph-xl

Their annotations are those of the package ``radgraph`` 0.1.18, from which this differs in how fast it is and in what stops it: reports are read many
at a time, those of like length together; words are cut into pieces once; the package needs transformers before 5. A report of blanks alone, of which
the package dies, has no entities.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from adapters.pretrained import config_digest
from adapters.radgraph.archive import HUB_NAME, WEIGHTS, Archive, WrongArchive, archive_path, find_archive, read_archive, remedy
from adapters.radgraph.pieces import WordPieces, find_backbone, is_framed
from adapters.radgraph.words import words_v1, words_xl
from adapters.running import device_named, whole_signs
from benchmark.annotating.annotations import Annotation, Entity
from benchmark.records import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from adapters.radgraph.network import Found, Heads

VERSION = 1
PACKAGES = ("torch", "transformers", "tokenizers")
BERT = "_embedder.token_embedder_bert._matched_embedder.transformer_model."
UNUSED = ("_coref.", "_events.")
"""heads that RadGraph's networks have and do not use"""


class Loaded(NamedTuple):
    """A network that is ready, and which."""

    encoder: Any
    """pieces, lengths -> vectors, see ``network.Encoder``"""
    heads: Heads
    pieces: WordPieces
    entity_labels: tuple[str, ...]
    relation_labels: tuple[str, ...]
    places: int
    """longest row of pieces that the BERT reads"""
    sha256: str
    """of the archive"""
    reading: str
    """checksum of what decides the numbers of the BERT beside its weights, and comes from its backbone"""


class Report(NamedTuple):
    """A report on its way into the network."""

    words: list[str]
    """as they stand in the annotation"""
    pieces: list[int]
    """of all words, one after the other"""
    counts: list[int]
    """pieces of each word"""


class _Network:
    """Annotates by a published network; which one, the classes below say."""

    model: ClassVar[str]
    is_kept = True
    """what it says is worth keeping on disk"""

    def __init__(
        self,
        *,
        weights: Path | None = None,
        backbone: Path | None = None,
        device: str = "auto",
        runtime: Literal["auto", "torch", "onnx"] = "auto",
        batch_tokens: int | None = None,
        download: bool = False,
    ) -> None:
        """Load the network.

        weights       its archive, or the folder into which it was unpacked; None = where programs keep it, see ``archive``
        backbone      folder with the tokenizer of its BERT; None = see ``pieces``
        runtime       what computes the BERT: torch, or onnxruntime; auto = onnx on an AMD processor, where it is twice as fast, if it is installed
        batch_tokens  word pieces that are read at once, filling included; None = 256 on a CPU, 16,384 elsewhere
        download      fetch from the Hugging Face hub what is not on this machine

        Raises UserError for what is not there, does not fit, or names no device.
        """
        if runtime not in ("auto", "torch", "onnx"):
            raise UserError(f"{self.model} has no runtime={runtime!r}; known: auto, torch, onnx")
        if batch_tokens is not None and batch_tokens < 1:
            raise UserError(f"{self.model}: batch_tokens is {batch_tokens}; it must be at least 1, a report that is longer is read alone")
        path = archive_path(self.model, weights, download=download)

        self.device = device_named(device, self.model)
        about = (path / WEIGHTS if path.is_dir() else path).stat()
        self._loaded = _load(self.model, path, (about.st_size, about.st_mtime_ns), backbone, str(self.device), runtime, download)
        # On one core a report took 108 ms of CPU time by 128 pieces, 113 by 256, 140 by 512, 182 by 1,024: what is read must fit into the cache.
        self.batch_tokens = batch_tokens or (256 if self.device.type == "cpu" else 16_384)

    @classmethod
    def needs(cls) -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        packages = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        lacking = f"{', '.join(packages)} not installed: pip install 'clala-benchmark[models]'"
        is_there = find_archive(cls.model) is not None
        how = f" (not here: name them, --set radgraph.weights=PATH, or have them fetched from {HUB_NAME}: --set radgraph.download=yes)"
        return [(not packages, "packages" if not packages else lacking), (is_there, f"weights{'' if is_there else how}")]

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """One annotation for each report, in order."""
        import torch

        read = [self._read(report) for report in reports]
        found = [self._annotation(report.words, None) for report in read]
        # Neighbours in length share a batch, the longest first: filling costs as much as words, and what does not fit is known at once.
        order = sorted((number for number, report in enumerate(read) if report.words), key=lambda number: -len(read[number].pieces))
        with torch.inference_mode():
            for numbers in self._batches(order, read):
                batch = [read[number] for number in numbers]
                answers = self._loaded.heads(self._vectors(batch), [len(report.words) for report in batch])
                for number, report, answer in zip(numbers, batch, answers, strict=True):
                    found[number] = self._annotation(report.words, answer)
        return found

    def signature(self) -> str:
        """Which model; its archive, tokenizer and the use of its BERT by checksum. What computes it is left out: annotations are the same."""
        weights, tokenizer = self._loaded.sha256[:12], self._loaded.pieces.sha256[:12]
        return f"{self.model}|weights:{weights}|tokenizer:{tokenizer}|bert:{self._loaded.reading}|as:radgraph-0.1.18|precision:fp32|v{VERSION}"

    def _read(self, report: str) -> Report:
        # The package annotates an empty report as if it said "None".
        words = (words_v1 if self.model == "radgraph" else words_xl)(whole_signs(report) or "None")
        pieces = self._loaded.pieces([word[1:] if word in ("/.", "/?") else word for word in words])
        return Report(words, [piece for word in pieces for piece in word], [len(word) for word in pieces])

    def _rows(self, report: Report) -> list[list[int]]:
        """The pieces as the BERT reads them, in parts where it has no places for all."""
        before, after = self._loaded.pieces.before, self._loaded.pieces.after
        if not self._loaded.pieces.is_framed:
            before = after = ()
        most = self._loaded.places - len(before) - len(after)
        parts = (report.pieces[start : start + most] for start in range(0, len(report.pieces), most))
        return [[*before, *part, *after] for part in parts]

    def _standing(self, report: Report) -> list[tuple[int, int]]:
        """(row, place in it) of the vector that the network takes for each piece; of the last ones there may be none.

        For a BERT that is where the piece stands. For a tokenizer without a class of its own (ModernBERT's), the package puts no marks around a row
        and counts as if it had: each piece is taken for the one before it, and long reports lose the ends of their rows. So was the network trained.
        """
        before, places, count = len(self._loaded.pieces.before), self._loaded.places, len(report.pieces)
        if self._loaded.pieces.is_framed:
            most = places - before - len(self._loaded.pieces.after)
            return [(piece // most, before + piece % most) for piece in range(count)]
        rows = -(-count // places)
        if rows == 1:
            return [(0, piece) for piece in range(1, count)]
        inner = [(row, place) for row in range(rows) for place in range(1, places - 1)]
        return [*inner[: count - 2 * rows], (rows - 1, (count - 1) % places)]

    def _batches(self, order: Sequence[int], read: Sequence[Report]) -> Iterator[list[int]]:
        """Numbers of reports, longest first, whose rows with their filling are at most so many pieces; one alone may be more."""
        batch: list[int] = []
        rows = longest = 0
        for number in order:
            lengths = [len(row) for row in self._rows(read[number])] or [0]
            if batch and (rows + len(lengths)) * max(longest, *lengths) > self.batch_tokens:
                yield batch
                batch, rows, longest = [], 0, 0
            batch.append(number)
            rows, longest = rows + len(lengths), max(longest, *lengths)
        if batch:
            yield batch

    def _vectors(self, batch: Sequence[Report]) -> Tensor:
        """(W, D) the vector of every word of the reports: the mean of its pieces', or zeros where it has none."""
        import torch

        rows: list[list[int]] = []
        standing: list[tuple[int, int]] = []
        word_of: list[int] = []  # which word each of them belongs to
        words = 0
        for report in batch:
            places = self._standing(report)
            of_pieces = [word for word, count in enumerate(report.counts, start=words) for _ in range(count)]
            standing += ((len(rows) + row, place) for row, place in places)
            word_of += of_pieces[: len(places)]
            rows += self._rows(report)
            words += len(report.words)
        sums = torch.zeros(words, self._loaded.heads.sizes.width, device=self.device)
        if not standing:
            return sums
        lengths = torch.tensor([len(row) for row in rows])
        filled = torch.full((len(rows), int(lengths.max())), self._loaded.pieces.pad)
        for number, row in enumerate(rows):
            filled[number, : len(row)] = torch.tensor(row)
        row_of, place_of = torch.tensor(standing, device=self.device).T
        vectors = self._loaded.encoder(filled.to(self.device), lengths.to(self.device))[row_of, place_of]
        words_of = torch.tensor(word_of, device=self.device)
        sums.index_add_(0, words_of, vectors)
        return sums / torch.bincount(words_of, minlength=words).clamp(min=1)[:, None]

    def _annotation(self, words: Sequence[str], found: Found | None) -> Annotation:
        """In the package's form: a relation stands at the entity that it comes from, and is dropped unless both its spans are entities."""
        entities: dict[str, Entity] = {}
        if found is not None:
            keys = {(first, last): str(number) for number, (first, last, _) in enumerate(found.entities, start=1)}
            relations: dict[tuple[int, int], list[list[str]]] = {span: [] for span in keys}
            for ours, theirs, label in found.relations:
                if ours in keys and theirs in keys:
                    relations[ours].append([self._loaded.relation_labels[label], keys[theirs]])
            for first, last, label in found.entities:
                entities[keys[first, last]] = {
                    "tokens": " ".join(words[first : last + 1]),
                    "label": self._loaded.entity_labels[label],
                    "start_ix": first,
                    "end_ix": last,
                    "relations": relations[first, last],
                }
        return {"text": " ".join(words), "entities": entities, "data_source": None, "data_split": "inference"}


class RadGraphV1(_Network):
    """The first model (Jain et al., 2021), which RadCliQ uses."""

    model = "radgraph"


class RadGraphXL(_Network):
    """RadGraph-XL (Delbrouck et al., 2024), the package's default."""

    model = "radgraph-xl"


class ModernRadGraphXL(_Network):
    """RadGraph-XL over a ModernBERT."""

    model = "modern-radgraph-xl"


@lru_cache(maxsize=1)
def _load(model: str, path: Path, state_of_file: tuple[int, int], backbone: Path | None, device: str, runtime: str, download: bool) -> Loaded:
    """The network of an archive on a device; one that was just loaded is not read again."""
    from adapters.radgraph import network

    archive = read_archive(path)
    config = _Config(archive)
    bert_state = {name.removeprefix(BERT): value for name, value in archive.state.items() if name.startswith(BERT)}
    wants_config = network.needs_config(bert_state)
    files = find_backbone(archive, config.backbone, backbone, needs_config=wants_config, download=download)
    entity, relation = (_labels(archive, f"{model}__{kind}_labels", kind) for kind in ("ner", "relation"))
    try:
        bert = network.bert_of(bert_state, files.config)
        state = _renamed(archive.state, entity.namespace, relation.namespace)
        heads = network.heads_of(state, longest_span=config.longest_span, spans_per_word=config.spans_per_word)
    except network.WrongTensors as error:
        raise WrongArchive(f"{path}: {error}; {remedy(path)}") from error
    if heads.sizes.entity_labels != len(entity.names) or heads.sizes.relation_labels != len(relation.names):
        raise WrongArchive(
            f"{path}: scores {heads.sizes.entity_labels} entities and {heads.sizes.relation_labels} relations, and vocabulary/ names "
            f"{len(entity.names)} and {len(relation.names)}; {remedy(path)}"
        )
    framed = is_framed(files, config.places, is_bert=not wants_config)
    pieces = WordPieces(archive, files, pieces=int(bert.config.vocab_size), is_framed=framed)
    reading = config_digest({**network.reading_of(bert, files.config), "is_framed": framed})
    places = min(config.places or bert.config.max_position_embeddings, bert.config.max_position_embeddings)
    heads = heads.eval().requires_grad_(False).to(device)
    encoder = _encoder(bert, device, runtime)
    return Loaded(encoder, heads, pieces, entity.names, relation.names, int(places), archive.sha256, reading)


def _encoder(bert: Any, device: str, runtime: str) -> Any:
    from adapters.radgraph import network

    bert = bert.eval().requires_grad_(False)
    is_bert, is_cpu = bert.config.model_type == "bert", device == "cpu"
    is_translated = is_bert and bert.config.hidden_act == "gelu"
    is_installed = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    if runtime == "onnx" and not (is_translated and is_cpu and is_installed):
        why = (
            "onnx and onnxruntime are not installed: pip install 'clala-benchmark[onnx]'"
            if not is_installed
            else f"the device is {device}: --device cpu"
            if not is_cpu
            else f"the network is a {bert.config.model_type}, and only a BERT is translated"
            if not is_bert
            else f"its activation is {bert.config.hidden_act}, and only gelu is translated"
        )
        raise UserError(f"radgraph.runtime=onnx cannot be had: {why}, or take --set radgraph.runtime=torch")
    if runtime != "torch" and is_translated and is_cpu and is_installed:
        from adapters.radgraph.onnx_encoder import OnnxEncoder, is_faster_here

        if runtime == "onnx" or is_faster_here():
            return OnnxEncoder(bert)
    return network.Encoder(bert).to(device)


class _Config:
    """What is read of config.json. Raises WrongArchive."""

    def __init__(self, archive: Archive) -> None:
        self.backbone = str(_at(archive, "dataset_reader", "token_indexers", "bert", "model_name"))
        places = _at(archive, "dataset_reader", "token_indexers", "bert").get("max_length")
        self.places: int | None = None if places is None else int(_number(archive, places, "max_length"))
        self.longest_span = int(_number(archive, _at(archive, "dataset_reader", "max_span_width"), "max_span_width"))
        self.spans_per_word = float(_number(archive, _at(archive, "model", "modules", "relation", "spans_per_word"), "spans_per_word"))
        coref = _at(archive, "model", "modules", "coref")
        if not isinstance(coref, Mapping):
            coref = {}
        if coref.get("coref_prop", 0):
            raise WrongArchive(
                f"{archive.path}: its spans learn from coreference (coref_prop is {coref['coref_prop']}), as no published RadGraph's do; "
                f"{remedy(archive.path)}"
            )


def _at(archive: Archive, *names: str) -> Any:
    found: Any = archive.config
    for name in names:
        if not isinstance(found, Mapping) or name not in found:
            raise WrongArchive(f"{archive.path}: config.json has no {'.'.join(names)}; {remedy(archive.path)}")
        found = found[name]
    return found


def _number(archive: Archive, found: Any, name: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < float("inf"):
        raise WrongArchive(f"{archive.path}: {name} of config.json is {found!r}, expected is a number above 0; {remedy(archive.path)}")
    return found


class _Labels(NamedTuple):
    namespace: str
    names: tuple[str, ...]


def _labels(archive: Archive, wanted: str, kind: str) -> _Labels:
    """The labels of a head, without that for none; the only ones of their kind where those of the model are not there. Raises WrongArchive."""
    known = [name for name in archive.vocabulary if name.endswith(f"__{kind}_labels")]
    name = wanted if wanted in known else known[0] if len(known) == 1 else ""
    if not name:
        raise WrongArchive(f"{archive.path}: vocabulary/ has {', '.join(known) or 'no labels'}, expected is {wanted}.txt; {remedy(archive.path)}")
    labels = archive.vocabulary[name]
    if kind == "ner":
        if labels[:1] != [""]:
            raise WrongArchive(f"{archive.path}: the first line of {name}.txt is {labels[0]!r}, and should be empty; {remedy(archive.path)}")
        labels = labels[1:]
    return _Labels(name, tuple(labels))


def _renamed(state: Mapping[str, Tensor], entity: str, relation: str) -> dict[str, Tensor]:
    """The tensors of the heads by their names in ``network.Heads``; what has no place there keeps its name, and is found out."""
    places = {
        "_endpoint_span_extractor._span_width_embedding.": "widths.",
        f"_ner._ner_scorers.{entity}.0._module._linear_layers.": "entity.hidden.",
        f"_ner._ner_scorers.{entity}.1._module.": "entity.out.",
        f"_relation._mention_pruners.{relation}._scorer.0._module._linear_layers.": "keep.hidden.",
        f"_relation._mention_pruners.{relation}._scorer.1._module.": "keep.out.",
        f"_relation._relation_feedforwards.{relation}._linear_layers.": "pair.hidden.",
        f"_relation._relation_scorers.{relation}.": "pair.out.",
    }
    renamed = {}
    for name, value in state.items():
        if name.startswith((BERT, *UNUSED)):
            continue
        theirs = next((start for start in places if name.startswith(start)), "")
        renamed[places.get(theirs, "") + name.removeprefix(theirs)] = value
    return renamed

"""The metrics that come with the project."""

from __future__ import annotations

from benchmark.hookspecs import Register, hookimpl


@hookimpl
def register_metrics(register: Register) -> None:
    """Lexical metrics, the lesion table, and what a judge says."""
    register("lesions", "benchmark.metrics.lesions:LesionScores", summary="precision, recall, F1 for each of 14 lesions, macro and micro")
    register("meteor", "benchmark.metrics.meteor:Meteor", summary="METEOR 1.5, system score and segment mean")
    register(
        "meteor_nltk", "benchmark.metrics.meteor_nltk:MeteorNltk", summary="METEOR as nltk computes it, mean over cases; about twice METEOR 1.5's"
    )
    register("rouge_1", "benchmark.metrics.rouge_n:rouge_1", summary="ROUGE-1 F1 as google's rouge-score computes it")
    register("rouge_2", "benchmark.metrics.rouge_n:rouge_2", summary="ROUGE-2 F1 as google's rouge-score computes it")
    register("rouge_l", "benchmark.metrics.rouge:RougeL", summary="ROUGE-L F1 as google's rouge-score computes it")
    register("rouge_l_coco", "benchmark.metrics.rouge_coco:RougeLCoco", summary="ROUGE_L of the COCO caption toolkit: recall counts for more")
    register("bleu", "benchmark.metrics.bleu:Bleu", summary="BLEU-1 to BLEU-4 over the corpus, as the COCO caption toolkit computes them")
    register(
        "sacrebleu", "benchmark.metrics.sacrebleu:SacreBleu", summary="BLEU-4 as sacreBLEU computes it: the corpus number, and the mean over cases"
    )
    register("cider_d", "benchmark.metrics.cider:CiderD", summary="CIDEr-D of the COCO caption toolkit, weighted by the references of the set")
    register(
        "degeneration", "benchmark.metrics.degeneration:Degeneration", summary="signs of writing by rote: distinct reports, self-BLEU, repeated words"
    )
    register(
        "consistency",
        "benchmark.metrics.consistency_judge:Consistency",
        summary="four axes from 1 to 5 (accuracy, completeness, language, structure) by a judge: rules, or a language model",
    )
    register(
        "chexbert",
        "benchmark.metrics.chexbert:ChexbertF1",
        summary="CheXbert F1 of 14 and of 5 observations, micro, macro, weighted and samples: needs chexbert.pth, or a table of its labels",
    )
    register(
        "green",
        "benchmark.metrics.green:Green",
        summary="GREEN (<judge>): errors and matched findings, counted by rules, a language model, or the published 7B",
    )
    register(
        "radgraph", "benchmark.metrics.radgraph:RadGraph", summary="F1-RadGraph: entities and relations in common; by rules unless told otherwise"
    )


@hookimpl
def register_annotators(register: Register) -> None:
    """Those that need no network."""
    register("rules", "benchmark.annotating.rules:RuleAnnotator", summary="by rules: deterministic, embedded, no download, and no RadGraph")
    register("file", "benchmark.annotating.annotation_file:AnnotationFile", summary="annotations that already exist: file:annotations.json")

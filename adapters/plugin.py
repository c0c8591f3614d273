"""The models that come with the project, the parts of CLALA-Net that are trained apart, and labeller and metrics that are published networks."""

from __future__ import annotations

from benchmark.hookspecs import Register, hookimpl


@hookimpl
def register_models(register: Register) -> None:
    """Two floors, two doors to the outside, and CLALA-Net."""
    register("constant", "adapters.constant:Constant", summary="one normal report for everyone: the floor that every model must beat")
    register(
        "retrieval", "adapters.retrieval:Retrieval", summary="the report of the most similar training image: the floor that most papers leave out"
    )
    register("reports_file", "adapters.reports_file:ReportsFile", summary="reports that already exist: reports_file:predictions.csv")
    register("command", "adapters.command:Command", summary="a model in another program: command:'./my-model --fast', JSON lines both ways")
    register("api", "adapters.api_model:ApiModel", summary="a model that reads images behind an endpoint, asked in words: api:openai/gpt-4o-mini")
    register("hf", "adapters.hf_model.model:HFModel", summary="an image-text-to-text model of transformers, asked in words: hf:google/medgemma-4b-it")
    register("clala", "adapters.clala:CLALA", summary="CLALA-Net (Noh et al., Scientific Reports 2026)", trainer="adapters.clala:train")
    register(
        "cvt2distilgpt2",
        "adapters.cvt2distilgpt2.model:CvT2DistilGPT2",
        summary="CvT2DistilGPT2 (Nicolson et al., Artificial Intelligence in Medicine 2023)",
        trainer="adapters.cvt2distilgpt2.training:train",
    )
    register(
        "rgrg", "adapters.rgrg.model:RGRG", summary="RGRG (Tanida et al., CVPR 2023): a sentence per region", trainer="adapters.rgrg.training:train"
    )
    register(
        "r2gen", "adapters.r2gen.model:R2Gen", summary="R2Gen (Chen et al., EMNLP 2020): a relational memory", trainer="adapters.r2gen.training:train"
    )
    register(
        "tsget",
        "adapters.tsget.model:TSGET",
        summary="TSGET (Yi et al., JBHI 2024): the whole image at every layer; no weights are published",
        trainer="adapters.tsget.training:train",
    )
    register(
        "llava_rad",
        "adapters.llava_rad.model:LLaVARad",
        summary="LLaVA-Rad (Zambrano Chaves et al., Nature Communications 2025): needs its 15 GB of files",
    )
    register("maira2", "adapters.maira2.model:MAIRA2", summary="MAIRA-2 (Bannur et al., 2024), all inputs, boxes if asked: needs its 27.5 GB, gated")
    register(
        "radialog",
        "adapters.radialog.model:RaDialog",
        summary="RaDialog v2 (Pellegrini et al., MIDL 2025), told what its classifier sees: needs its 15 GB of files",
    )
    register("llm_cxr", "adapters.llm_cxr.model:LLMCXR", summary="LLM-CXR (Lee et al., ICLR 2024): an image in 256 words; writes impressions")
    register("xraygpt", "adapters.xraygpt.model:XrayGPT", summary="XrayGPT (Thawakar et al., 2023): an image in 32 tokens; writes summaries")


@hookimpl
def register_metrics(register: Register) -> None:
    """Those that a network measures with: what it makes of two texts is theirs, what is counted is not."""
    register("bertscore", "adapters.bertscore.metric:BertScore", summary="BERTScore by any BERT on this machine: distilroberta-base, layer 5")
    register(
        "green_model",
        "adapters.green_model.metric:green_model",
        summary="GREEN by the published 7B model on this machine; the same as green with judge=local",
    )
    register(
        "radcliq_v1",
        "adapters.radcliq.metric:Radcliq",
        summary="RadCliQ-v1, predicted errors, lower is better: needs RadGraph v1, CheXbert and distilroberta-base",
    )


@hookimpl
def register_labellers(register: Register) -> None:
    """The one that most papers measure with, and what stands in for it where labels of its kind are trained on."""
    register(
        "chexbert", "adapters.chexbert.labeller:Chexbert", summary="CheXbert (Smit et al., 2020): needs chexbert.pth, knows 11 of the 14 lesions"
    )
    register(
        "rules_as_chexbert",
        "adapters.chexbert.stand_in:RulesAsChexbert",
        summary="by rules, told in CheXbert's classes: no sides, 11 of the 14 lesions; no download",
    )


@hookimpl
def register_annotators(register: Register) -> None:
    """RadGraph's published networks, and the package that they come from."""
    register("radgraph", "adapters.radgraph.annotator:RadGraphV1", summary="RadGraph (Jain et al., 2021), the network itself: fetched on first use")
    register("radgraph_xl", "adapters.radgraph.annotator:RadGraphXL", summary="RadGraph-XL (Delbrouck et al., 2024): fetched on first use")
    register("modern_radgraph_xl", "adapters.radgraph.annotator:ModernRadGraphXL", summary="RadGraph-XL over a ModernBERT: fetched on first use")
    register("package", "adapters.radgraph.package:PackageAnnotator", summary="the package radgraph, where it runs: package:radgraph-xl")


@hookimpl
def register_trainers(register: Register) -> None:
    """The two networks of CLALA-Net that see the whole image; the whole of it is trained as the model ``clala``."""
    register(
        "classifier", "adapters.clala_classifier:train_classifier", summary="CLALA-Net's classifier of 14 lesions: train clala --classifier FOLDER"
    )
    register("detector", "adapters.clala_detector:train_detector", summary="CLALA-Net's detector of 29 regions: train clala --detector FOLDER")

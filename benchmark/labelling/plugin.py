"""The labellers that come with the project and need no network of ours."""

from __future__ import annotations

from benchmark.hookspecs import Register, hookimpl


@hookimpl
def register_labellers(register: Register) -> None:
    """By rules, and by any language model."""
    register("rules", "benchmark.labelling.rules:RuleLabeller", summary="by rules: deterministic, embedded, no download")
    register("language_model", "benchmark.labelling.language_model:LanguageModelLabeller", summary="by a language model, as the paper labels")

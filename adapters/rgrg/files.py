"""Where RGRG's files lie: the published weights, and under which names GPT-2's word pieces and the BERT that finds sentences alike."""

from __future__ import annotations

from pathlib import Path

from adapters.gpt2_pieces import own_folder

REPOSITORY = "https://github.com/ttanida/rgrg"
REMEDY = f"take the full model's checkpoint that {REPOSITORY} links to (4.2 GB), --weights PATH"
HUB_NAMES = ("healx/gpt-2-pubmed-medium", "openai-community/gpt2-medium", "gpt2-medium", "openai-community/gpt2", "gpt2")
"""whose word pieces are GPT-2's; the first is the authors'"""
BERT = "distilbert-base-uncased"
"""that the authors' program finds sentences alike with"""


def published_file() -> Path | None:
    """The published weights where they would lie if nobody names them, or None."""
    return next(iter(sorted(own_folder("rgrg").glob("*.pt"))), None)

"""Where the files of CvT2DistilGPT2 come from: the authors' checkpoint is named by the user, GPT-2's pieces are looked for under these names."""

from __future__ import annotations

DOI = "10.25919/ng3g-aj81"
"""of the authors' weights, CSIRO Data Access Portal"""
HUB_NAMES = ("distilbert/distilgpt2", "distilgpt2", "openai-community/gpt2", "gpt2")
"""whose pieces are GPT-2's; the first is the authors'"""

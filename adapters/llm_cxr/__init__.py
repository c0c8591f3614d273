"""LLM-CXR (Lee et al., 2024): an impression from one frontal image, which is 256 more words of the vocabulary."""

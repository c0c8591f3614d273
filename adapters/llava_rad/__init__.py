"""LLaVA-Rad (Zambrano Chaves et al., 2025): findings from one frontal image and its indication."""

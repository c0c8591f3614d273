"""TSGET (Yi et al., IEEE JBHI 2024): R2Gen's parts with another decoder. No weights are published: it reads those of its users, and trains a demo."""

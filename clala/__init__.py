"""CLALA-Net: the model and its trainer. Imports torch, timm, transformers, and nothing else of this project."""

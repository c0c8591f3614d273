"""XrayGPT (Thawakar et al., 2023): a summary of one frontal image, which a LLaMA reads as 32 tokens."""

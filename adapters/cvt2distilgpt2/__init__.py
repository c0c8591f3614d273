"""CvT2DistilGPT2 (Nicolson et al., Artificial Intelligence in Medicine 2023): a convolutional vision transformer, and a small GPT-2 that reads it."""

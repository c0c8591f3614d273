"""What models that are asked in words have in common (``api``, ``hf``): words, images beside them, and what counts as an answer."""

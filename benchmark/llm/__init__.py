"""What asks language models: one client for every task, with cache, limits, budget and rules of data use."""

"""RadCliQ-v1 (Yu et al., Patterns 2023): how many errors a radiologist would find, foretold from four other metrics."""

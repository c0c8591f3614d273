"""Metrics: reports in, one row of statistics per case out."""

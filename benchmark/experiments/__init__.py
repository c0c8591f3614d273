"""Experiments as data: the paper's tables and Figure 3, trained, measured and set beside the printed numbers by one command."""

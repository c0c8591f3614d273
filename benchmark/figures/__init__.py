"""Figures for print, SVG and PNG with the same bytes for the same numbers: forest plots, and Figure 3."""

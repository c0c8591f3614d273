"""Readers: files as people have them -> cases and references."""

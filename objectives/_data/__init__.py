"""Readers and preparers: what turns raw files into memory-mapped arrays. Imports no torch."""

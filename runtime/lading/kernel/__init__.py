"""Thin, typed wrappers of the Linux kernel, one module per subject."""

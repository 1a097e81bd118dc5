"""Lading: a container engine that speaks Docker's own API, small enough to read."""

__version__ = "0.1.0"

"""Dockerfile → stages → steps → layers, with a cache."""

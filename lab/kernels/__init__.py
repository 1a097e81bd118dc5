"""Kernels: what their configuration offers a container engine."""

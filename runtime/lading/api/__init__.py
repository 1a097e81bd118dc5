"""The Docker Engine API: one module per group of routes."""

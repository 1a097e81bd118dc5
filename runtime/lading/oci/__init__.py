"""An OCI runtime: spec → plan (a list of steps) → process."""

OCI_VERSION = "1.2.0"
"""The version of the runtime spec that the model is of."""

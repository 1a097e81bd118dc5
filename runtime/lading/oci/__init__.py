"""An OCI runtime: spec → plan (a list of steps) → process."""

"""The engine's objects as Docker's JSON."""

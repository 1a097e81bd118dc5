"""The harness that runs scenarios against an engine and records what they observe."""

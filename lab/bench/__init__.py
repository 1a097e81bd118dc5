"""Measurements beside real Docker, as ratios of what both took in the same run."""

"""The matrix: every scenario on every cell of the lab, planned, run, resumed and judged."""

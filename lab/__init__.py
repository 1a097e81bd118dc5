"""The laboratory: engines to test, machines to test them in, and the report."""

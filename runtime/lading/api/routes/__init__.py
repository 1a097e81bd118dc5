"""The operations of the API, one module per group; each has its handlers by operation name."""

"""The options of `run` and `create`, and what they become in the API's container configuration."""

"""A client of the OCI distribution API 1.1: pull, push, and what they are made of."""

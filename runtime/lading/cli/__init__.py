"""The command line, a client of the API and of nothing else."""

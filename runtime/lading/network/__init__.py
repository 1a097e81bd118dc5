"""Container networks: bridges, addresses, published ports, and the files that name them.

Imported late by the engine: pyroute2 costs a tenth of a second and eleven megabytes.
"""

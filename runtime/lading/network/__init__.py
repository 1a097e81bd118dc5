"""Bridges, addresses, published ports, name service."""

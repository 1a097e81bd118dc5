"""Blobs by digest, layers on overlay2, volumes."""

"""References, manifests, the image store, archives."""

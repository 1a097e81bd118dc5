"""Real applications, to be built from Dockerfiles, and what builds them."""

"""What machines are made of: roots, kernels and the project, baked once and kept by content."""

"""Container networks: bridges, addresses, published ports, and the files that name them."""

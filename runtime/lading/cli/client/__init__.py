"""A small HTTP/1.1 client for the Engine API: sockets, streams, hijacked connections."""

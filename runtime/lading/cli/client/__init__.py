"""A small HTTP/1.1 client for the Engine API: unix and TCP sockets, streams, hijacked connections."""

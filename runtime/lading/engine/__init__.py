"""The life of containers: create, start, exec, attach, logs, events, restart."""

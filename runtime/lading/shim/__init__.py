"""The spawner and the shims that hold running containers."""

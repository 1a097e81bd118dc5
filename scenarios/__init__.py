"""What a container engine must do, written once and engine-neutral."""

"""The commands, one module for each group; `registry` says which is where."""

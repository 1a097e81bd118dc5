"""The little of config.json that the shim itself goes by; its creator reads the whole."""

from __future__ import annotations

import msgspec


class _Process(msgspec.Struct):
    terminal: bool = False


class _Namespace(msgspec.Struct):
    type: str
    path: str = ""


class _Linux(msgspec.Struct):
    namespaces: list[_Namespace] = []


class Config(msgspec.Struct):
    """A container's spec, as far as its streams and its end depend on it."""

    process: _Process = msgspec.field(default_factory=_Process)
    linux: _Linux = msgspec.field(default_factory=_Linux)

    def has_terminal(self) -> bool:
        """Tell whether PID 1 has a terminal rather than pipes."""
        return self.process.terminal

    def has_own_processes(self) -> bool:
        """Tell whether the kernel ends all others with PID 1: it is that of a new namespace."""
        return any(space.type == "pid" and not space.path for space in self.linux.namespaces)


def load(bundle: str) -> Config:
    """Read it. Raises OSError, and msgspec.DecodeError for what is no spec."""
    with open(f"{bundle}/config.json", "rb") as file:
        return msgspec.json.decode(file.read(), type=Config)

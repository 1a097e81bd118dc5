"""How a Dockerfile's mistakes are told: with the line they stand on."""

from __future__ import annotations

from lading.errors import InvalidParameter


class DockerfileError(InvalidParameter):
    """The Dockerfile cannot be read; the message names the line, as Docker's does."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"dockerfile parse error on line {line}: {message}")
        self.line = line


class WordError(InvalidParameter):
    """A word's quoting or substitution is malformed; the caller adds where it stands."""

"""Files that options name: environment, labels, the container's id."""

from __future__ import annotations

import os

from lading.cli.failures import CliError

SPACE = " \t\v\f\r\x85\xa0"


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except IsADirectoryError:
        raise ValueError(f"invalid env file ({path}): read {path}: is a directory") from None
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    out = []
    for number, line in enumerate(lines, start=1):
        try:
            out.append(line.decode())
        except UnicodeDecodeError:
            raise ValueError(f"invalid env file ({path}): line {number} is not UTF-8") from None
    return out


def read_variables(path: str, *, environment: bool) -> list[str]:
    """Read a file of `NAME=value` lines; raises ValueError for a line that is none.

    `#` begins a comment line. A name without `=` takes its value from the calling environment, and
    counts for nothing if there is none, or if the file is not one of `environment` but of labels.
    """
    found: list[str] = []
    for line in _lines(path):
        text = line.lstrip(SPACE)
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if any(char in name for char in " \t\v\f\r\n"):
            raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise ValueError(f"invalid env file ({path}): no variable name on line '{text}'")
        if equals:
            found.append(f"{name}={value.removesuffix(chr(13))}")
        elif environment and name in os.environ:
            found.append(f"{name}={os.environ[name]}")
    return found


class IdFile:
    """The file of `--cidfile`, which must not exist before and goes if there is no container."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.written = False
        if not path:
            return
        if os.path.exists(path):
            raise CliError(
                "container ID file found, make sure the other container isn't running "
                f"or delete {path}"
            )
        try:
            with open(path, "x"):
                pass
        except OSError as error:
            raise CliError(f"failed to create the container ID file: {error}") from None

    def write(self, container: str) -> None:
        """Put the container's id in, in one step."""
        if not self.path:
            return
        temporary = f"{self.path}.{os.getpid()}.tmp"
        with open(temporary, "w") as file:
            file.write(container)
        os.replace(temporary, self.path)
        self.written = True

    def close(self) -> None:
        """Remove the file if no id got into it."""
        if self.path and not self.written:
            os.unlink(self.path)

"""What `cp` has to find out: which side is the container's, and what the copy is called there.

The rules are those of cp(1): a copy goes into a directory that exists and becomes one that does
not, `/.` at the end of the source means what is in it.
"""

from __future__ import annotations

import os
import posixpath
from binascii import a2b_base64

from lading.cli import fastjson
from lading.cli.failures import ApiError, CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.client.api import Client

#: Bits of Go's os.FileMode.
GO_DIRECTORY, GO_SYMLINK = 1 << 31, 1 << 27
STAT_HEADER = "x-docker-container-path-stat"
MAX_LINKS = 10


class ContainerPath:
    """A path in a container and what the daemon says is there; `stat` is None if nothing is."""

    def __init__(self, path: str, stat: dict[str, Any] | None) -> None:
        self.path = path
        self.stat = stat

    @property
    def exists(self) -> bool:
        """Tell whether there is anything."""
        return self.stat is not None

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return bool(self.stat and self.stat["mode"] & GO_DIRECTORY)

    @property
    def is_link(self) -> bool:
        """Tell whether it is a symbolic link."""
        return bool(self.stat and self.stat["mode"] & GO_SYMLINK)

    @property
    def link_target(self) -> str:
        """Give the path that the link leads to."""
        assert self.stat
        target = str(self.stat["linkTarget"])
        parent = posixpath.dirname(self.path.rstrip("/"))
        return posixpath.join(parent, target)


def split_argument(text: str) -> tuple[str, str]:
    """Cut `container:path`.

    A local path, also one with a colon after a `/` or a leading dot, has no container.
    """
    if text.startswith(("/", ".")):
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon else ("", text)


def read_stat(header: str) -> dict[str, Any]:
    """Decode the header that describes a path in a container."""
    stat = fastjson.loads(a2b_base64(header))
    if not isinstance(stat, dict):
        raise CliError("the daemon's description of the path is malformed")
    return stat


def look_up(client: Client, container: str, path: str, *, follow: bool) -> ContainerPath:
    """Ask what is at a path, following symbolic links if told to.

    Raises ApiError for a container there is not.
    """
    for _ in range(MAX_LINKS):
        try:
            response = client.request("HEAD", f"/containers/{container}/archive", {"path": path})
        except ApiError as error:
            if error.http_status == 404:
                return ContainerPath(path, None)
            raise
        found = ContainerPath(path, read_stat(response.headers[STAT_HEADER]))
        if not (follow and found.is_link):
            return found
        path = found.link_target
    raise CliError(f"too many symbolic links at {path} in {container}")


def only_contents(path: str) -> bool:
    """Tell whether a source means what is in the directory, not the directory itself."""
    return path == "." or path.endswith("/.")


def asserts_directory(path: str) -> bool:
    """Tell whether a path can only be a directory's."""
    return path.endswith(("/", "/.")) or path == "."


class Destination:
    """Where a copy arrives: a directory, and the new name of its top, "" for its contents only."""

    __slots__ = ("directory", "name")

    def __init__(self, directory: str, name: str) -> None:
        self.directory = directory
        self.name = name


def place(
    source: str, *, source_is_directory: bool, path: str, exists: bool, is_directory: bool
) -> Destination:
    """Decide where the copy of `source` arrives if it goes to `path`.

    Raises CliError for what cannot be.
    """
    contents = source_is_directory and only_contents(source)
    base = "" if contents else posixpath.basename(os.path.normpath(source)).strip("/")
    if is_directory:
        return Destination(path, base)
    if exists and source_is_directory:
        raise CliError("cannot copy directory")
    if not source_is_directory and asserts_directory(path):
        raise CliError("no such directory")
    trimmed = path.rstrip("/")
    return Destination(posixpath.dirname(trimmed) or ".", posixpath.basename(trimmed))

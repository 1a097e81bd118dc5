"""`lading cp`."""

from __future__ import annotations

import os
import sys

from lading.cli.command import STDERR, STDOUT, Command, Context, write_all
from lading.cli.copying import (
    STAT_HEADER,
    ContainerPath,
    asserts_directory,
    look_up,
    only_contents,
    place,
    read_stat,
    split_argument,
)
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def copy(context: Context, options: Options) -> int:
    """Copy files between a container and here."""
    source, target = options.args
    from_container, from_path = split_argument(source)
    to_container, to_path = split_argument(target)
    if from_container and to_container:
        raise CliError("copying between containers is not supported")
    if from_container:
        return _from_container(context, options, from_container, from_path, target)
    if to_container:
        return _to_container(context, options, source, to_container, to_path)
    raise CliError("must specify at least one container source")


def _report(options: Options, size: int, target: str) -> None:
    if not options.on("quiet") and os.isatty(STDERR) and os.isatty(STDOUT):
        sys.stderr.write(f"Successfully copied {human_size(size)} to {target}\n")


def _from_container(
    context: Context, options: Options, container: str, path: str, target: str
) -> int:
    if target != "-":
        parent = os.path.dirname(os.path.abspath(target))
        if not os.path.isdir(parent):
            raise CliError(f'invalid output path: directory "{parent}" does not exist')
    wanted = path
    if options.on("follow-link"):
        wanted = look_up(context.client, container, path, follow=True).path
    response = context.client.request("GET", f"/containers/{container}/archive", {"path": wanted})
    if target == "-":
        for data in response.parts():
            write_all(STDOUT, data)
        return 0
    from lading.cli.tarunpack import StreamReader, unpack

    stat = ContainerPath(wanted, read_stat(response.headers[STAT_HEADER]))
    local = os.path.realpath(target) + ("/" if asserts_directory(target) else "")
    if local.endswith("/") and os.path.isfile(local[:-1]):
        raise CliError(f"stat {os.path.abspath(target)}/: not a directory")
    destination = place(
        path,
        source_is_directory=stat.is_directory,
        path=local,
        exists=os.path.lexists(local.rstrip("/") or "/"),
        is_directory=os.path.isdir(local),
    )
    if not os.path.isdir(local) and stat.is_directory and only_contents(path):
        destination.name = os.path.basename(local.rstrip("/"))
    reader = StreamReader(response.parts())
    unpack(reader, destination.directory, _renamer(path, wanted, destination.name))
    _report(options, reader.size, target)
    return 0


def _renamer(asked: str, wanted: str, name: str) -> Callable[[str], str]:
    """Make the function that gives the top of an archive another name.

    The daemon calls the top after the path that was asked for; for `dir/.` it is `.`.
    """
    top = "" if only_contents(asked) else os.path.basename(os.path.normpath(wanted)).strip("/")

    def rename(entry: str) -> str:
        entry = os.path.normpath(entry)
        if not top:
            rest = "" if entry == "." else entry
        else:
            first, _, rest = entry.partition("/")
            if first != top:
                return entry
        return f"{name}/{rest}".strip("/") if name else rest

    return rename


def _to_container(
    context: Context, options: Options, source: str, container: str, path: str
) -> int:
    slash = "/" if asserts_directory(path) else ""
    path = os.path.normpath(f"/{path}").replace("//", "/")
    target = look_up(context.client, container, path, follow=True)
    if source == "-":
        if not target.is_directory:
            raise CliError(f'destination "{container}:{path}" must be a directory')
        _send(context, options, container, target.path, _stdin())
        return 0
    follow = options.on("follow-link") or source.endswith("/")
    absolute = os.path.abspath(source)
    try:
        os.stat(absolute) if follow else os.lstat(absolute)
    except OSError as error:
        raise CliError(f"lstat {absolute}: {(error.strerror or '').lower()}") from None
    is_directory = os.path.isdir(absolute) and (follow or not os.path.islink(absolute))
    destination = place(
        source if source not in ("", ".") else "./.",
        source_is_directory=is_directory,
        path=target.path + ("" if target.is_directory else slash),
        exists=target.exists,
        is_directory=target.is_directory,
    )
    from lading.cli.tarpack import Packer, pack, tree

    real = os.path.realpath(absolute) if follow else absolute
    entries = tree(real, destination.name) if is_directory else [(real, destination.name)]
    size = _send(context, options, container, destination.directory, pack(entries, Packer()))
    _report(options, size, f"{container}:{path}")
    return 0


def _stdin() -> Iterator[bytes]:
    while data := os.read(0, 1 << 16):
        yield data


def _send(
    context: Context, options: Options, container: str, directory: str, parts: Iterator[bytes]
) -> int:
    """Send an archive to be unpacked in a directory of the container; give its size."""
    size = [0]

    def counted() -> Iterator[bytes]:
        for part in parts:
            size[0] += len(part)
            yield part

    query = {"path": directory, "noOverwriteDirNonDir": "true"}
    if options.on("archive"):
        query["copyUIDGID"] = "true"
    headers = {"Content-Type": "application/x-tar"}
    try:
        response = context.client.request(
            "PUT", f"/containers/{container}/archive", query, stream=counted(), headers=headers
        )
    except OSError as error:
        raise CliError(f"open {error.filename}: {(error.strerror or '').lower()}") from None
    response.read()
    return size[0]


COMMANDS = {
    "cp": Command(
        "cp",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-  or  SRC_PATH|- CONTAINER:DEST_PATH",
        "Copy files/folders between a container and the local filesystem",
        copy,
        arguments=(2, 2),
        flags=(
            Flag("archive", "a", BOOL, "Keep user and group ids"),
            Flag("follow-link", "L", BOOL, "Copy what a symbolic link leads to"),
            Flag("quiet", "q", BOOL, "Do not say how much was copied"),
        ),
        about="As with cp: a directory is copied into a directory that exists, and becomes one "
        "that does not; `dir/.` means what is in it. `-` stands for a tar archive on stdin "
        "or stdout. The container need not run.",
        examples=(
            ("cp web:/etc/nginx/nginx.conf .", "from a container"),
            ("cp site/. web:/srv/www", "what is in a directory, into a container"),
            ("cp web:/var/log - | tar t", "as a tar archive"),
        ),
    ),
}

"""What a build sends: a directory without what .dockerignore leaves out, and the Dockerfile."""

from __future__ import annotations

import os
from hashlib import sha256

from lading.cli.failures import CliError
from lading.cli.tarpack import Packer
from lading.errors import LadingError
from lading.ignore import IgnoreRules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORE_FILE = ".dockerignore"
DEFAULT_NAMES = ("Dockerfile", "dockerfile")
MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
CHUNK = 1 << 18
TAR_MAGIC_AT = 257
REMOTE = ("http://", "https://", "git://", "git@", "github.com/")
ROOT = (0, 0)


class BuildContext:
    """A context as it is sent: the stream of its archive, and the Dockerfile's name in there.

    `remote` is set instead of the stream if the daemon is to fetch the context itself.
    """

    def __init__(
        self, stream: Iterator[bytes] | None, dockerfile: str = "", remote: str = ""
    ) -> None:
        self.stream = stream
        self.dockerfile = dockerfile
        self.remote = remote


def open_context(place: str, dockerfile: str, stdin: Iterator[bytes]) -> BuildContext:
    """Open the context at a path or URL, `-` for stdin; raises CliError if there is none."""
    if place == "-":
        if dockerfile == "-":
            raise CliError(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        return _from_stdin(dockerfile, stdin)
    if place.startswith(REMOTE):
        if dockerfile == "-":
            raise CliError("the Dockerfile of a remote context cannot come from stdin")
        return BuildContext(None, dockerfile, place)
    if not os.path.exists(place):
        raise CliError(f'unable to prepare context: path "{place}" not found')
    if not os.path.isdir(place):
        raise CliError(
            f"unable to prepare context: context must be a directory: {os.path.abspath(place)}"
        )
    try:
        return _from_directory(os.path.realpath(place), dockerfile, stdin)
    except LadingError as error:
        raise CliError(f"unable to prepare context: {IGNORE_FILE}: {error.message}") from None


def _from_stdin(dockerfile: str, stdin: Iterator[bytes]) -> BuildContext:
    """Take stdin for an archive if it looks like one, else for a Dockerfile without a context."""
    head = b""
    while len(head) < TAR_MAGIC_AT + 8 and (data := next(stdin, b"")):
        head += data
    if head.startswith(MAGIC) or head[TAR_MAGIC_AT : TAR_MAGIC_AT + 5] == b"ustar":
        return BuildContext(_joined(head, stdin), dockerfile)
    if dockerfile:
        raise CliError("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
    content = head + b"".join(stdin)
    packer = Packer()
    return BuildContext(
        iter((*packer.data(DEFAULT_NAMES[0], content), packer.end())), DEFAULT_NAMES[0]
    )


def _joined(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _find_dockerfile(root: str, given: str) -> str:
    """Give the absolute path of the Dockerfile; raises CliError if there is none."""
    if given:
        path = os.path.abspath(given)
    else:
        found = [os.path.join(root, name) for name in DEFAULT_NAMES]
        path = next((candidate for candidate in found if os.path.lexists(candidate)), found[0])
    real = os.path.realpath(path)
    if not os.path.exists(real):
        raise CliError(
            "unable to prepare context: unable to evaluate symlinks in Dockerfile path: "
            f"lstat {path}: no such file or directory"
        )
    return real


def _from_directory(root: str, given: str, stdin: Iterator[bytes]) -> BuildContext:
    extra: bytes | None = None
    if given == "-":
        extra = b"".join(stdin)
    else:
        path = _find_dockerfile(root, given)
        if os.path.commonpath((root, path)) == root:
            name = os.path.relpath(path, root)
            return BuildContext(_pack(root, _rules(root, name), (name, IGNORE_FILE)), name)
        with open(path, "rb") as file:
            extra = file.read()
    name = f".dockerfile.{sha256(extra).hexdigest()[:20]}"
    return BuildContext(_pack(root, _rules(root, ""), (IGNORE_FILE,), (name, extra)), name)


def _rules(root: str, dockerfile: str) -> IgnoreRules:
    """Read the rules of the Dockerfile's own ignore file, if there is one, else the context's."""
    for name in (f"{dockerfile}.dockerignore", IGNORE_FILE) if dockerfile else (IGNORE_FILE,):
        try:
            with open(os.path.join(root, name), encoding="utf-8", errors="surrogateescape") as file:
                return IgnoreRules.parse(file.read())
        except FileNotFoundError:
            continue
    return IgnoreRules(())


def _pack(
    root: str, rules: IgnoreRules, always: tuple[str, ...], extra: tuple[str, bytes] | None = None
) -> Iterator[bytes]:
    packer = Packer(owner=ROOT)
    for path, name in entries(root, rules, always):
        try:
            yield from packer.entry(path, name)
        except OSError as error:
            raise CliError(
                f"error checking context: can't read {path}: {(error.strerror or '').lower()}"
            ) from None
    if extra:
        yield from packer.data(*extra)
    yield packer.end()


def entries(
    root: str, rules: IgnoreRules, always: tuple[str, ...] = (), below: str = ""
) -> Iterator[tuple[str, str]]:
    """Walk a context: each path and its name, directories before what is in them.

    `always` names files that belong to it whatever the rules say.
    """
    with os.scandir(os.path.join(root, below)) as found:
        listed = sorted(found, key=lambda entry: entry.name)
    for entry in listed:
        name = f"{below}/{entry.name}" if below else entry.name
        excluded = rules.excluded(name) and name not in always
        if not entry.is_dir(follow_symlinks=False):
            if not excluded:
                yield entry.path, name
            continue
        wanted = any(path.startswith(f"{name}/") for path in always)
        if excluded and not wanted and rules.prunes(name):
            continue
        inner = entries(root, rules, always, name)
        if not excluded:
            yield entry.path, name
            yield from inner
            continue
        first = next(inner, None)
        if first:
            yield entry.path, name
            yield first
            yield from inner

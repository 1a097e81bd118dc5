"""The owners and modes that COPY and ADD are told to give."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator

from lading.build.destination import View
from lading.errors import InvalidParameter, LadingError

_ID_MAX = 2**31 - 1
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*(?![ugo])|[ugo])")

Chmod = Callable[[int, bool], int]
"""Gives new permission bits, from the old ones and whether it is a directory."""


def owner(text: str, view: View) -> tuple[int, int]:
    """Give the ids that `--chown=user[:group]` means in an image; without a group, the user's name.

    Raises LadingError in Docker's words for a name that the image does not know.
    """
    parts = text.split(":")
    if len(parts) > 2 or not parts[0]:
        raise _bad(f"invalid chown string format: {text}")
    user, group = parts[0], parts[-1]
    return _id(user, "user", "uid", view, b"etc/passwd"), _id(
        group, "group", "gid", view, b"etc/group"
    )


def _id(wanted: str, kind: str, short: str, view: View, path: bytes) -> int:
    if re.fullmatch(r"-?\d+", wanted):
        number = int(wanted)
        if not 0 <= number <= _ID_MAX:
            raise _bad(f"{short} {wanted} is not in the range 0-{_ID_MAX}")
        return number
    for name, number in _accounts(view, path):
        if name == wanted:
            return number
    raise _bad(f"can't find {short} for {kind} {wanted}: no such {kind}: {wanted}")


def _accounts(view: View, path: bytes) -> Iterator[tuple[str, int]]:
    """Yield the names and ids of passwd(5) or group(5); lines that make no sense are skipped."""
    for line in view.read(path).decode("utf-8", "replace").splitlines():
        parts = line.strip().split(":")
        if len(parts) >= 3 and parts[2].isdecimal():
            yield parts[0], int(parts[2])


def _bad(why: str) -> LadingError:
    return LadingError(f"unable to convert uid/gid chown string to host mapping: {why}")


def parse_chmod(text: str) -> Chmod:
    """Read `--chmod`: octal digits, or clauses as `u=rwX,go=rX` (chmod(1)).

    Raises InvalidParameter for anything else.
    """
    if re.fullmatch(r"[0-7]{1,5}", text):
        bits = int(text, 8)
        if bits > 0o7777:
            raise _bad_mode(text)
        return lambda mode, is_directory: bits  # noqa: ARG005 - the same for all
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    actions: list[tuple[str, str, str]] = []
    for clause in clauses:
        if clause is None:
            raise _bad_mode(text)
        actions += [(clause[1], one[1], one[2]) for one in _ACTION.finditer(clause[2])]
    return lambda mode, is_directory: _apply(actions, stat.S_IMODE(mode), is_directory)


def _apply(actions: list[tuple[str, str, str]], mode: int, is_directory: bool) -> int:
    for who, operator, what in actions:
        classes = "ugo" if who in ("", "a") or "a" in who else who
        mask = sum({_WHO[one] for one in classes})
        bits = _bits(what, mode, is_directory) & mask
        if operator == "=":
            keep = 0o6000 if is_directory and "s" not in what else 0
            mode = mode & ~(mask & ~keep) | bits
        elif operator == "+":
            mode |= bits
        else:
            mode &= ~bits
    return mode


def _bits(what: str, mode: int, is_directory: bool) -> int:
    if what in ("u", "g", "o") and what:
        three = mode >> {"u": 6, "g": 3, "o": 0}[what] & 7
        return three * 0o111
    bits = 0
    for char in what:
        if char == "X":
            bits |= 0o111 if is_directory or mode & 0o111 else 0
        else:
            bits |= _BITS[char]
    return bits


def _bad_mode(text: str) -> InvalidParameter:
    return InvalidParameter(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777,"
        " or symbolic, as u=rwX,go=rX"
    )


def without_set_id(mode: int) -> int:
    """Give the bits that stay when a file changes hands (chown(2)), as it does in Docker's COPY."""
    if not stat.S_ISREG(mode):
        return mode
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode


def join(workdir: str, destination: str) -> tuple[bytes, bool]:
    """Give a destination from the root on, without a slash in front, and whether it ends in one."""
    path = os.path.normpath("/" + workdir + "/" + destination)
    if destination.startswith("/"):
        path = os.path.normpath(destination)
    return os.fsencode(path).strip(b"/"), destination.endswith("/")

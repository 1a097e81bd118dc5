"""`RUN --mount`: what its options mean, and the directories of cache mounts.

Source: the Dockerfile reference, "RUN --mount"; defaults are BuildKit's.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from lading.build.errors import DockerfileError

Options: TypeAlias = dict[str, str]


class Sharing(Enum):
    """What happens when two RUNs want the same cache."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class BindMount:
    """Files of the context, or of the stage or image `from_`; writes are thrown away."""

    target: str
    source: str = "/"
    from_: str = ""
    writable: bool = False


@dataclass(frozen=True, slots=True)
class CacheMount:
    """A directory that stays from build to build; when new, it begins as `source` of `from_`."""

    target: str
    id: str
    sharing: Sharing = Sharing.SHARED
    source: str = "/"
    from_: str = ""
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    writable: bool = True


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory; a `size` of 0 bytes is the kernel's default."""

    target: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A secret as a file at `target` (none when "") and as the variable `env` (none when "")."""

    id: str
    target: str
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class SshMount:
    """The socket of an SSH agent at `target`; SSH_AUTH_SOCK names the first one of a RUN."""

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount

_ALIASES = {
    "dst": "target",
    "destination": "target",
    "src": "source",
    "readwrite": "rw",
    "readonly": "ro",
}
_WRITABLE = ("rw", "ro")
_OWNED = ("mode", "uid", "gid")
_KNOWN = {
    "bind": ("target", "source", "from", *_WRITABLE),
    "cache": ("target", "source", "from", "id", "sharing", *_OWNED, *_WRITABLE),
    "tmpfs": ("target", "size"),
    "secret": ("target", "source", "id", "env", "required", *_OWNED),
    "ssh": ("target", "id", "required", *_OWNED),
}
_OCTAL = ("octal number", "01234567", "7777")
_DECIMAL = ("number", "0123456789", "2147483647")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_mounts(
    mounts: Iterable[Iterable[tuple[str, str]]], workdir: str, line: int
) -> tuple[Mount, ...]:
    """Read the `--mount` options of one RUN, variables replaced.

    Relative targets begin at `workdir`. Raises DockerfileError with `line`.
    """
    made: list[Mount] = []
    for pairs in mounts:
        sockets = sum(isinstance(one, SshMount) for one in made)
        try:
            made.append(_parse(pairs, workdir, sockets))
        except ValueError as error:
            raise DockerfileError(f"RUN --mount: {error}", line) from None
    return tuple(made)


def _parse(pairs: Iterable[tuple[str, str]], workdir: str, sockets: int) -> Mount:
    options: Options = {}
    for name, value in pairs:
        options[_ALIASES.get(name, name)] = value
    kind = options.pop("type", "bind")
    if kind not in _KNOWN:
        raise ValueError(f'unsupported mount type "{kind}"; there are {", ".join(_KNOWN)}')
    for name in options:
        if name not in _KNOWN[kind]:
            known = ", ".join(_KNOWN[kind])
            raise ValueError(f"unexpected key '{name}' for type {kind}; it takes {known}")
    return _MAKERS[kind](options, workdir, sockets)


def _bind(options: Options, workdir: str, _: int) -> BindMount:
    target = _target(options, workdir)
    source = options.get("source", "/")
    return BindMount(target, source, options.get("from", ""), _writable(options, default=False))


def _cache(options: Options, workdir: str, _: int) -> CacheMount:
    target = _target(options, workdir)
    sharing = options.get("sharing", "shared")
    if sharing not in {one.value for one in Sharing}:
        raise ValueError(f'unsupported sharing value "{sharing}"; it is shared, private or locked')
    mode, uid, gid = _owned(options, 0o755)
    return CacheMount(
        target,
        options.get("id", "") or target,
        Sharing(sharing),
        options.get("source", "/"),
        options.get("from", ""),
        mode,
        uid,
        gid,
        _writable(options, default=True),
    )


def _tmpfs(options: Options, workdir: str, _: int) -> TmpfsMount:
    return TmpfsMount(_target(options, workdir), _size(options.get("size", "0")))


def _secret(options: Options, workdir: str, _: int) -> SecretMount:
    given = options.get("target", "")
    name = options.get("id", "") or options.get("source", "") or posixpath.basename(given)
    if not name:
        raise ValueError("a secret needs an id, as in type=secret,id=token")
    env = options.get("env", "")
    target = _target(options, workdir) if given else ""
    if not target and not env:
        target = f"/run/secrets/{posixpath.basename(name)}"
    mode, uid, gid = _owned(options, 0o400)
    return SecretMount(name, target, env, _truth(options, "required", False), mode, uid, gid)


def _ssh(options: Options, workdir: str, sockets: int) -> SshMount:
    target = f"/run/buildkit/ssh_agent.{sockets}"
    if options.get("target"):
        target = _target(options, workdir)
    mode, uid, gid = _owned(options, 0o600)
    name = options.get("id", "") or "default"
    return SshMount(name, target, _truth(options, "required", False), mode, uid, gid)


_MAKERS: dict[str, Callable[[Options, str, int], Mount]] = {
    "bind": _bind,
    "cache": _cache,
    "tmpfs": _tmpfs,
    "secret": _secret,
    "ssh": _ssh,
}


def _target(options: Options, workdir: str) -> str:
    given = options.get("target", "")
    if not given:
        raise ValueError("a mount needs a target, as in target=/path")
    target = os.path.normpath("/" + posixpath.join(workdir, given)).replace("//", "/")
    if target == "/":
        raise ValueError("invalid mount target /: a mount cannot cover the root")
    return target


def _writable(options: Options, *, default: bool) -> bool:
    if "rw" in options:
        return _truth(options, "rw", default)
    return not _truth(options, "ro", not default)


def _truth(options: Options, name: str, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"invalid value for {name}: {text}; it is true or false")
    return text.lower() in ("true", "1")


def _owned(options: Options, mode: int) -> tuple[int, int, int]:
    return (
        _number(options, "mode", mode, 8),
        _number(options, "uid", 0, 10),
        _number(options, "gid", 0, 10),
    )


def _number(options: Options, name: str, default: int, base: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    kind, digits, most = _OCTAL if base == 8 else _DECIMAL
    if not text or text.strip(digits) or int(text, base) > int(most, base):
        raise ValueError(f"invalid value for {name}: {text!r} is no {kind} up to {most}")
    return int(text, base)


def _size(text: str) -> int:
    lowered = text.lower().removesuffix("ib").removesuffix("b")
    unit = lowered[-1:] if lowered[-1:] in "kmgt" else ""
    digits = lowered.removesuffix(unit)
    if not digits.isdecimal():
        raise ValueError(f"invalid value for size: {text!r}; write it as 64m")
    return int(digits) * _UNITS[unit]

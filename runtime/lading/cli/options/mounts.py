"""The value of `--mount`, and the short form `-v`."""

from __future__ import annotations

import os

from lading.cli.kinds import parse_bool
from lading.cli.options.csvline import fields
from lading.cli.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Setter = Callable[[dict[str, Any], str], None]

#: Keys that are true when they stand alone.
SWITCHES = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive"))
RECURSIVE = ("enabled", "disabled", "writable", "readonly")


def parse_mount(text: str) -> dict[str, Any]:
    """Read `type=bind,source=/a,target=/b,…` as the API's Mount.

    Raises ValueError in Docker's words.
    """
    mount: dict[str, Any] = {"Type": "volume"}
    for field in fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            if key not in SWITCHES:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        if key not in _SETTERS:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        _SETTERS[key](mount, value)
    _check(mount)
    if mount["Type"] == "bind" and mount.get("Source"):
        source = str(mount["Source"])
        relative = source.startswith(".")
        mount["Source"] = os.path.abspath(source) if relative else source
    return mount


def _options(mount: dict[str, Any], kind: str) -> dict[str, Any]:
    options: dict[str, Any] = mount.setdefault(kind, {})
    return options


def _plain(key: str, convert: Callable[[str], Any] = str) -> Setter:
    def put(mount: dict[str, Any], value: str) -> None:
        mount[key] = convert(value)

    return put


def _option(kind: str, key: str, convert: Callable[[str], Any] = str) -> Setter:
    def put(mount: dict[str, Any], value: str) -> None:
        _options(mount, kind)[key] = convert(value)

    return put


def _switch(name: str) -> Callable[[str], bool]:
    def convert(value: str) -> bool:
        try:
            return parse_bool(value)
        except ValueError:
            raise ValueError(f"invalid value for {name}: {value}") from None

    return convert


def _pair(*path: str) -> Setter:
    def put(mount: dict[str, Any], value: str) -> None:
        target = mount
        for step in path:
            target = _options(target, step)
        name, _, content = value.partition("=")
        target[name] = content

    return put


def _driver(mount: dict[str, Any], value: str) -> None:
    _options(_options(mount, "VolumeOptions"), "DriverConfig")["Name"] = value


def _tmpfs_size(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from None


def _tmpfs_mode(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from None


def _recursive(mount: dict[str, Any], value: str) -> None:
    bind = _options(mount, "BindOptions")
    if value not in RECURSIVE:
        raise ValueError(
            f"invalid value for bind-recursive: {value} "
            '(must be "enabled", "disabled", "writable", or "readonly")'
        )
    if value == "disabled":
        bind["NonRecursive"] = True
    elif value == "writable":
        bind["ReadOnlyNonRecursive"] = True
    elif value == "readonly":
        bind["ReadOnlyForceRecursive"] = True


_SETTERS: dict[str, Setter] = {
    "type": _plain("Type", str.lower),
    "consistency": _plain("Consistency", str.lower),
    "bind-propagation": _option("BindOptions", "Propagation", str.lower),
    "bind-nonrecursive": _option("BindOptions", "NonRecursive", _switch("bind-nonrecursive")),
    "bind-recursive": _recursive,
    "volume-subpath": _option("VolumeOptions", "Subpath"),
    "volume-nocopy": _option("VolumeOptions", "NoCopy", _switch("volume-nocopy")),
    "volume-label": _pair("VolumeOptions", "Labels"),
    "volume-driver": _driver,
    "volume-opt": _pair("VolumeOptions", "DriverConfig", "Options"),
    "image-subpath": _option("ImageOptions", "Subpath"),
    "tmpfs-size": _option("TmpfsOptions", "SizeBytes", _tmpfs_size),
    "tmpfs-mode": _option("TmpfsOptions", "Mode", _tmpfs_mode),
    **dict.fromkeys(("source", "src"), _plain("Source")),
    **dict.fromkeys(("target", "dst", "destination"), _plain("Target")),
    **dict.fromkeys(("readonly", "ro"), _plain("ReadOnly", _switch("readonly"))),
}


def _check(mount: dict[str, Any]) -> None:
    kind = mount["Type"]
    if not kind:
        raise ValueError("type is required")
    if not mount.get("Target"):
        raise ValueError("target is required")
    for options, owner in (
        ("VolumeOptions", "volume"),
        ("BindOptions", "bind"),
        ("TmpfsOptions", "tmpfs"),
        ("ImageOptions", "image"),
    ):
        if options in mount and kind != owner:
            raise ValueError(f"cannot mix '{owner}-*' options with mount type '{kind}'")
    _check_recursive(mount, mount.get("BindOptions", {}))


def _check_recursive(mount: dict[str, Any], bind: dict[str, Any]) -> None:
    for option, value in (
        ("ReadOnlyNonRecursive", "writable"),
        ("ReadOnlyForceRecursive", "readonly"),
    ):
        needs = "requires '{}' to be specified in conjunction"
        if bind.get(option) and not mount.get("ReadOnly"):
            raise ValueError(f"option 'bind-recursive={value}' {needs.format('readonly')}")
        if value == "readonly" and bind.get(option) and bind.get("Propagation") != "rprivate":
            needs = needs.format("bind-propagation=rprivate")
            raise ValueError(f"option 'bind-recursive=readonly' {needs}")


def split_volumes(values: list[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Sort `-v` values into binds, as the API wants them, and anonymous volumes by their place.

    Raises ValueError for an empty part between colons.
    """
    binds: list[str] = []
    anonymous: dict[str, dict[str, Any]] = {}
    for value in values:
        parts = value.split(":")
        if "" in parts or not value:
            raise ValueError(f"invalid spec: {value}: empty section between colons")
        if len(parts) == 1:
            anonymous[value] = {}
            continue
        source = parts[0]
        if source.startswith("."):
            source = os.path.abspath(source)
        binds.append(":".join((source, *parts[1:])))
    return binds, anonymous


def parse_tmpfs(values: list[str]) -> dict[str, str]:
    """Read `--tmpfs` values, `/path[:options]`."""
    pairs = (value.partition(":") for value in values)
    return {path: options for path, _, options in pairs}

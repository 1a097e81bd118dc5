"""`--security-opt`, `--cap-add` and `--cap-drop`, devices, and the namespaces' modes."""

from __future__ import annotations

from lading.cli import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.flags import Options

DEVICE_MODES = "rwm"


def capabilities(add: list[str], drop: list[str]) -> tuple[list[str], list[str]]:
    """Write capability names as the kernel does, each once: `net_admin` as CAP_NET_ADMIN."""
    return sorted(_names(add)), sorted(_names(drop))


def _names(values: list[str]) -> set[str]:
    names = {value.strip().upper() for value in values}
    return {
        name if name in ("ALL", "RESET") or name.startswith("CAP_") else f"CAP_{name}"
        for name in names
    }


def security_options(values: list[str]) -> tuple[list[str], bool]:
    """Check `--security-opt` values and read seccomp policies from their files.

    The second result tells whether /proc and /sys stay unmasked (`systempaths=unconfined`).
    Raises ValueError.
    """
    found: list[str] = []
    unmasked = False
    for value in values:
        if value == "systempaths=unconfined":
            unmasked = True
            continue
        key, equals, content = value.partition("=")
        if not equals and value != "no-new-privileges":
            key, equals, content = value.partition(":")
            if not equals:
                raise ValueError(f'Invalid --security-opt: "{value}"')
        if key == "seccomp" and content not in ("unconfined", "builtin"):
            value = f"seccomp={_seccomp_policy(content)}"  # noqa: PLW2901
        found.append(value)
    return found, unmasked


def _seccomp_policy(path: str) -> str:
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        reason = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise ValueError(f"opening seccomp profile ({path}) failed: {reason}") from None
    try:
        return fastjson.dumps(fastjson.loads(text))
    except ValueError as error:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {error}") from None


def namespace_modes(options: Options) -> dict[str, str]:
    """Check the modes of `--pid`, `--uts`, `--userns`, `--cgroupns`.

    `--ipc` is the daemon's to check.
    Raises ValueError.
    """
    pid, uts = options.text("pid"), options.text("uts")
    user, cgroup = options.text("userns"), options.text("cgroupns")
    container, _, name = pid.partition(":")
    if pid not in ("", "host") and not (container == "container" and name):
        raise ValueError("--pid: invalid PID mode")
    if uts not in ("", "host"):
        raise ValueError("--uts: invalid UTS mode")
    if user not in ("", "host"):
        raise ValueError("--userns: invalid USER mode")
    if cgroup not in ("", "host", "private"):
        raise ValueError("--cgroupns: invalid CGROUP mode")
    return {
        "PidMode": pid,
        "UTSMode": uts,
        "UsernsMode": user,
        "CgroupnsMode": cgroup,
        "IpcMode": options.text("ipc"),
    }


def devices(values: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Sort `--device` values into mappings of paths and names of CDI devices; raises ValueError."""
    mappings: list[dict[str, Any]] = []
    cdi: list[str] = []
    for value in values:
        if _is_cdi(value):
            cdi.append(value)
            continue
        parts = value.split(":")
        if len(parts) > 3 or not parts[0]:
            raise ValueError(f"bad format for path: {value}")
        host, inside, mode = parts[0], parts[0], "rwm"
        if len(parts) == 3:
            _, inside, mode = parts
            if not _is_mode(mode):
                raise ValueError(f"bad mode specified: {mode}")
        elif len(parts) == 2:
            inside, mode = (host, parts[1]) if _is_mode(parts[1]) else (parts[1], "rwm")
        if not inside.startswith("/"):
            raise ValueError(f"{inside} is not an absolute path")
        mappings.append({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode})
    return mappings, cdi


def _is_mode(text: str) -> bool:
    return bool(text) and not text.strip(DEVICE_MODES) and len(set(text)) == len(text)


def _is_cdi(text: str) -> bool:
    kind, equals, name = text.partition("=")
    vendor, slash, device_class = kind.partition("/")
    return bool(equals and slash and vendor and device_class and name) and not text.startswith("/")

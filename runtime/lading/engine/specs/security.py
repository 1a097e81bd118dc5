"""How a container is confined: capabilities, seccomp, AppArmor, no_new_privs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lading.engine.checks.host import normal_capability
from lading.engine.model import HostConfig
from lading.errors import LadingError
from lading.oci.spec import LinuxCapabilities

UNCONFINED = "unconfined"
BUILTIN = "builtin"

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(slots=True)
class SecurityOptions:
    """`--security-opt`, read: a seccomp profile is `unconfined`, `builtin` or JSON."""

    seccomp: str = ""
    apparmor: str = ""
    no_new_privileges: bool = False
    writable_cgroups: bool = False


def parse_security_options(options: Sequence[str] | None) -> SecurityOptions:
    """Read the options of a container; raises LadingError for unknown ones, as Docker does."""
    found = SecurityOptions()
    for option in options or ():
        if option == "no-new-privileges":
            found.no_new_privileges = True
            continue
        key, separator, value = option.partition("=" if "=" in option else ":")
        if not separator:
            if key != "disable":
                raise LadingError(f'invalid --security-opt 1: "{option}"')
            continue
        _set(found, key, value, option)
    return found


def _set(found: SecurityOptions, key: str, value: str, option: str) -> None:
    match key:
        case "label":
            # As in Docker without --selinux-enabled, which there is no equal of here: no label
            # is set, and so there is none to change or to leave out.
            return
        case "seccomp":
            found.seccomp = value
        case "apparmor":
            found.apparmor = value
        case "no-new-privileges":
            found.no_new_privileges = _boolean(value, option)
        case "writable-cgroups":
            found.writable_cgroups = _boolean(value, option)
        case _:
            raise LadingError(f'invalid --security-opt 2: "{option}"')


def _boolean(value: str, option: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise LadingError(f'invalid --security-opt 2: "{option}"')


def capability_names(
    host: HostConfig, defaults: Sequence[str], everything: Sequence[str]
) -> list[str]:
    """Give the capabilities of a container: the defaults, less CapDrop, with CapAdd.

    `ALL` in CapAdd starts from `everything`, in CapDrop from nothing.
    """
    if host.privileged:
        return list(everything)
    added = [normal_capability(name) or name for name in host.cap_add or ()]
    dropped = {normal_capability(name) or name for name in host.cap_drop or ()}
    if "ALL" in added:
        return [name for name in everything if name not in dropped]
    if "ALL" in dropped:
        return list(dict.fromkeys(added))
    kept = [name for name in defaults if name not in dropped]
    return list(dict.fromkeys([*kept, *added]))


def capability_sets(names: list[str], *, uid: int) -> LinuxCapabilities:
    """Put capabilities into their sets: only root has them from the start, as execve(2) has it."""
    held = names if uid == 0 else []
    return LinuxCapabilities(bounding=names, effective=held, permitted=held)

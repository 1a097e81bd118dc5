"""AppArmor: the profile that a container gets by default, and when it is loaded.

As in Docker, the profile is called docker-default, a program called apparmor_parser compiles and
loads it, and one of that name that is there already (Docker's own, or an administrator's) is used
as it is. Where the kernel has no AppArmor nothing of this happens, whatever is asked for; where
apparmor_parser is missing containers run without the default profile, and the log says so.
"""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path

from lading.engine.model import HostConfig
from lading.engine.specs.security import UNCONFINED, parse_security_options
from lading.errors import LadingError

DEFAULT = "docker-default"
PARSERS = ("/sbin/apparmor_parser", "/usr/sbin/apparmor_parser")
ENABLED = Path("/sys/module/apparmor/parameters/enabled")
LOADED = Path("/sys/kernel/security/apparmor/profiles")

_PARSER_TIME = 30
"""Seconds after which a parser is given up."""

PROFILE = """\
# What containers may do by default. The capabilities, the devices and the file system that a
# container has are settled elsewhere; this keeps from the host what root in a container could
# otherwise reach through /proc, /sys, mounts and signals.
profile docker-default flags=(attach_disconnected, mediate_deleted) {
  network,
  capability,
  file,
  umount,
  dbus,
  unix,

  # The host's administrator may signal a container, and so may runtimes that distributions
  # confine (the profile may serve another engine of this host, too); a container only itself.
  signal (receive) peer={unconfined,runc,crun},
  signal (send, receive) peer=docker-default,
  ptrace (trace, read, tracedby, readby) peer=docker-default,

  deny mount,

  # Of /proc only what belongs to a process may be written, and below /proc/sys the limits of
  # shared memory. A pattern cannot say `all but sys`: it is spelled, letter by letter.
  deny /proc/* w,
  deny /proc/[^0-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys?*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # Of /sys only cgroups may be written.
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/fs/cg[^r]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
"""

_log = logging.getLogger(__name__)


def profile_of(host: HostConfig) -> str:
    """Give the name of a container's profile, `unconfined` for none.

    Empty where the kernel does not use AppArmor. The default profile is loaded if it is not there
    any more: package updates take profiles away. Raises LadingError if it cannot be.
    """
    if not in_use():
        return ""
    if host.privileged:
        return UNCONFINED
    asked = parse_security_options(host.security_opt).apparmor or DEFAULT
    if asked == DEFAULT and not ensure_default():
        return UNCONFINED
    return asked


@functools.cache
def in_use() -> bool:
    """Tell whether the kernel confines by AppArmor, and we may: a container's engine may not."""
    if os.environ.get("container"):  # noqa: SIM112 - so it is called (systemd.io/CONTAINER_INTERFACE)
        return False
    try:
        return ENABLED.read_text().startswith("Y") and LOADED.parent.is_dir()
    except OSError:
        return False


def ensure_default() -> bool:
    """Load the default profile if it is not there; False where there is nothing to load it with.

    Raises LadingError with what the parser says against it.
    """
    if is_loaded(DEFAULT):
        return True
    parser = next((path for path in PARSERS if os.access(path, os.X_OK)), None)
    if parser is None:
        _tell_of_no_parser()
        return False
    _load(parser)
    return True


def prepare() -> None:
    """Load the default profile when the daemon starts; the log tells why it could not be."""
    if in_use():
        try:
            ensure_default()
        except LadingError as error:
            _log.error("%s", error.message)


def is_loaded(name: str) -> bool:
    """Tell whether the kernel knows a profile; its list has `name (mode)` in each line."""
    try:
        lines = LOADED.read_text().splitlines()
    except OSError as error:
        raise LadingError(
            f"cannot see whether the AppArmor profile {name} is loaded: {error.strerror}"
        ) from error
    return any(line.rpartition(" (")[0] == name for line in lines)


@functools.cache
def _tell_of_no_parser() -> None:
    _log.warning(
        "the kernel has AppArmor, but there is no apparmor_parser to load a profile with: "
        "containers are not confined by AppArmor until the package apparmor is installed"
    )


def _load(parser: str) -> None:
    """Have the parser compile and load the profile; it keeps no copy in its cache."""
    import subprocess

    try:
        done = subprocess.run(
            [parser, "--replace", "--skip-cache", "--quiet"],
            input=PROFILE.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PARSER_TIME,
            check=False,
        )
        complaint = done.stdout.decode(errors="replace").strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    else:
        if not done.returncode:
            return
    raise LadingError(
        f"AppArmor enabled on system but the {DEFAULT} profile could not be loaded: "
        f"{parser}: {' '.join(complaint.split()) or 'it failed without a word'}"
    )

"""The seccomp filter of a container: the default policy, a profile of the user's, or none."""

from __future__ import annotations

import functools

from lading.engine.specs.security import BUILTIN, UNCONFINED
from lading.errors import LadingError
from lading.oci import defaults
from lading.oci.seccomp_profile import decode, resolve
from lading.oci.spec import LinuxSeccomp


def seccomp_filter(
    option: str, capabilities: list[str], *, privileged: bool
) -> LinuxSeccomp | None:
    """Give the filter for `--security-opt seccomp=<option>`; a privileged container has none.

    `option` is `unconfined`, `builtin`, empty or a profile in JSON. Raises LadingError for a
    profile that cannot be read.
    """
    if option == UNCONFINED or (privileged and not option):
        return None
    if option in ("", BUILTIN):
        return _default_filter(tuple(capabilities))
    try:
        return resolve(decode(option), capabilities)
    except LadingError as error:
        raise LadingError(_capitalized(error.message)) from error


@functools.lru_cache(maxsize=16)
def _default_filter(capabilities: tuple[str, ...]) -> LinuxSeccomp:
    return defaults.seccomp(capabilities)


def _capitalized(message: str) -> str:
    return message[:1].upper() + message[1:]

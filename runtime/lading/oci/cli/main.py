"""Where the command begins: arguments, the log, and the exit status."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter, LadingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

_MODULES = {
    "spec": "bundles",
    "plan": "bundles",
    "features": "bundles",
    "create": "life",
    "run": "life",
    "start": "life",
    "state": "life",
    "kill": "life",
    "delete": "life",
    "list": "listing",
    "ps": "listing",
    "exec": "processes",
    "pause": "limits",
    "resume": "limits",
    "update": "limits",
    "events": "limits",
}
"""The module of each command, imported when it is used."""

_MAKE_PROCESSES = {"create", "run", "exec"}
"""Commands whose process will be in a container for a moment: see `lading.oci.protect`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `lading-oci`; gives the exit status."""
    if arguments is None and not _MAKE_PROCESSES.isdisjoint(sys.argv):
        from lading.oci.protect import execute_from_readonly_mount

        execute_from_readonly_mount()
    from lading.oci.cli.parser import build

    parser = build()
    options = parser.parse_args(arguments)
    if options.version:
        _print_versions()
        return 0
    if not options.command:
        parser.print_help()
        return 0
    try:
        return _command(options)(options)
    except LadingError as error:
        _log(options, error.message)
    except OSError as error:
        _log(options, f"{options.command}: {error}")
    except KeyboardInterrupt:
        return 130
    return 1


def _command(options: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if options.systemd_cgroup:
        raise InvalidParameter(
            "--systemd-cgroup is not supported; use cgroupfs, which is the default"
        )
    if os.geteuid() != 0:
        raise LadingError("lading-oci needs root: it makes namespaces, mounts and cgroups")
    module = import_module(f"lading.oci.cli.{_MODULES[options.command]}")
    found: Callable[[argparse.Namespace], int] = getattr(module, f"run_{options.command}")
    return found


def _print_versions() -> None:
    from lading import __version__
    from lading.oci import OCI_VERSION

    print(f"lading-oci version {__version__}")
    print(f"spec: {OCI_VERSION}")


def _log(options: argparse.Namespace, message: str) -> None:
    """Tell the user on stderr, and the caller in its log, which go-runc reads as JSON lines."""
    print(f"lading-oci: {message}", file=sys.stderr)
    if not options.log:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if options.log_format == "json":
        import json

        line = json.dumps({"level": "error", "msg": message, "time": now})
    else:
        line = f'time="{now}" level=error msg={message!r}'
    try:
        with open(options.log, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        print(f"lading-oci: cannot write {options.log}: {error.strerror}", file=sys.stderr)

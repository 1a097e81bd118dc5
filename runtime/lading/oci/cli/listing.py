"""Commands that list: containers, and the processes in one."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from lading.oci.cli.output import print_json, print_table
from lading.oci.cli.store import all_containers, container_of

if TYPE_CHECKING:
    import argparse

    from lading.oci.managed import Container


def run_list(options: argparse.Namespace) -> int:
    """List all containers below --root."""
    found = all_containers(options)
    if options.quiet:
        for container in found:
            print(container.id)
    elif options.format == "json":
        print_json([_document(container) for container in found])
    else:
        headers = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
        rows = [
            [str(document[header.lower()]) for header in headers]
            for document in map(_document, found)
        ]
        print_table(headers, rows)
    return 0


def _document(container: Container) -> dict[str, object]:
    state = container.state()
    return {
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": state.document().get("pid", 0),
        "status": state.status,
        "bundle": state.bundle,
        "created": container.record.created,
        "owner": _user_name(container.directory.stat().st_uid),
    }


def run_ps(options: argparse.Namespace) -> int:
    """List the processes of a container, by the host's pids."""
    pids = container_of(options).pids()
    if options.format == "json":
        print_json(pids)
        return 0
    rows = [row for row in map(_process, pids) if row]
    print_table(("UID", "PID", "PPID", "STATE", "CMD"), rows)
    return 0


def _process(pid: int) -> list[str]:
    """Describe a process; empty if it has ended meanwhile."""
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
    except OSError:
        return []
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    command = " ".join(os.fsdecode(word) for word in words) or f"[{name}]"
    return [_user_name(owner), str(pid), parent, state, command]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

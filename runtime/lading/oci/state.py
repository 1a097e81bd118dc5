"""The state of a container on disk: state.json in its state directory, written atomically.

Source: OCI runtime-spec 1.2, runtime.md, "State".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from lading.errors import LadingError, NotFound
from lading.files import temporary_name, write_atomically
from lading.kernel import process
from lading.kernel.errors import KernelError
from lading.oci.spec import OCI_VERSION, Hook

if TYPE_CHECKING:
    from pathlib import Path

STATE_FILE = "state.json"

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


class State(msgspec.Struct, kw_only=True, rename="camel"):
    """The OCI state of a container, as hooks and `lading-oci state` give it."""

    oci_version: str = OCI_VERSION
    id: str
    status: str
    pid: int = 0
    bundle: str
    annotations: dict[str, str] = {}

    def document(self) -> dict[str, Any]:
        """Give it as JSON's object; without a pid when there is no process."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        if self.status == STOPPED or not self.pid:
            found.pop("pid", None)
        if not self.annotations:
            found.pop("annotations")
        return found


class Record(msgspec.Struct, kw_only=True, rename="camel"):
    """What state.json holds: the state, and what is needed to go on with the container.

    `start_time` (clock ticks since boot) guards against another process with the same pid.
    `made_directory` and `own_config` tell what `delete` may remove.
    """

    oci_version: str = OCI_VERSION
    id: str
    status: str
    pid: int = 0
    bundle: str
    annotations: dict[str, str] = {}
    start_time: int = 0
    created: str
    cgroup: str = ""
    exec_fifo: bool = False
    made_directory: bool = False
    own_config: bool = False
    poststart: list[Hook] = []
    poststop: list[Hook] = []


_decoder = msgspec.json.Decoder(Record)


def claim(directory: Path, record: Record) -> None:
    """Write the first state.json of a container. Raises FileExistsError when there is one."""
    temporary = directory / temporary_name()
    try:
        write_atomically(temporary, msgspec.json.encode(record), durable=False)
        os.link(temporary, directory / STATE_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def write(directory: Path, record: Record) -> None:
    """Write state.json: a reader sees the old one or the new one."""
    write_atomically(directory / STATE_FILE, msgspec.json.encode(record), durable=False)


def read(directory: Path) -> Record:
    """Read state.json. Raises NotFound, or LadingError for a file that is none of ours."""
    path = directory / STATE_FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f'container "{directory.name}" does not exist') from None
    except OSError as error:
        raise LadingError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise LadingError(f"{path} is damaged: {error}") from error


def is_alive(record: Record) -> bool:
    """Tell whether the first process still runs: the same one, and no zombie."""
    try:
        return (
            process.start_time(record.pid) == record.start_time
            and process.state(record.pid) not in "ZX"
        )
    except KernelError:
        return False

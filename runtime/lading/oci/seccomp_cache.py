"""Compiled seccomp filters by content: compiling one takes some 20 ms, reading it well under one.

The cache is a directory that only root may write to; who else could, could let a container make
system calls that its profile forbids. A file is named by what it was compiled from, and begins
with the digest of the program: half a file, after a crash, is not taken for a filter.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from lading.files import write_atomically
from lading.kernel import seccomp
from lading.oci.spec import encode
from lading.oci.spec_linux import LinuxSeccomp

_FORMAT = b"1"
"""Goes into every key; to be changed with what `lading.kernel.seccomp` makes of a profile."""

_DIGEST_SIZE = 32
_MOST_IN_MEMORY = 16
_in_memory: dict[str, bytes] = {}


def program_for(profile: LinuxSeccomp, directory: str = "") -> bytes:
    """Give the BPF program of *profile*, from memory, from *directory*, or newly compiled.

    Raises KernelError for a profile that cannot be compiled.
    """
    machine = os.uname().machine.encode()
    key = hashlib.sha256(b"\0".join((_FORMAT, machine, encode(profile)))).hexdigest()
    program = _in_memory.get(key)
    if program is None:
        path = os.path.join(directory, f"{key}.bpf") if directory else ""
        program = _read(path)
        if program is None:
            program = seccomp.compile_profile(profile)
            _write(path, program)
        if len(_in_memory) >= _MOST_IN_MEMORY:
            _in_memory.clear()
        _in_memory[key] = program
    return program


def _read(path: str) -> bytes | None:
    """Read a filter, if nobody but root can have written it."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read()
    except OSError:
        return None
    trusted = facts.st_uid == 0 and not stat.S_IMODE(facts.st_mode) & 0o022
    digest, program = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    return program if trusted and hashlib.sha256(program).digest() == digest else None


def _write(path: str, program: bytes) -> None:
    """Keep a filter for later; a directory that cannot be written to only costs time."""
    if not path:
        return
    directory = os.path.dirname(path)
    with suppress(OSError):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        facts = os.stat(directory)
        if facts.st_uid != 0 or stat.S_IMODE(facts.st_mode) & 0o022:
            return
        content = hashlib.sha256(program).digest() + program
        write_atomically(Path(path), content, durable=False)

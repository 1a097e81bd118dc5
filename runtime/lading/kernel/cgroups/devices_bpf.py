"""Device rules on cgroup v2: an eBPF program, assembled here and attached by bpf(2).

Source: bpf(2), linux/bpf.h (struct bpf_cgroup_dev_ctx), admin-guide/cgroup-v2 "Device controller".
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from typing import TYPE_CHECKING

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.syscalls import check, raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.kernel.cgroups.resources import DeviceRule

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE_ATTACH = 15, 6
_ALLOW_MULTI = 2

_LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
_MOVE_CONSTANT, _AND, _SHIFT_RIGHT = 0xB4, 0x54, 0x74  # 32-bit, with an immediate
_JUMP_NOT_EQUAL, _JUMP_IF_ANY, _EXIT = 0x55, 0x45, 0x95
_RESULT, _CONTEXT, _KIND, _ACCESS, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5  # registers

_KINDS = {"b": 1, "c": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}
_ALL = 7

_Instruction = tuple[int, int, int, int]  # code, destination | source << 4, offset, immediate


def assemble(rules: Sequence[DeviceRule]) -> bytes:
    """Assemble the program that answers 1 for an access that *rules* allow, else 0.

    Each kind of access is decided by the last rule that matches it, and denied if there is none.
    The access still to be decided is kept in a register while the rules are tried from the last
    to the first: a matching denial ends with 0, an allowance clears its bits, and none left is 1.
    """
    program: list[_Instruction] = [
        (_LOAD_WORD, _KIND | _CONTEXT << 4, 0, 0),
        (_LOAD_WORD, _ACCESS | _CONTEXT << 4, 0, 0),
        (_AND, _KIND, 0, 0xFFFF),
        (_SHIFT_RIGHT, _ACCESS, 0, 16),
        (_LOAD_WORD, _MAJOR | _CONTEXT << 4, 4, 0),
        (_LOAD_WORD, _MINOR | _CONTEXT << 4, 8, 0),
    ]
    for rule in reversed(rules):
        program += _rule(rule)
    program += _answer(0)
    return b"".join(struct.pack("=BBhi", *instruction) for instruction in program)


def replace(cgroup: str, rules: Sequence[DeviceRule]) -> None:
    """Make *rules* the device rules of the cgroup directory, in place of earlier ones.

    The new program is attached before the old ones go, and an access needs the consent of all, so
    nothing is allowed in between that either forbids.
    """
    with Attempt("open", cgroup):
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        earlier = _attached(directory, cgroup)
        program = _load(assemble(rules))
        try:
            attributes = struct.pack(
                "=IIII", directory, program, _CGROUP_DEVICE_ATTACH, _ALLOW_MULTI
            )
            _bpf(_PROG_ATTACH, attributes, "attach device rules to", cgroup)
        finally:
            os.close(program)
        for number in earlier:
            _detach(directory, number, cgroup)
    finally:
        os.close(directory)


def _rule(rule: DeviceRule) -> list[_Instruction]:
    mask = sum(_ACCESSES[letter] for letter in set(rule.access or "rwm")) or _ALL
    tests: list[tuple[int, int]] = []
    if rule.type not in (None, "a"):
        tests.append((_KIND, _KINDS["c" if rule.type == "u" else str(rule.type)]))
        tests += [
            (register, number)
            for register, number in ((_MAJOR, rule.major), (_MINOR, rule.minor))
            if number is not None and number >= 0
        ]
    else:
        mask = _ALL
    verdict = _allow(mask) if rule.allow else _deny(mask)
    found: list[_Instruction] = []
    for position, (register, number) in enumerate(tests):
        beyond = len(tests) - position - 1 + len(verdict)
        found.append((_JUMP_NOT_EQUAL, register, beyond, number))
    return found + verdict


def _allow(mask: int) -> list[_Instruction]:
    return [(_AND, _ACCESS, 0, ~mask), (_JUMP_NOT_EQUAL, _ACCESS, 2, 0), *_answer(1)]


def _deny(mask: int) -> list[_Instruction]:
    return [(_JUMP_IF_ANY, _ACCESS, 1, mask), (0x05, 0, 2, 0), *_answer(0)]


def _answer(result: int) -> list[_Instruction]:
    return [(_MOVE_CONSTANT, _RESULT, 0, result), (_EXIT, 0, 0, 0)]


def _load(program: bytes) -> int:
    """Load the program; kernels before 5.11 count it against the locked-memory limit."""
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQII",
        _CGROUP_DEVICE_PROGRAM,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
    )
    try:
        return _bpf(_PROG_LOAD, attributes, "load device rules")
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        infinite = resource.RLIM_INFINITY
        with Attempt("raise the locked-memory limit for device rules"):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinite, infinite))
        return _bpf(_PROG_LOAD, attributes, "load device rules")


def _attached(directory: int, cgroup: str) -> list[int]:
    """Give the ids of the device programs attached to the cgroup itself."""
    ids = (ctypes.c_uint32 * 64)()
    request = bytearray(
        struct.pack("=IIIIQI", directory, _CGROUP_DEVICE_ATTACH, 0, 0, ctypes.addressof(ids), 64)
    )
    buffer = (ctypes.c_char * len(request)).from_buffer(request)
    result = raw("bpf", _PROG_QUERY, ctypes.byref(buffer), len(request))
    check(result, "ask for the device rules of", cgroup)
    count = struct.unpack_from("=I", request, 24)[0]
    return list(ids[:count])


def _detach(directory: int, number: int, cgroup: str) -> None:
    earlier = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0), "open device rules")
    try:
        attributes = struct.pack("=IIII", directory, earlier, _CGROUP_DEVICE_ATTACH, 0)
        _bpf(_PROG_DETACH, attributes, "detach earlier device rules from", cgroup)
    finally:
        os.close(earlier)


def _bpf(command: int, attributes: bytes, call: str, target: str = "") -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return check(raw("bpf", command, ctypes.byref(buffer), len(attributes)), call, target)

"""The few BPF instructions that Lading puts before a program from libseccomp.

A profile that refuses by default would answer EPERM to a system call that is newer than
libseccomp; libc falls back to older calls only on ENOSYS. Source: linux/filter.h,
linux/audit.h, seccomp(2).
"""

from __future__ import annotations

import errno
import struct

INSTRUCTION_SIZE = 8
"""Bytes of one instruction (struct sock_filter)."""

_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_AT_LEAST, _RETURN = (
    0x20,
    0x05,
    0x15,
    0x25,
    0x35,
    0x06,
)
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_REFUSE = 0x00050000 | errno.ENOSYS
_X32_BIT = 0x40000000
_AUDIT_ARCH_X86_64 = 0xC000003E

_Instruction = tuple[int, int, int, int]


def unknown_calls_prologue(highest: dict[int, int], x32: int) -> bytes:
    """Compile "a call above the highest known number answers ENOSYS; all others go on below".

    *highest* has the greatest known number by libseccomp's architecture token, which is the
    kernel's AUDIT_ARCH value except for *x32*: that shares the value of x86_64 and is told by
    a bit in the number.
    """
    blocks = []
    for token, number in highest.items():
        if token == x32:
            continue
        other = highest.get(x32) if token == _AUDIT_ARCH_X86_64 else None
        blocks.append(_block(token, number, other))
    remaining = sum(len(block) + 1 for block in blocks)
    program: list[_Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for block in blocks:
        remaining -= len(block) + 1
        program += [*block, (_JUMP, 0, 0, remaining)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _block(token: int, number: int, x32_number: int | None) -> list[_Instruction]:
    """Check one architecture; whatever is not refused arrives behind the block's last line."""
    refuse: list[_Instruction] = [(_JUMP_GREATER, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    body: list[_Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    if token == _AUDIT_ARCH_X86_64:
        x32: list[_Instruction] = []
        if x32_number is not None:
            x32 = [(_JUMP_GREATER, 0, 1, x32_number), (_RETURN, 0, 0, _REFUSE)]
        x32.append((_JUMP, 0, 0, len(refuse)))
        body.append((_JUMP_AT_LEAST, 0, len(x32), _X32_BIT))
        body += x32
    body += refuse
    return [(_JUMP_EQUAL, 0, len(body) + 1, token), *body]

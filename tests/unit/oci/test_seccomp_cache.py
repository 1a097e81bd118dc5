"""Compiled filters are kept by content, and only trusted when root alone can have written them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lading.oci import seccomp_cache
from lading.oci.seccomp_cache import program_for
from lading.oci.spec import LinuxSeccomp, LinuxSyscall

PROFILE = LinuxSeccomp(
    default_action="SCMP_ACT_ALLOW",
    syscalls=[LinuxSyscall(names=["reboot"], action="SCMP_ACT_ERRNO")],
)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[LinuxSeccomp]:
    """Count compilations, and begin with nothing in memory."""
    calls: list[LinuxSeccomp] = []

    def compile_profile(profile: LinuxSeccomp) -> bytes:
        calls.append(profile)
        return b"program "

    monkeypatch.setattr("lading.kernel.seccomp.compile_profile", compile_profile)
    monkeypatch.setattr(seccomp_cache, "_in_memory", {})
    return calls


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp_cache, "_in_memory", {})


def test_memory_is_asked_first(compiled: list[LinuxSeccomp]) -> None:
    assert program_for(PROFILE) == program_for(PROFILE) == b"program "
    assert len(compiled) == 1


@pytest.mark.root
def test_then_the_directory(
    compiled: list[LinuxSeccomp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_for(PROFILE, str(tmp_path / "cache"))
    forget(monkeypatch)
    assert program_for(PROFILE, str(tmp_path / "cache")) == b"program "
    assert len(compiled) == 1
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".bpf"]


@pytest.mark.root
@pytest.mark.parametrize("damage", ["writable", "foreign", "half", "changed"])
def test_what_cannot_be_trusted_is_compiled_again(
    compiled: list[LinuxSeccomp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    program_for(PROFILE, str(tmp_path))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    match damage:
        case "writable":
            path.chmod(0o666)
        case "foreign":
            os.chown(path, 1000, 1000)
        case "half":
            path.write_bytes(content[:-4])
        case "changed":
            path.write_bytes(content[:-1] + b"x")
    forget(monkeypatch)
    assert program_for(PROFILE, str(tmp_path)) == b"program "
    assert len(compiled) == 2


@pytest.mark.root
def test_a_directory_that_others_may_write_to_is_not_used(
    compiled: list[LinuxSeccomp], tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    program_for(PROFILE, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_another_profile_is_another_program(compiled: list[LinuxSeccomp]) -> None:
    program_for(PROFILE)
    program_for(LinuxSeccomp(default_action="SCMP_ACT_ALLOW"))
    assert len(compiled) == 2

from __future__ import annotations

import ctypes
import errno
import os
import signal
from pathlib import Path

import pytest

from lading.kernel import mounts, namespaces, process, syscalls
from lading.kernel.errors import KernelError
from lading.kernel.namespaces import CloneFlag, Namespace

from .conftest import InChild


def test_clone3_gives_pid_and_pidfd_and_the_child_works() -> None:
    receive, send = os.pipe()
    pid, pidfd = namespaces.clone3()
    if pid == 0:
        os.write(send, f"{os.getpid()} {pidfd}".encode())
        os._exit(7)
    os.close(send)
    assert os.get_inheritable(pidfd) is False
    assert process.wait_pidfd(pidfd) == process.Exit(pid, code=7)
    assert os.read(receive, 100).decode() == f"{pid} -1"
    os.close(receive)
    os.close(pidfd)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_falls_back_to_clone(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    original = syscalls.raw_holding_lock
    called = []

    def without_clone3(name: str, *arguments: object) -> int:
        called.append(name)
        if name == "clone3":
            ctypes.set_errno(number)
            return -1
        return original(name, *arguments)

    monkeypatch.setattr(namespaces, "raw_holding_lock", without_clone3)
    pid, pidfd = namespaces.clone3()
    if pid == 0:
        os._exit(5)
    assert called == ["clone3", "clone"]
    assert process.wait_pidfd(pidfd) == process.Exit(pid, code=5)
    os.close(pidfd)


def test_a_refused_flag_is_an_error() -> None:
    with pytest.raises(KernelError, match="EINVAL"):
        namespaces.clone3(CloneFlag.NEWNS | CloneFlag.FS)


@pytest.mark.root
def test_new_namespaces(in_child: InChild) -> None:
    kinds = (Namespace.PID, Namespace.UTS, Namespace.IPC, Namespace.NETWORK, Namespace.CGROUP)
    before = {kind: os.readlink(namespaces.path_of("self", kind)) for kind in kinds}

    def work() -> None:
        assert os.getpid() == 1
        namespaces.sethostname("lading-test")
        namespaces.setdomainname("example")
        assert os.uname().nodename == "lading-test"
        mounts.set_propagation("/", mounts.Propagation.RPRIVATE)
        mounts.mount("proc", "/proc", "proc")
        for kind in kinds:
            assert os.readlink(namespaces.path_of("self", kind)) != before[kind]

    flags = CloneFlag.NEWNS
    for kind in kinds:
        flags |= kind.flag
    in_child(work, flags)
    assert os.uname().nodename != "lading-test"


@pytest.mark.root
def test_parent_flag_makes_a_sibling(in_child: InChild) -> None:
    def work() -> None:
        pid, pidfd = namespaces.clone3(CloneFlag.PARENT)
        if pid == 0:
            os._exit(9)
        with pytest.raises(KernelError, match="ECHILD"):
            process.wait_pidfd(pidfd)

    def outer() -> None:
        pid, pidfd = namespaces.clone3()
        if pid == 0:
            work()
            os._exit(0)
        codes = set()
        for _ in range(2):
            _, status = os.waitpid(-1, 0)
            codes.add(os.waitstatus_to_exitcode(status))
        assert codes == {0, 9}
        os.close(pidfd)

    in_child(outer)


@pytest.mark.root
def test_enter_and_setns(in_child: InChild) -> None:
    def work() -> None:
        namespaces.unshare(CloneFlag.NEWUTS)
        namespaces.sethostname("lading-test-outer")
        pid, pidfd = namespaces.clone3(CloneFlag.NEWUTS)
        if pid == 0:
            namespaces.sethostname("lading-test-inner")
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        try:
            home = os.open(namespaces.path_of("self", Namespace.UTS), os.O_RDONLY)
            namespaces.enter(namespaces.path_of(pid, Namespace.UTS), Namespace.UTS)
            assert os.uname().nodename == "lading-test-inner"
            namespaces.setns(home, Namespace.UTS)
            assert os.uname().nodename == "lading-test-outer"
            namespaces.setns(pidfd, Namespace.UTS)
            assert os.uname().nodename == "lading-test-inner"
        finally:
            process.pidfd_send_signal(pidfd, signal.SIGKILL)
            process.wait_pidfd(pidfd)

    in_child(work)
    with pytest.raises(KernelError, match="open namespace /nonexistent"):
        namespaces.enter("/nonexistent", Namespace.UTS)


@pytest.mark.root
def test_user_namespace_maps(in_child: InChild) -> None:
    def work() -> None:
        ready, go = os.pipe()
        pid, pidfd = namespaces.clone3(CloneFlag.NEWUSER)
        if pid == 0:
            os.close(go)
            os.read(ready, 1)
            os._exit(0 if (os.getuid(), os.getgid()) == (0, 5) else 1)
        namespaces.write_id_maps(pid, [(0, 0, 1), (1, 100000, 10)], [(5, 0, 1)])
        shown = [int(word) for word in Path(f"/proc/{pid}/uid_map").read_text().split()]
        assert shown == [0, 0, 1, 1, 100000, 10]
        os.close(go)
        ended = process.wait_pidfd(pidfd)
        assert ended is not None
        assert ended.code == 0

    in_child(work)

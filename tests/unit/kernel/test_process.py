from __future__ import annotations

import errno
import os
import resource
import select
import signal
from pathlib import Path

import pytest

from lading.kernel import process
from lading.kernel.errors import KernelError

from .conftest import InChild


def sleeping_child() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def test_pidfd_signal_and_wait() -> None:
    pid = sleeping_child()
    pidfd = process.pidfd_open(pid)
    assert process.wait_pidfd(pidfd, block=False) is None
    process.pidfd_send_signal(pidfd, signal.SIGTERM)
    select.select([pidfd], [], [])
    ended = process.wait_pidfd(pidfd, block=False)
    assert ended == process.Exit(pid, signal=signal.SIGTERM)
    assert ended.status == 143
    with pytest.raises(KernelError, match="ESRCH"):
        process.pidfd_send_signal(pidfd, signal.SIGTERM)
    with pytest.raises(KernelError, match="ECHILD"):
        process.wait_pidfd(pidfd)
    os.close(pidfd)
    with pytest.raises(KernelError) as caught:
        process.pidfd_open(pid)
    assert caught.value.errno == errno.ESRCH


def test_reaps_any_in_a_process_of_its_own(in_child: InChild) -> None:
    def work() -> None:
        assert process.reap_any() is None
        pid = os.fork()
        if pid == 0:
            os._exit(3)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert process.reap_any() == process.Exit(pid, code=3)
        assert process.reap_any() is None

    in_child(work)


def test_start_time_and_state() -> None:
    pid = sleeping_child()
    assert process.start_time(pid) >= process.start_time(os.getpid())
    assert process.state("self") == "R"
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert process.state(pid) == "Z"
    os.waitpid(pid, 0)
    with pytest.raises(KernelError, match=f"read /proc/{pid}/stat"):
        process.start_time(pid)


@pytest.mark.root
def test_getfd_copies_a_descriptor() -> None:
    receive, send = os.pipe()
    pid = sleeping_child()
    pidfd = process.pidfd_open(pid)
    copy = process.pidfd_getfd(pidfd, send)
    os.close(send)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.write(copy, b"through")
    assert os.read(receive, 10) == b"through"
    for descriptor in (receive, copy, pidfd):
        os.close(descriptor)


def test_prctl_settings(in_child: InChild) -> None:
    def work() -> None:
        assert not process.no_new_privileges()
        process.set_no_new_privileges()
        assert process.no_new_privileges()
        process.set_name("lading-test-name-too-long")
        assert Path("/proc/self/comm").read_text() == "lading-test-nam\n"
        process.set_dumpable(True)
        process.set_keep_capabilities(True)
        process.set_parent_death_signal(signal.SIGKILL)
        process.set_child_subreaper()
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                os.setsid()
                os._exit(4)
            os._exit(0)
        codes = {os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]) for _ in range(2)}
        assert codes == {0, 4}

    in_child(work)


def test_rlimits(in_child: InChild) -> None:
    def work() -> None:
        process.set_rlimit("RLIMIT_NOFILE", 64, 128)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (64, 128)
        process.set_rlimit("RLIMIT_CORE", 0, process.UNLIMITED)
        with pytest.raises(KernelError, match=r"set RLIMIT_NOFILE to 9:8: .*EINVAL"):
            process.set_rlimit("RLIMIT_NOFILE", 9, 8)

    in_child(work)
    with pytest.raises(KernelError, match="RLIMIT_NONE"):
        process.set_rlimit("RLIMIT_NONE", 0, 0)


def test_oom_score_and_personality(in_child: InChild) -> None:
    def work() -> None:
        process.set_oom_score_adj(500)
        assert Path("/proc/self/oom_score_adj").read_text() == "500\n"
        with pytest.raises(KernelError, match="EINVAL"):
            process.set_oom_score_adj(5000)
        process.set_personality("LINUX32")
        assert os.uname().machine != "x86_64"

    in_child(work)
    with pytest.raises(KernelError, match="EINVAL"):
        process.set_personality("BSD")


@pytest.mark.parametrize("has_call", [True, False])
def test_close_range(in_child: InChild, monkeypatch: pytest.MonkeyPatch, has_call: bool) -> None:
    def work() -> None:
        if not has_call:
            monkeypatch.setattr(process, "raw", lambda *arguments: -1)
        first, second = os.pipe()
        third = os.dup(first)
        os.set_inheritable(third, True)
        low, high = min(first, second), max(first, second)
        assert high < third
        process.close_range(third, cloexec=True)
        assert not os.get_inheritable(third)
        process.close_range(low, high)
        for descriptor in (first, second):
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(descriptor)
        os.fstat(third)

    in_child(work)


@pytest.mark.root
def test_identity_and_keyring(in_child: InChild) -> None:
    def work() -> None:
        process.join_session_keyring("lading-test")
        process.set_identity(1234, 5678, [9, 10])
        assert os.getresuid() == (1234,) * 3
        assert os.getresgid() == (5678,) * 3
        assert sorted(os.getgroups()) == [9, 10]
        with pytest.raises(KernelError, match="supplementary"):
            process.set_identity(0, 0, [])

    in_child(work)

"""Machines: their verbs, the lines to them, and what is said when they fail."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.agent.frames import pack, unpack
from lab.bake import store
from lab.cells import cells
from lab.machines import golden, kept, qemu
from lab.machines.accelerator import Accelerator, choose
from lab.machines.base import CommandFailed, Finished, MachineError, Verbs
from lab.machines.channel import Channel, Gone, Late
from lab.machines.drivers import driver
from lab.machines.lane import QemuLane
from lab.machines.local import LocalMachine
from lab.machines.qmp import Monitor
from lab.matrix.lanes import missing
from lab.paths import PROJECT
from lab.shell import LabError
from lab.tasks_machines import baked, one

CELL = cells()["bookworm"]


class _Scripted(Verbs):
    def __init__(self, *ends: Finished) -> None:
        self.cell, self.ends = CELL, list(ends)

    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        return self.ends.pop(0)


def test_verbs_tell_what_a_test_found() -> None:
    good, bad = Finished(0, "yes\n", ""), Finished(2, "", "no such thing\n")
    assert _Scripted(good).succeed("it") == "yes"
    assert _Scripted(bad).fail("it") == "no such thing\n"
    assert _Scripted(bad, bad, good).wait_until_succeeds("it") == "yes"
    with pytest.raises(CommandFailed, match="bookworm: `it` ended with 2: no such thing"):
        _Scripted(bad).succeed("it")
    with pytest.raises(CommandFailed, match="`it` succeeded: yes"):
        _Scripted(good).fail("it")
    with pytest.raises(CommandFailed, match="did not succeed within 0 s: no such thing"):
        _Scripted(bad).wait_until_succeeds("it", seconds=0)
    assert not issubclass(CommandFailed, LabError)


Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]


@contextmanager
def agent_that(answer: Answer) -> Iterator[Channel]:
    ours, theirs = socket.socketpair()

    def read(count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = theirs.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def serve() -> None:
        try:
            while True:
                for message in answer(unpack(read)):
                    theirs.sendall(pack(message))
        except (EOFError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Channel(ours)
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        ours.close()
        thread.join()


def test_an_answer_that_comes_late_is_not_taken_for_the_next() -> None:
    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        number = request["number"]
        if number == 1:
            return []
        return [{"number": 1, "ok": {"is": "old"}}, {"number": number, "ok": {"is": "new"}}]

    with agent_that(answer) as channel:
        with pytest.raises(Late, match="did not answer within 0 s"):
            channel.ask("run", 0.1)
        assert channel.ask("run", 5) == {"is": "new"}


def test_what_the_agent_refuses_is_the_machine_s_failure() -> None:
    def answer(asked: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"number": asked["number"], "error": "no space"}]

    sentence = "in the machine: no space"
    with agent_that(answer) as channel, pytest.raises(MachineError, match=sentence):
        channel.ask("write", 5)


def test_an_agent_that_starts_anew_is_noticed() -> None:
    def answer(_asked: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"ready": "6.1"}]

    with agent_that(answer) as channel, pytest.raises(MachineError, match="started anew"):
        channel.ask("run", 5)


def test_a_machine_that_ends_is_gone() -> None:
    def answer(_asked: dict[str, Any]) -> list[dict[str, Any]]:
        raise EOFError

    with agent_that(answer) as channel, pytest.raises(Gone, match="the machine ended"):
        channel.ask("run", 5)


@contextmanager
def monitor_that(*answers: dict[str, Any]) -> Iterator[Monitor]:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rwb") as file:
            file.write(b'{"QMP": {}}\r\n')
            file.flush()
            for answer in ({"return": {}}, *answers):
                file.readline()
                file.write(b'{"event": "STOP"}\r\n' + json.dumps(answer).encode() + b"\r\n")
                file.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    monitor = Monitor(ours)
    try:
        yield monitor
    finally:
        monitor.close()
        thread.join()


def test_the_monitor_passes_over_events_and_tells_refusals() -> None:
    with monitor_that({"return": {"it": 1}}, {"error": {"desc": "no such link"}}) as monitor:
        assert monitor.command("query-status") == {"it": 1}
        with pytest.raises(MachineError, match="QEMU: set_link: no such link"):
            monitor.command("set_link", name="x", up=False)
        with pytest.raises(MachineError, match="QEMU ended"):
            monitor.command("cont")


def test_a_move_that_fails_gives_qemu_s_reason() -> None:
    failed = {"return": {"status": "failed", "error-desc": "disk full"}}
    active, sentence = {"return": {"status": "active"}}, "could not be moved: disk full"
    with monitor_that(active, failed) as monitor, pytest.raises(MachineError, match=sentence):
        monitor.migration(5)


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("v1", "systemd.unified_cgroup_hierarchy=0"),
        ("v1", "systemd.legacy_systemd_cgroup_controller=1"),
        ("hybrid", "systemd.legacy_systemd_cgroup_controller=0"),
        ("trixie", "systemd.unified_cgroup_hierarchy=1"),
        ("selinux", "security=selinux"),
        ("legacy", "lading.firewall=legacy"),
        ("xfs", "lading.store=xfs"),
        ("xfs", "sysctl.kernel.unprivileged_userns_clone=0"),
    ],
)
def test_the_command_line_makes_the_cell_what_it_is(cell: str, word: str) -> None:
    assert word in qemu.command_line(cells()[cell]).split()
    assert "lading.format" not in qemu.command_line(cells()[cell])


def test_only_the_machine_that_is_saved_shares_its_memory(tmp_path: Path) -> None:
    files = {"root": tmp_path, "modules": tmp_path, "project": tmp_path}
    saved = qemu.Hardware(
        kernel=tmp_path, initrd=tmp_path, images=files, command_line="", accelerator="tcg",
        disk=tmp_path, ram=tmp_path / "ram", shared=True, console=tmp_path, flushes=False,
    )  # fmt: skip
    clone = replace(saved, shared=False, flushes=True)
    ours, theirs = saved.words(3, 4, 5, incoming=False), clone.words(3, 4, 5, incoming=True)
    differ = [(a, b) for a, b in zip(ours, theirs, strict=False) if a != b]
    assert [json.loads(b).get("share", "disk") for _, b in differ] == [False, "disk"]
    assert theirs[len(ours) :] == ["-incoming", "defer"]
    disk = json.loads(differ[1][1])
    assert disk["cache"]["no-flush"] is False


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "TOP", tmp_path / "store")
    return tmp_path


@pytest.mark.usefixtures("empty_store")
def test_a_cell_that_is_not_baked_says_how_to_bake_it() -> None:
    sentence = "the root bookworm of the cell bookworm is not baked, or not whole"
    assert golden.missing(CELL) == f"{sentence}: `invoke lab.bake --cells bookworm`"
    with pytest.raises(LabError, match=sentence):
        golden.parts(CELL)


def test_without_qemu_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    sentence = "`apt-get install qemu-system-x86 qemu-utils util-linux`"
    with pytest.raises(LabError, match=sentence):
        QemuLane()
    assert sentence in missing("qemu", ["bookworm"])
    with pytest.raises(LabError, match=sentence):
        driver("qemu")
    with pytest.raises(LabError, match=sentence):
        golden.golden(CELL, "")


def test_without_kvm_machines_are_emulated_and_it_is_said() -> None:
    nothing = store.Baked({}, {}, {})
    found = choose(nothing, Path("/no/such/kvm"))
    assert (found.name, found.how) == ("tcg", "emulated (/no/such/kvm is not there)")


@pytest.mark.parametrize(
    ("console", "told"),
    [
        ("[ 1.0] Kernel panic - not syncing: VFS: no root\nmore\n", "Kernel panic - not syncing"),
        ("lading: initrd: the store can not be mounted\n", "initrd: the store can not be mounted"),
        ("write failed: No space left on device\n", "No space left on device"),
        ("", "the machine ended: qemu: cannot set up guest memory"),
    ],
)
def test_why_a_machine_ended_is_read_from_its_console(
    tmp_path: Path, console: str, told: str
) -> None:
    (tmp_path / "console.log").write_text(console)
    (tmp_path / "qemu.log").write_text("qemu: cannot set up guest memory\n")
    ours, _theirs = socket.socketpair()
    process = qemu.Process(None, None, None, ours, tmp_path / "qemu.log")  # type: ignore[arg-type]
    with ours:
        assert told in golden.reason(Gone("the machine ended"), tmp_path, process)


def test_what_does_not_exist_is_refused_with_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLACE", tmp_path)
    (tmp_path / "bookworm" / "test-x-101010").mkdir(parents=True)
    with pytest.raises(LabError, match="there is no driver hyper: choose among local, qemu"):
        driver("hyper")
    with pytest.raises(LabError, match="there is no cell mars"):
        one("mars")
    with pytest.raises(LabError, match="which cell"):
        one("")
    with pytest.raises(LabError, match="no cell has Debian buzz: there are bookworm, forky"):
        baked([], ["buzz"], refresh=False)
    with pytest.raises(LabError, match="no failed machine y: it has test-x-101010"):
        kept.open_again("bookworm", "y")
    with pytest.raises(LabError, match="only the logs are left"):
        kept.open_again("bookworm", "test-x-101010")


def test_this_host_does_what_a_host_can() -> None:
    machine = LocalMachine(cell=CELL)
    assert machine.succeed("echo $((6 * 7))") == "42"
    with pytest.raises(Late, match="took more than 0 s"):
        machine.run("sleep 10", seconds=0.1)
    with pytest.raises(MachineError, match="this host keeps its power: use a cell of the driver"):
        machine.crash()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_qemu_dies_with_whoever_started_it() -> None:
    """The words that start it become QEMU, whose pid is the one we end."""
    script = (
        "import subprocess, sys; from lab.machines.qemu import dies_with_us as words; "
        "subprocess.Popen(words('sh', '-c', 'echo $$; exec sleep 1000')); sys.stdin.read(1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as parent:
        assert parent.stdout is not None
        # Its own word, not its starter's: by then it has asked to die along.
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([child], [], [], 10)[0]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_qemu_is_not_started_when_its_starter_is_gone_already() -> None:
    words = qemu.dies_with_us("echo", "started")
    direct = subprocess.run(words, capture_output=True, text=True)
    # Whoever runs the words from another process is not who they name.
    other = subprocess.run(["sh", "-c", f"{shlex.join(words)}; :"], capture_output=True, text=True)
    assert (direct.stdout, other.stdout) == ("started\n", "")


def _golden(directory: Path) -> golden.Golden:
    (directory / "disk").parent.mkdir(parents=True)
    baked = store.Baked({"file": directory / "disk"}, {"file": "abc"}, {"release": "6.1"})
    made_of = golden.Parts(CELL, baked, baked, baked, Accelerator("tcg", "emulated"))
    return golden.Golden(directory, made_of, "lading")


@pytest.mark.usefixtures("empty_store")
def test_a_golden_machine_in_use_is_not_removed(tmp_path: Path) -> None:
    older, newest = _golden(tmp_path / "bookworm-lading-1"), _golden(tmp_path / "bookworm-lading-2")
    for each in (older, newest):
        golden.note_down(each, each.directory, "6.1")
    user = older.hold()
    golden.drop_older(newest.directory, CELL, "lading")
    assert older.directory.exists()
    del user, older
    golden.drop_older(newest.directory, CELL, "lading")
    assert [path.name for path in tmp_path.glob("bookworm-*")] == ["bookworm-lading-2"]


@pytest.mark.usefixtures("empty_store")
def test_a_golden_machine_is_found_as_it_was_saved(tmp_path: Path) -> None:
    made = _golden(tmp_path / "bookworm-lading-1")
    golden.note_down(made, made.directory, "6.1")
    with pytest.raises(LabError, match=r"disk, which bookworm-lading-1 is made of, is not there"):
        golden.saved(made.directory)
    (made.directory / "disk").touch()
    assert golden.saved(made.directory) == made
    (made.directory / "golden.json").write_text("{}")
    with pytest.raises(LabError, match="the golden machine bookworm-lading-1 is not there any mor"):
        golden.saved(made.directory)


def test_a_machine_that_qemu_stopped_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_text("Memory cgroup out of memory: Killed process 7 (tail)\n")
    with monitor_that({"return": {"status": "io-error"}}, {"return": {"status": "running"}}) as one:
        process = SimpleNamespace(monitor=one, complaint=lambda: "")
        told = [golden.reason(Late("no answer"), tmp_path, process) for _ in range(2)]  # type: ignore[arg-type]
    full = "no answer: its disk can not be written, most likely because this host's is full"
    assert told == [full, "no answer"]


def test_emulated_machines_are_no_more_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = store.Baked({}, {}, {})
    monkeypatch.setattr("lab.machines.lane.needed", lambda: None)
    monkeypatch.setattr("lab.machines.lane.find", lambda _recipe: nothing)
    found = []
    for name in ("tcg", "kvm"):
        chosen = Accelerator(name, "")
        monkeypatch.setattr("lab.machines.accelerator.choose", lambda _kernel, it=chosen: it)
        found.append(QemuLane().most)
    assert found == [len(os.sched_getaffinity(0)), 0]

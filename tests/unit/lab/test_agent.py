"""The program inside a machine: what it is asked, and what it answers."""

from __future__ import annotations

import base64
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.agent import agent, frames
from lab.shell import wait_until


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_a_message_comes_out_as_it_went_in(message: dict[str, Any]) -> None:
    assert frames.unpack(io.BytesIO(frames.pack(message)).read) == message


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff\xff\xff\xff", "too long"),
        (b"\0\0\0\4nope", "no JSON"),
        (b"\0\0\0\2[]", "no JSON object"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(frames.BrokenFrame, match=sentence):
        frames.unpack(io.BytesIO(data).read)


def asked(do: str, **arguments: Any) -> dict[str, Any]:
    return agent.answer({"do": do, **arguments})


def test_a_command_s_end_and_words_are_told() -> None:
    stdin = base64.b64encode(b"this").decode()
    found = asked("run", command="cat; echo that >&2; exit 3", stdin=stdin, seconds=10)
    assert found == {"ok": {"code": 3, "out": "this", "err": "that\n"}}


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 1000 & echo $! > {pids}; wait"
    assert asked("run", command=command, stdin="", seconds=2) == {"ok": {"late": True}}
    child = Path(f"/proc/{int(pids.read_text())}/stat")

    def ended() -> bool:
        try:
            return child.read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended, 10, "the end of the command's child")


def test_a_file_goes_in_and_out_in_parts_with_its_mode(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    for number, part in enumerate((b"first ", b"second")):
        data = base64.b64encode(part).decode()
        assert asked("write", path=path, data=data, mode=0o750, first=not number) == {"ok": {}}
    assert os.stat(path).st_mode & 0o777 == 0o750
    found = asked("read", path=path, offset=6)
    assert base64.b64decode(found["ok"]["data"]) == b"second"
    assert asked("read", path=path, offset=12) == {"ok": {"data": ""}}


def test_what_can_not_be_done_is_told_and_the_agent_goes_on() -> None:
    assert "No such file" in asked("read", path="/no/such/file", offset=0)["error"]
    assert asked("dance")["error"] == "the agent does not know how to dance"
    assert "seconds" in asked("run", command="true", stdin="")["error"]


def test_bytes_are_gathered_until_they_are_all_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"ab")
        theirs.sendall(b"cdef")
        assert agent.receive(ours.fileno(), 5) == b"abcde"

"""ssh:// addresses, with a program in ssh's place that runs what it is given here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.cli.client.ssh import command_of
from lading.cli.failures import CliError

from .conftest import FakeDaemon, Result

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh://box", "-- box lading system dial-stdio"),
        ("ssh://ada@box:2222", "-l ada -p 2222 -- box lading system dial-stdio"),
        ("ssh://box/run/x.sock", "-- box lading --host unix:///run/x.sock system dial-stdio"),
        ("ssh://box/a b;c", "-- box lading --host 'unix:///a b;c' system dial-stdio"),
    ],
)
def test_what_ssh_is_told(text: str, words: str) -> None:
    assert " ".join(command_of(text)) == f"ssh -o ConnectTimeout=30 -T {words}"


@pytest.mark.parametrize(
    "text", ["ssh://", "ssh://-oProxyCommand=x", "ssh://a:secret@box", "ssh://box:none"]
)
def test_what_is_no_ssh_address(text: str) -> None:
    with pytest.raises(CliError, match="is no ssh address"):
        command_of(text)


def test_a_daemon_behind_ssh(
    daemon: FakeDaemon, lading: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("POST", "/images/busybox/tag", status=201)
    socket = os.environ["LADING_HOST"]
    program = tmp_path / "ssh"
    far = "from lading.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 3\n'
        f'exec {sys.executable} -c "{far}" --host {socket} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = lading("-H", "ssh://ada@box", "tag", "busybox", "other:1")
    assert (result.status, result.err) == (0, "")
    assert len(daemon.of("POST", "/images/busybox/tag")) == 1


def test_without_ssh(lading: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = lading("-H", "ssh://box", "ps")
    assert result.status == 1
    assert "needs the program ssh" in result.err

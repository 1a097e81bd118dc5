from __future__ import annotations

import io
import logging
import os
import socket
from pathlib import Path

import pytest

from lading.api import configfile, logs, notify, options
from lading.api.listeners import Address, Listeners, refuse_if_served
from lading.api.locks import DirectoryLock
from lading.api.options import OPTIONS, DaemonOptions, UsageError
from lading.api.service import settings_of
from lading.errors import InvalidParameter, LadingError

FLAGS = """
    --root /r --run=/s -H unix:///a -H tcp://127.0.0.1:1 -D --bip 10.0.0.1/8 --log-opt a=b
    --default-ulimit nofile=1:2 --default-ulimit core=0 --label x=y --shutdown-timeout 3
    --default-address-pool base=10.0.0.0/8,size=24
"""


@pytest.fixture
def no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "DEFAULT_CONFIG_FILE", tmp_path / "none.json")


@pytest.mark.usefixtures("no_config")
class TestOptions:
    def test_defaults(self) -> None:
        chosen = options.parse([])
        assert (chosen.data_root, chosen.exec_root) == ("/var/lib/lading", "/run/lading")
        assert (chosen.hosts, chosen.log_level, chosen.live_restore) == ([], "info", False)

    def test_flags(self) -> None:
        chosen = options.parse(FLAGS.split())
        assert (chosen.data_root, chosen.exec_root) == ("/r", "/s")
        assert chosen.hosts == ["unix:///a", "tcp://127.0.0.1:1"]
        assert (chosen.debug, chosen.log_level) == (True, "debug")
        assert chosen.log_opts == {"a": "b"}
        settings = settings_of(chosen)
        assert settings.ulimits == {"nofile": (1, 2), "core": (0, 0)}
        assert settings.address_pools == (("10.0.0.0/8", 24),)
        assert (settings.labels, settings.shutdown_timeout) == (("x=y",), 3)

    @pytest.mark.parametrize(
        "line",
        ["--nope", "--log-level loud", "--mtu many", "--log-opt a", "--default-ulimit nofile",
         "--default-ulimit nofile=a:b", "--default-address-pool base=1", "stray"],
    )  # fmt: skip
    def test_refusals_are_one_sentence(self, line: str) -> None:
        with pytest.raises(UsageError) as refusal:
            options.parse(line.split())
        assert "\n" not in refusal.value.message

    def test_a_size_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="default-shm-size 'much'"):
            settings_of(DaemonOptions(default_shm_size="much"))
        assert settings_of(DaemonOptions(default_shm_size="128M")).shm_size == 128 << 20

    def test_configuration_file(self, tmp_path: Path) -> None:
        path = tmp_path / "daemon.json"
        path.write_text('{"data-root": "/r", "log-opts": {"max-size": "1m"}, "debug": true}')
        chosen = options.parse(["--config-file", str(path), "--bridge", "b0"])
        assert (chosen.data_root, chosen.bridge, chosen.debug) == ("/r", "b0", True)
        path.write_text('{"debug": false, "labels": ["a=b"], "data-root": "/other"}')
        again = options.reload(chosen)
        assert (again.debug, again.labels, again.data_root) == (False, ["a=b"], "/r")

    def test_given_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "daemon.json"
        path.write_text('{"data-root": "/r"}')
        with pytest.raises(UsageError, match=r"both as a flag and in the configuration.*data-root"):
            options.parse(["--config-file", str(path), "--root", "/x"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"nope": 1}', "don't match any configuration option: nope"),
        ('{"debug": "yes"}', "debug in .* must be true or false, not 'yes'"),
        ('{"hosts": "unix:///x"}', "hosts in .* must be a list of strings"),
        ('{"log-level": "loud"}', "log-level in .* must be one of debug, info"),
    ],
)
def test_faulty_configuration_files(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=words):
        configfile.read(path, OPTIONS)


def test_a_missing_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        configfile.read(tmp_path / "nope", OPTIONS)


@pytest.mark.parametrize(
    "text", ["unix:///a/b", "tcp://127.0.0.1:2375", "tcp://[::1]:2375", "fd://"]
)
def test_addresses(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "/run/x.sock", "unix://relative", "tcp://host", "tcp://h:99999", "http://h:1"]
)
def test_faulty_addresses(text: str) -> None:
    with pytest.raises(InvalidParameter, match="cannot listen on"):
        Address.parse(text)


def test_a_unix_socket_appears_when_shown_and_goes_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lading-test.sock"
    listeners = Listeners()
    listeners.open([Address.parse(f"unix://{path}")])
    assert not path.exists()
    listeners.show()
    assert path.stat().st_mode & 0o7777 == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    with pytest.raises(LadingError, match="another daemon already serves"):
        refuse_if_served(path)
    listeners.close()
    assert list(path.parent.iterdir()) == []


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lading-test.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listeners = Listeners()
    listeners.open([Address.parse(f"unix://{path}")])
    listeners.show()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listeners.close()


def test_a_failure_closes_what_was_opened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = [f"unix://{tmp_path}/a.sock", f"tcp://127.0.0.1:{taken.getsockname()[1]}"]
        listeners = Listeners()
        with pytest.raises(LadingError, match=r"cannot listen on tcp://.*: Address already in use"):
            listeners.open([Address.parse(text) for text in addresses])
    assert listeners.sockets == []
    assert list(tmp_path.iterdir()) == []


def test_no_passed_socket() -> None:
    with pytest.raises(LadingError, match="LISTEN_FDS"):
        Listeners().open([Address("fd")])


def test_lock(tmp_path: Path) -> None:
    path = tmp_path / "lading.pid"
    first, second = DirectoryLock(path), DirectoryLock(path)
    first.acquire("taken by {pid}")
    with pytest.raises(LadingError, match=f"taken by {os.getpid()}"):
        second.acquire("taken by {pid}")
    first.release()
    second.acquire("taken by {pid}")
    assert path.read_text() == f"{os.getpid()}\n"
    second.release()


def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    notify.notify("STOPPING=1")


def test_sockets_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert notify.passed_sockets() == []
    assert "LISTEN_FDS" not in os.environ


def test_log_lines() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.LineFormatter())
    logger = logging.Logger("lading.test")
    logger.addHandler(handler)
    logger.warning('it "broke"\nbadly')
    line = stream.getvalue()
    assert line.startswith("time=")
    assert line.endswith('Z level=warning msg="it \\"broke\\"\\nbadly" module=lading.test\n')

"""What can not be done is refused in one sentence, with the right status, and leaves nothing."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject


def _post(
    engine: Subject, path: str, body: bytes, kind: str = "application/json"
) -> tuple[int, str]:
    """Speak HTTP without a client library's help, and give the status and the message."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.engine.socket))
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    text = response.read().decode()
    message = json.loads(text)["message"] if text.startswith("{") else text.strip()
    connection.close()
    return response.status, message


@pytest.mark.parametrize(
    "words",
    [
        ["--memory=1k"],
        ["--cpus=1000"],
        ["--memory=100m", "--memory-swap=50m"],
        ["--pid=nonsense"],
        ["--network=container:lading-test-unknown"],
        ["--network=lading-test-unknown"],
        ["--user=nobody-here"],
        ["--volume=/a:/b:/c:/d"],
        ["--volume=relative/path:/b"],
        ["--volume=/a:relative"],
        ["--restart=sometimes"],
        ["--stop-signal=SIGSOUP"],
        ["--cap-add=NOT_A_CAPABILITY"],
        ["--ulimit=nofile=200:100"],
        ["--sysctl=kernel.hostname=x"],
        ["--log-driver=nonsense"],
        ["--runtime=nonsense"],
        ["--cpuset-cpus=99"],
        ["--oom-score-adj=5000"],
        ["--security-opt=nonsense=1"],
        ["--device=/dev/lading-test-unknown"],
        ["--ipc=container:lading-test-unknown"],
        ["--publish=99999:80"],
        ["--workdir=relative"],
    ],
    ids=lambda words: words[-1],
)
def test_bad_options_are_refused(engine: Subject, observe: Observe, words: list[str]) -> None:
    result = engine.cli("run", "--rm", *words, "busybox", "true")
    assert result.code in (125, 126, 127)
    assert "Traceback" not in result.err
    assert engine.containers() == []
    observe(" ".join(words), [result.code, result.err])


def test_malformed_bodies(engine: Subject, observe: Observe) -> None:
    for name, body in {
        "cut": b'{"Image": "busy',
        "empty": b"",
        "list": b"[]",
        "wrong type": b'{"Image": 5}',
        "no image": b"{}",
        "no command": b'{"Image": "busybox", "Cmd": [], "Entrypoint": [""]}',
    }.items():
        status, message = _post(engine, "/v1.51/containers/create", body)
        assert status == 400
        assert message
        assert "\n" not in message
        observe(name, status)


def test_versions_and_routes(engine: Subject, observe: Observe) -> None:
    for path in (
        "/v1.99/containers/create",
        "/v1.10/containers/create",
        "/v1.51/nonsense",
        "/v1.51/containers/lading-test-unknown/start",
        "/v1.51/exec/lading-test-unknown/start",
    ):
        status, message = _post(engine, path, b"{}")
        assert 400 <= status < 500
        observe(path, [status, message])


def test_unknown_objects(engine: Subject, observe: Observe) -> None:
    for words in (
        ["start", "lading-test-unknown"],
        ["logs", "lading-test-unknown"],
        ["exec", "lading-test-unknown", "true"],
        ["volume", "inspect", "lading-test-unknown"],
        ["network", "inspect", "lading-test-unknown"],
        ["kill", "lading-test-unknown"],
        ["rename", "lading-test-unknown", "x"],
    ):
        result = engine.fail(*words)
        assert "o such" in result.err or "not found" in result.err
        observe(" ".join(words), result.err)


def test_states_that_do_not_fit(engine: Subject, observe: Observe) -> None:
    engine.succeed("create", "--name", "lading-test-still", "busybox")
    for words in (["kill"], ["pause"], ["unpause"], ["top"]):
        result = engine.fail(*words, "lading-test-still")
        observe(" ".join(words), result.err)
    engine.succeed("stop", "lading-test-still")
    container = engine.sleeper(name="lading-test-moving")
    engine.succeed("start", "lading-test-moving")
    observe("kill", engine.fail("kill", "--signal=SOUP", container.name).err)

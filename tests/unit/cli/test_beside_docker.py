"""Docker's own command line beside ours, both talking to the same fake daemon."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import IMAGES, FakeDaemon, Result
from .test_commands import CONTAINER

DOCKER = shutil.which("docker")
pytestmark = pytest.mark.skipif(not DOCKER, reason="no docker command to compare with")

NETWORK = {
    "Id": "n" * 64,
    "Name": "back",
    "Created": "2024-01-01T00:00:00.123456789Z",
    "Driver": "bridge",
    "Scope": "local",
    "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/8"}]},
    "Labels": {"a": "b"},
}
VOLUME = {
    "Name": "v",
    "Driver": "local",
    "Labels": {"x": "y"},
    "Mountpoint": "/m",
    "Scope": "local",
}
STEP = {"Id": "sha256:" + "1" * 64, "CreatedBy": "RUN " + "x" * 60, "Size": 5, "Created": 1000}
ANSWERS: dict[str, Any] = {
    "/containers/json": [CONTAINER],
    "/images/json": IMAGES,
    "/images/i/history": [STEP, {**STEP, "Id": "<missing>", "Comment": "c"}],
    "/networks": [NETWORK],
    "/networks/back": NETWORK,
    "/volumes": {"Volumes": [VOLUME]},
    "/volumes/v": VOLUME,
    "/info": {"ID": "x"},
    "/containers/c/top": {"Titles": ["PID", "CMD"], "Processes": [["1", "sh"], ["12345", "x y"]]},
    "/containers/c/changes": [{"Kind": 1, "Path": "/a"}],
    "/containers/c/json": {
        "Id": "c",
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "1"}]}},
    },
}
LINES = """
ps -a
ps -aq --no-trunc
ps -s
ps --format json
ps --format raw
ps --format 'table {{.Names}}\\t{{.Label "a"}}\\t{{.Mounts}}'
ps --format '{{.Foo}}'
ps --format '{{.Na'
ps --filter bad
images
images -q
images --digests --no-trunc
images --format json
images --format '{{.Foo}}'
history i
history --no-trunc -H=false i
history --format json i
network ls
network ls --no-trunc --format '{{.CreatedAt}} {{.Labels}}'
network ls --format json
network inspect back
network inspect -f '{{.}} {{json .IPAM}}' back
volume ls
volume ls --format json
volume inspect v -f '{{json .}} {{.Labels.x}}'
inspect -f '{{.Name}}' v
inspect nope
top c
diff c
port c
port c 81
rm nope
stop nope
rename nope x
start nope
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_the_same_is_said(daemon: FakeDaemon, lading: Callable[..., Result], line: str) -> None:
    daemon.api_version = "1.50"
    for path, answer in ANSWERS.items():
        daemon.on("GET", path, answer)
    words = shlex.split(line)
    environment = {
        **os.environ,
        "DOCKER_HOST": f"unix://{daemon.path}",
        "DOCKER_CONFIG": "/nonexistent",
    }
    theirs = subprocess.run([str(DOCKER), *words], env=environment, capture_output=True, text=True)
    ours = lading(*words)
    assert (ours.status, ours.out) == (theirs.returncode, theirs.stdout)
    first = theirs.stderr.splitlines()[:1]
    assert [text.removeprefix("lading: ") for text in ours.err.splitlines()[:1]] == first

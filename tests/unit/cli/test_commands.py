"""Commands against a fake daemon: what they ask for, what they show, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lading as lading_package

from .conftest import IMAGES, FakeDaemon, Result

Run = Callable[..., Result]
Feed = Callable[[bytes], None]

CONTAINER: dict[str, Any] = {
    "Id": "8dfafdbc3a40b7" + "0" * 50,
    "Names": ["/web", "/other/alias"],
    "Image": "nginx:latest@sha256:" + "a" * 64,
    "ImageID": "sha256:" + "b" * 64,
    "Command": "nginx -g 'daemon off;' and more",
    "Created": 0,
    "State": "running",
    "Status": "Up 2 hours",
    "Ports": [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "0.0.0.0"}],
    "Labels": {"b": "2", "a": "1"},
    "Mounts": [{"Name": "a-volume-with-a-long-name", "Driver": "local"}, {"Source": "/srv"}],
    "NetworkSettings": {"Networks": {"back": {}}},
}


def test_ps(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/containers/json", [CONTAINER])
    result = lading("ps", "-a", "-f", "status=running", "-f", "status=exited", "-n", "3")
    header, line = result.out.splitlines()
    assert header.split() == [
        "CONTAINER",
        "ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert line.startswith('8dfafdbc3a40   nginx:latest   "nginx -g \'daemon of…"   ')
    assert line.endswith("Up 2 hours   0.0.0.0:8080->80/tcp   web")
    asked = daemon.requests[0].query
    assert json.loads(asked.pop("filters")) == {"status": {"running": True, "exited": True}}
    assert asked == {"all": "1", "limit": "3"}


def test_ps_in_other_forms(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/containers/json", [{**CONTAINER, "SizeRw": 12345, "SizeRootFs": 2 * 10**6}])
    assert lading("ps", "-q").out == "8dfafdbc3a40\n"
    assert lading("ps", "-q", "--no-trunc").out == CONTAINER["Id"] + "\n"
    template = '{{.Names}}|{{.Labels}}|{{.Label "a"}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}'
    assert lading("ps", "--format", template).out == ("web|a=1,b=2|1|a-volume-with-…,/srv|back|1\n")
    assert lading("ps", "--no-trunc", "--format", "{{.Names}}").out == "web,other/alias\n"
    assert lading("ps", "-s").out.splitlines()[1].endswith("12.3kB (virtual 2MB)")
    assert "size" not in daemon.requests[0].query
    assert lading("ps", "--format", "{{.Size}}").out == "12.3kB (virtual 2MB)\n"
    assert daemon.requests[-1].query == {"size": "1"}
    assert json.loads(lading("ps", "--format", "json").out)["ID"] == "8dfafdbc3a40"
    result = lading("ps", "-q", "--format", "{{.Names}}")
    assert (result.out, "Ignoring custom format" in result.err) == ("8dfafdbc3a40\n", True)
    result = lading("ps", "--format", "{{.Foo}}")
    assert (result.status, result.out) == (1, "")
    assert "can't evaluate field Foo in type *formatter.ContainerContext" in result.err


def test_default_formats_are_the_users(daemon: FakeDaemon, lading: Run, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    config = {"psFormat": "{{.ID}}!", "HttpHeaders": {"X-Team": "a"}}
    (tmp_path / "config" / "config.json").write_text(json.dumps(config))
    daemon.on("GET", "/containers/json", [CONTAINER])
    assert lading("ps").out == "8dfafdbc3a40!\n"
    assert daemon.requests[0].headers["X-Team"] == "a"
    (tmp_path / "config" / "config.json").write_text("{")
    result = lading("ps")
    assert result.status == 1
    assert "config.json is not JSON" in result.err


def test_inspect_looks_everywhere(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/volumes/v", {"Name": "v", "Labels": None})
    result = lading("inspect", "v", "nope")
    assert result.status == 1
    assert json.loads(result.out) == [{"Name": "v", "Labels": None}]
    assert result.err == "Error: No such object: nope\n"
    assert lading("inspect", "-f", "{{.Name}}", "v").out == "v\n"
    assert lading("inspect", "-f", "json", "v").out == '[{"Name":"v","Labels":null}]\n'
    assert lading("inspect", "nope").out == "[]\n"
    assert lading("inspect", "-f", "{{.Na", "v").status == 64
    assert "unknown type" in lading("inspect", "--type", "x", "v").err
    assert lading("volume", "inspect", "v").out.startswith('[\n    {\n        "Name": "v",\n')


def test_lifecycle_commands_go_on_after_a_failure(daemon: FakeDaemon, lading: Run) -> None:
    for verb in ("stop", "restart", "kill", "pause", "unpause"):
        daemon.on("POST", f"/containers/b/{verb}", lambda _r, wire: wire.answer(204))
        daemon.on("POST", f"/containers/a/{verb}", {"message": "No such container: a"}, status=404)
        result = lading(verb, "a", "b")
        assert (result.status, result.out) == (1, "b\n")
        assert result.err == "Error response from daemon: No such container: a\n"
    lading("stop", "-t", "3", "-s", "HUP", "b")
    assert daemon.requests[-1].query == {"t": "3", "signal": "HUP"}
    daemon.on("POST", "/containers/b/wait", {"StatusCode": 5})
    assert lading("wait", "b").out == "5\n"
    daemon.on("DELETE", "/containers/b", lambda _r, wire: wire.answer(204))
    assert lading("rm", "-fv", "b", "gone").status == 0
    assert daemon.of("DELETE", "/containers/b")[0].query == {"v": "1", "force": "1"}
    assert lading("rm", "gone").status == 1
    assert lading("start", "b").err.endswith("Error: failed to start containers: b\n")


def test_logs(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/containers/c/json", {"Id": "cc", "Config": {"Tty": False}})
    frames = b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
    daemon.on("GET", "/containers/cc/logs", lambda _r, wire: wire.stream([frames[:9], frames[9:]]))
    result = lading("logs", "--tail", "5", "--since", "2024-01-01T00:00:00Z", "-ft", "c")
    assert (result.out, result.err) == ("out\n", "err\n")
    assert daemon.requests[-1].query == {
        "stdout": "1",
        "stderr": "1",
        "since": "1704067200.000000000",
        "timestamps": "1",
        "follow": "1",
        "tail": "5",
    }
    assert 'invalid value for "since"' in lading("logs", "--since", "x", "c").err


def test_top_port_diff(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/containers/c/top", {"Titles": ["PID", "CMD"], "Processes": [["1", "sh"]]})
    assert (
        lading("top", "c", "-o", "pid").out == "PID                 CMD\n1                   sh\n"
    )
    assert daemon.requests[-1].query == {"ps_args": "-o pid"}
    ports = {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "9/udp": None}
    daemon.on("GET", "/containers/c/json", {"NetworkSettings": {"Ports": ports}})
    assert lading("port", "c").out == "80/tcp -> [::]:8080\n"
    assert lading("port", "c", "80").out == "[::]:8080\n"
    assert lading("port", "c", "81").err == "Error: No public port '81' published for c\n"
    daemon.on(
        "GET", "/containers/c/changes", [{"Kind": 0, "Path": "/a"}, {"Kind": 2, "Path": "/b"}]
    )
    assert lading("diff", "c").out == "C /a\nD /b\n"


def test_update(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("POST", "/containers/c/update", {"Warnings": ["w"]})
    result = lading("update", "-m", "10m", "--restart", "on-failure:2", "c")
    assert result.out == "c\nw\n"
    assert daemon.requests[0].json == {
        "Memory": 10 << 20,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
    }
    assert "one or more flags" in lading("update", "c").err


def test_prune_asks_first(daemon: FakeDaemon, lading: Run, monkeypatch: Any) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert lading("container", "prune").out.startswith("WARNING! This will remove all stopped")
    assert daemon.requests == []
    daemon.on("POST", "/containers/prune", {"ContainersDeleted": ["a"], "SpaceReclaimed": 1000})
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert lading("container", "prune", "--filter", "label=x").out.endswith(
        "Deleted Containers:\na\n\nTotal reclaimed space: 1kB\n"
    )
    assert json.loads(daemon.requests[0].query["filters"]) == {"label": {"x": True}}


def test_system_prune(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("POST", "/containers/prune", {"ContainersDeleted": None, "SpaceReclaimed": 1})
    daemon.on("POST", "/networks/prune", {"NetworksDeleted": ["n"]})
    daemon.on("POST", "/volumes/prune", {"VolumesDeleted": ["v"], "SpaceReclaimed": 2})
    daemon.on("POST", "/images/prune", {"ImagesDeleted": [{"Untagged": "a"}], "SpaceReclaimed": 3})
    daemon.on("POST", "/build/prune", {"CachesDeleted": [], "SpaceReclaimed": 4})
    result = lading("system", "prune", "-af", "--volumes")
    assert result.out == (
        "Deleted Networks:\nn\n\nDeleted Volumes:\nv\n\nDeleted Images:\nuntagged: a\n\n"
        "Total reclaimed space: 10B\n"
    )
    assert "not supported" in lading("system", "prune", "--volumes", "--filter", "until=1h").err


def test_events(daemon: FakeDaemon, lading: Run) -> None:
    event = {
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "abc", "Attributes": {"name": "web", "image": "nginx"}},
        "scope": "local",
        "time": 1704067200,
        "timeNano": 1704067200000000005,
    }
    daemon.on("GET", "/events", lambda _r, w: w.stream([json.dumps(event).encode() + b"\n"]))
    assert lading("events", "--until", "0").out.endswith(
        " container start abc (image=nginx, name=web)\n"
    )
    assert json.loads(lading("events", "--format", "json").out) == event
    assert lading("events", "--format", "{{.Actor.Attributes.name}} {{.TimeNano}}").out == (
        "web 1704067200000000005\n"
    )
    assert lading("events", "--format", "{{.Foo}}").status == 64


def test_version_and_info(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on(
        "GET", "/version", {"Version": "9", "ApiVersion": "1.51", "Os": "linux", "Arch": "amd64"}
    )
    assert lading("version", "-f", "{{.Server.Version}} {{.Client.Context}}").out == "9 default\n"
    assert " Engine:\n  Version:          9\n" in lading("version").out
    daemon.on("GET", "/info", {"Containers": 3, "CgroupVersion": "2", "Warnings": ["WARNING: x"]})
    result = lading("info")
    assert " Containers: 3\n" in result.out
    assert result.err == "WARNING: x\n"
    assert lading("info", "-f", "{{.CgroupVersion}} {{.Swarm.LocalNodeState}}").out == "2 \n"


def test_without_a_daemon(tmp_path: Path, lading: Run) -> None:
    host = f"unix://{tmp_path}/none"
    for words in (["ps"], ["images"], ["version"], ["stop", "x"], ["system", "df"]):
        result = lading("-H", host, *words)
        assert result.status == 1
        assert result.err == f"Cannot connect to the Lading daemon at {host}. Is ladingd running?\n"
    assert lading("-H", host, "version").out.startswith("Client:\n Version:")
    result = lading("-H", host, "run", "x")
    assert result.status == 125
    assert result.err.startswith("lading: Cannot connect to the Lading daemon")


def test_networks_and_volumes(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("POST", "/networks/create", {"Id": "n1", "Warning": "hm"}, status=201)
    result = lading(
        "network", "create", "--subnet", "10.0.0.0/8", "--internal", "-o", "a=b", "back"
    )
    assert (result.out, result.err) == ("n1\n", "WARNING: hm\n")
    body = daemon.requests[0].json
    assert body["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/8"}]
    assert (body["Internal"], body["Options"]) == (True, {"a": "b"})
    daemon.on("POST", "/networks/back/connect", lambda _r, w: w.answer(200))
    lading("network", "connect", "--alias", "db", "--ip", "10.0.0.9", "back", "c")
    assert daemon.requests[1].json == {
        "Container": "c",
        "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["db"]},
    }
    daemon.on(
        "GET", "/volumes", {"Volumes": [{"Name": f"v{n}", "Driver": "local"} for n in (10, 9)]}
    )
    assert lading("volume", "ls", "-q").out == "v9\nv10\n"


def test_disk_usage(daemon: FakeDaemon, lading: Run) -> None:
    usage = {
        "LayersSize": 3000,
        "Images": [
            {"Id": "sha256:1", "Size": 2000, "SharedSize": 500, "Containers": 1, "Created": 0},
            {"Id": "sha256:2", "Size": 1500, "SharedSize": 500, "Containers": 0, "Created": 0},
        ],
        "Containers": [{"State": "running", "SizeRw": 10}, {"State": "exited", "SizeRw": 30}],
        "Volumes": [{"Name": "v", "UsageData": {"RefCount": 0, "Size": 7}}],
        "BuildCache": [{"ID": "c", "Size": 5, "InUse": False, "Shared": False}],
    }
    daemon.on("GET", "/system/df", usage)
    assert lading(
        "system", "df", "--format", "{{.Type}} {{.Active}}/{{.TotalCount}} {{.Reclaimable}}"
    ).out == (
        "Images 1/2 1.5kB (50%)\nContainers 1/2 30B (75%)\nLocal Volumes 0/1 7B (100%)\n"
        "Build Cache 0/1 5B\n"
    )


def test_wrong_command_lines(daemon: FakeDaemon, lading: Run) -> None:
    for words, status, sentence in (
        (["nope"], 1, "unknown command: lading nope"),
        (["container", "nope"], 1, "unknown command: lading container nope"),
        (["ps", "x"], 1, "'lading ps' accepts no arguments"),
        (["rm"], 1, "'lading rm' requires at least 1 argument"),
        (["rename", "x"], 1, "'lading rename' requires 2 arguments"),
        (["port"], 1, "'lading port' requires at least 1 and at most 2 arguments"),
        (["run", "--nope", "x"], 125, "unknown flag: --nope"),
        (["-Z"], 125, "unknown shorthand flag: 'Z' in -Z"),
        (["-H", "a", "-H", "b", "ps"], 1, "specify only one -H"),
    ):
        result = lading(*words)
        assert (result.status, result.out) == (status, "")
        assert result.err.splitlines()[0] == f"lading: {sentence}"
        assert "--help'." in result.err or words[0] == "-H"
    assert "Did you mean 'lading inspect'?" in lading("inspcet").err
    assert daemon.requests == []


def test_help_goes_to_stdout(lading: Run) -> None:
    for words in ([], ["--help"], ["help"], ["run", "--help"], ["help", "run"], ["volume"]):
        result = lading(*words)
        assert (result.status, result.err) == (0, "")
        assert result.out.startswith("Usage:  lading")
    assert lading("--version").out.startswith("Lading version ")


def test_completion(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/containers/json", [CONTAINER])
    daemon.on("GET", "/images/json", IMAGES)
    daemon.on("GET", "/networks", [{"Name": "back"}])
    for words, proposed in (
        (["in"], "info inspect"),
        (["container", "re"], "rename restart"),
        (["run", "--restart", "on"], "on-failure"),
        (["run", "--network", ""], "back"),
        (["run", "localhost"], "localhost:5000/a:1 localhost:5000/a:2"),
        (["stop", "w"], "web"),
        (["-H", "x", "network", "rm", ""], "back"),
        (["run", "--memory-r"], "--memory-reservation"),
    ):
        assert lading("__complete", *words).out.split() == proposed.split()
    for shell in ("bash", "fish", "zsh"):
        assert "lading __complete" in lading("completion", shell).out


def test_an_interrupted_or_unread_command_is_quiet(daemon: FakeDaemon) -> None:
    lines = b"\1\0\0\0\0\0\x10\0" + b"x" * 4095 + b"\n"
    daemon.on("GET", "/containers/c/json", {"Id": "c", "Config": {"Tty": False}})
    daemon.on("GET", "/containers/c/logs", lambda _r, w: w.stream([lines] * 100))
    program = "import sys; from lading.cli.main import main; sys.exit(main(['logs', 'c']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 141


HEAVY = {"json", "re", "enum", "socket", "typing", "dataclasses", "subprocess", "click", "rich"}


@pytest.mark.parametrize(
    "words", [["version"], ["ps"], ["run", "--rm", "x"], ["inspect", "-f", "{{.Id}}", "x"]]
)
def test_short_commands_import_little(daemon: FakeDaemon, words: list[str]) -> None:
    daemon.on("GET", "/version", {"Version": "1"})
    daemon.on("GET", "/containers/json", [])
    daemon.on("GET", "/containers/x/json", {"Id": "x"})
    program = (
        "import sys; before = set(sys.modules); from lading.cli.main import main\n"
        f"main({words!r})\n"
        "print('IMPORTED', *sorted(set(sys.modules) - before))"
    )
    root = str(Path(lading_package.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, env=environment
    )
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "lading.cli.main" in imported, done.stderr
    assert not imported & HEAVY

"""Commands on images and registries against a fake daemon: what they ask for, what they show."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lading.cli import credentials
from lading.cli.configfile import ConfigFile
from lading.cli.failures import CliError

from .conftest import IMAGES, FakeDaemon, Result

Run = Callable[..., Result]
Feed = Callable[[bytes], None]


def test_images(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/images/json", IMAGES)
    template = "{{.Repository}}|{{.Tag}}|{{.ID}}|{{.Size}}|{{.VirtualSize}}|{{.UniqueSize}}"
    assert lading("images", "--format", template, "a").out == (
        "localhost:5000/a|1|111111111111|1.98MB|1.984MB|N/A\n"
        "localhost:5000/a|2|111111111111|1.98MB|1.984MB|N/A\n"
        "<none>|<none>|222222222222|10B|10B|10B\n"
    )
    assert json.loads(daemon.requests[0].query["filters"]) == {"reference": {"a": True}}
    lines = lading("images", "--digests").out.splitlines()
    assert lines[0].split()[:3] == ["REPOSITORY", "TAG", "DIGEST"]
    assert lines[1].split()[2] == "sha256:" + "d" * 64
    assert lines[3].split()[:3] == ["<none>"] * 3


def test_rmi_goes_on_after_a_failure(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("DELETE", "/images/a", [{"Untagged": "a:1"}, {"Deleted": "sha256:1"}])
    daemon.on("DELETE", "/images/b", {"message": "No such image: b"}, status=404)
    result = lading("rmi", "b", "a")
    assert (result.status, result.out) == (1, "Untagged: a:1\nDeleted: sha256:1\n")
    assert result.err == "Error response from daemon: No such image: b\n"
    assert lading("rmi", "-f", "b").status == 0


def test_archives(daemon: FakeDaemon, lading: Run, tmp_path: Path, stdin: Feed) -> None:
    daemon.on(
        "GET", "/images/get", lambda _r, wire: wire.stream([b"tar", b"ball"], "application/x-tar")
    )
    target = tmp_path / "out.tar"
    assert lading("save", "-o", str(target), "a", "b").status == 0
    assert target.read_bytes() == b"tarball"
    assert daemon.requests[-1].queries == {"names": ["a", "b"]}
    daemon.on("GET", "/images/get", {"message": "No such image"}, status=404)
    assert lading("save", "-o", str(target), "a").status == 1
    assert [p.name for p in tmp_path.glob("out*")] == ["out.tar"]
    assert target.read_bytes() == b"tarball"
    assert "no such file or directory" in lading("save", "-o", "/nope/x", "a").err
    daemon.on("POST", "/images/load", lambda r, w: w.stream([b'{"stream":"%s\\n"}\n' % r.body]))
    assert lading("load", "-i", str(target)).out == "tarball\n"
    assert lading("load", "-i", "/nope").err == "open /nope: no such file or directory\n"
    daemon.on("POST", "/images/create", lambda r, w: w.stream([b'{"status":"%s"}\n' % r.body]))
    refused = lading("import", str(target), "me@sha256:" + "a" * 64)
    assert (refused.status, refused.err) == (1, "cannot import digest reference\n")
    stdin(b"from stdin")
    assert lading("import", "-c", "CMD x", "-", "me:1").out == "from stdin\n"
    assert daemon.requests[-1].query == {
        "fromSrc": "-",
        "repo": "me",
        "tag": "1",
        "changes": "CMD x",
    }


def test_pull_and_push(daemon: FakeDaemon, lading: Run, tmp_path: Path) -> None:
    config = ConfigFile(str(tmp_path / "config"))
    credentials.keep(config, "reg:5000", "me", "secret", "")
    daemon.on("POST", "/images/create", lambda _r, w: w.stream([b'{"status":"Status: done"}\n']))
    result = lading("pull", "reg:5000/a")
    assert result.out == "Using default tag: latest\nStatus: done\nreg:5000/a:latest\n"
    sent = daemon.requests[0]
    import base64

    assert json.loads(base64.urlsafe_b64decode(sent.headers["X-Registry-Auth"])) == {
        "username": "me",
        "password": "secret",
        "serveraddress": "reg:5000",
    }
    assert lading("pull", "-q", "debian@sha256:" + "a" * 64).out == (
        "docker.io/library/debian@sha256:" + "a" * 64 + "\n"
    )
    daemon.on("POST", "/images/reg:5000/a/push", lambda _r, w: w.stream([b'{"error":"denied"}\n']))
    result = lading("push", "reg:5000/a:1")
    assert (result.status, result.err) == (1, "denied\n")
    assert "can't be used with --all-tags" in lading("pull", "-a", "x:1").err


def test_login_and_logout(
    daemon: FakeDaemon, lading: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    daemon.on("POST", "/auth", {"Status": "Login Succeeded", "IdentityToken": ""})
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    result = lading("login", "-u", "me", "--password-stdin", "reg:5000")
    assert result.out == "Login Succeeded\n"
    assert "stored unencrypted" in result.err
    kept = tmp_path / "config" / "config.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["auths"] == {"reg:5000": {"auth": "bWU6c2VjcmV0"}}
    assert credentials.find(ConfigFile(str(kept.parent)), "reg:5000")["password"] == "secret"
    lading("logout", "reg:5000")
    assert json.loads(kept.read_text())["auths"] == {}
    daemon.on("POST", "/auth", {"message": "unauthorized"}, status=401)
    assert lading("login", "-u", "me", "-p", "x", "reg:5000").status == 1
    assert json.loads(kept.read_text())["auths"] == {}


HELPER = """#!{python}
import json, sys
request = sys.stdin.read()
with open({log!r}, "a") as log:
    log.write(sys.argv[1] + " " + request + "\\n")
if sys.argv[1] == "get" and request != "reg":
    print("credentials not found in native keychain")
    sys.exit(1)
print(json.dumps({{"Username": "<token>", "Secret": "tok"}}))
"""


def test_credential_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-lading-test"
    helper.write_text(HELPER.format(python=sys.executable, log=str(tmp_path / "log")))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    config = ConfigFile(str(tmp_path / "config"))
    config.data["credsStore"] = "lading-test"
    assert credentials.find(config, "reg") == {"identitytoken": "tok", "serveraddress": "reg"}
    assert credentials.find(config, "other") == {}
    assert credentials.keep(config, "reg", "me", "pw", "") == ""
    assert "pw" not in Path(config.path).read_text()
    assert credentials.forget(config, "reg")
    assert [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()] == [
        "get",
        "get",
        "store",
        "erase",
    ]
    config.data["credsStore"] = "lading-missing"
    with pytest.raises(CliError, match="executable file not found"):
        credentials.find(config, "reg")


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in credential helper `lading-test`; gives the file in which it notes its calls."""
    program = tmp_path / "docker-credential-lading-test"
    program.write_text(KEEPER.format(python=sys.executable, place=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    return tmp_path / "calls"


KEEPER = """#!{python}
import json, pathlib, sys
place = pathlib.Path({place!r})
request = sys.stdin.read()
with open(place / "calls", "a") as calls:
    calls.write(sys.argv[1] + " " + request + "\\n")
kept = place / "kept"
if sys.argv[1] == "store":
    kept.write_text(request)
elif sys.argv[1] == "erase":
    kept.unlink()
elif kept.exists() and json.loads(kept.read_text())["ServerURL"] == request:
    print(kept.read_text())
else:
    print("credentials not found in native keychain")
    sys.exit(1)
"""


@pytest.mark.parametrize(
    "settings", [{"credsStore": "lading-test"}, {"credHelpers": {"reg:5000": "lading-test"}}]
)
def test_a_login_by_a_helper_serves_a_pull(
    daemon: FakeDaemon,
    lading: Run,
    tmp_path: Path,
    helper: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
) -> None:
    place = tmp_path / "config" / "config.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(settings))
    daemon.on("POST", "/auth", {"Status": "Login Succeeded", "IdentityToken": ""})
    daemon.on("POST", "/images/create", lambda _r, w: w.stream([b'{"status":"Status: done"}\n']))
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    result = lading("login", "-u", "me", "--password-stdin", "reg:5000")
    assert (result.out, result.err) == ("Login Succeeded\n", "")
    assert json.loads(place.read_text()) == settings | {"auths": {"reg:5000": {}}}
    assert lading("pull", "-q", "reg:5000/a").status == 0
    sent = daemon.requests[-1].headers["X-Registry-Auth"]
    login = {"username": "me", "password": "secret", "serveraddress": "reg:5000"}
    assert sent == credentials.header(login)
    assert lading("logout", "reg:5000").status == 0
    assert lading("pull", "-q", "reg:5000/a").status == 0
    assert daemon.requests[-1].headers.get("X-Registry-Auth", credentials.header({})) == (
        credentials.header({})
    )
    assert [line.split()[0] for line in helper.read_text().splitlines()] == [
        *("store", "get", "erase", "get")
    ]


def test_a_tree_has_images_without_a_name_only_on_demand(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("GET", "/images/json", IMAGES)
    lines = [line.split() for line in lading("images", "--tree").out.splitlines()]
    assert [line[0] for line in lines] == ["IMAGE", "localhost:5000/a:1", "localhost:5000/a:2"]
    assert daemon.requests[-1].query["manifests"] == "1"
    assert "<untagged>" in lading("images", "--tree", "--all").out
    assert "<untagged>" in lading("images", "--tree", "--filter", "dangling=true").out

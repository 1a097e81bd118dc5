"""`docker import URL`, and `docker login` with a credential helper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.registry import PASSWORD, USER, Registry
from lab.slots import claimed
from scenarios.conftest import Observe
from scenarios.harness.subject import Result, Subject
from scenarios.images.tars import tar


@pytest.fixture
def served(engine: Subject, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory that an HTTP server beside the engine serves, and its address."""
    enter = [] if engine.engine.netns is None else ["nsenter", f"--net={engine.engine.netns}", "--"]
    server = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        [*enter, *server],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            yield tmp_path, f"http://127.0.0.1:{words[words.index('port') + 1]}"
        finally:
            process.terminate()


def test_a_file_system_is_fetched(
    engine: Subject, served: tuple[Path, str], observe: Observe
) -> None:
    place, url = served
    (place / "root.tar").write_bytes(tar({"x": b"x" * 100_000}))
    change = ("--change", 'CMD ["/x"]')
    out = engine.succeed("import", *change, f"{url}/root.tar", "lading-test:fetched")
    assert out.splitlines()[0] == f"Downloading from {url}/root.tar"
    image = engine.client.images.get("lading-test:fetched")
    assert out.splitlines()[-1] == image.id
    assert image.attrs["Comment"] == f"Imported from {url}/root.tar"
    observe("layers", image.attrs["RootFS"])
    observe("config", image.attrs["Config"])


def test_what_cannot_be_fetched_is_told(
    engine: Subject, served: tuple[Path, str], observe: Observe
) -> None:
    _place, url = served
    error = engine.fail("import", f"{url}/none.tar", "lading-test:none").err
    assert f"failed to GET {url}/none.tar with status 404" in error
    refused = engine.fail("import", "http://127.0.0.1:9/x", "lading-test:none").err
    assert "connection refused" in refused
    observe("name", engine.fail("import", f"{url}/none.tar", "Upper").err)


HELPER = """#!{python}
import json, pathlib, sys
kept = pathlib.Path({kept!r})
request = sys.stdin.read()
if sys.argv[1] == "store":
    kept.write_text(request)
elif sys.argv[1] == "erase":
    kept.unlink(missing_ok=True)
elif kept.exists() and json.loads(kept.read_text())["ServerURL"] == request.strip():
    print(kept.read_text())
else:
    print("credentials not found in native keychain")
    sys.exit(1)
"""


class SignedIn:
    """The command line with a configuration and helpers of its own."""

    def __init__(self, engine: Subject, place: Path) -> None:
        self._engine = engine
        self._place = place
        self.kept = place / "kept"
        self.config = place / "config.json"
        helper = place / "docker-credential-lading-test"
        helper.write_text(HELPER.format(python=sys.executable, kept=str(self.kept)))
        helper.chmod(0o755)

    def cli(self, *words: str, stdin: str = "") -> Result:
        """Run the command line."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DOCKER_HOST"},
            "DOCKER_CONFIG": str(self._place),
            "PATH": f"{self._place}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            self._engine.command(*words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("kind", ["credsStore", "credHelpers", ""])
def test_a_login_is_kept_used_and_forgotten(
    engine: Subject, tmp_path: Path, kind: str, observe: Observe
) -> None:
    with claimed("reg") as name, Registry(name, secure=True) as registry:
        signed = SignedIn(engine, tmp_path)
        helpers = {"credsStore": "lading-test", "credHelpers": {registry.address: "lading-test"}}
        signed.config.write_text(json.dumps({kind: helpers[kind]} if kind else {}))
        named = f"{registry.address}/lading/test:1"
        engine.succeed("tag", "busybox", named)
        login = ("login", "--username", USER, "--password-stdin", registry.address)
        assert signed.cli(*login, stdin="wrong").code == 1
        assert "no basic auth credentials" in signed.cli("push", named).err
        done = signed.cli(*login, stdin=PASSWORD)
        assert (done.code, done.out) == (0, "Login Succeeded\n")
        assert signed.kept.exists() is bool(kind)
        kept = json.loads(signed.config.read_text())["auths"][registry.address]
        observe(f"kept, {kind or 'no helper'}", kept)
        assert signed.cli("push", "--quiet", named).code == 0
        engine.succeed("rmi", named)
        assert signed.cli("pull", "--quiet", named).out == f"{named}\n"
        assert signed.cli("logout", registry.address).code == 0
        assert not signed.kept.exists()
        assert registry.address not in json.loads(signed.config.read_text()).get("auths", {})
        refused = signed.cli("pull", named)
        assert (refused.code, "no basic auth credentials" in refused.err) == (1, True)

"""The context: what a client leaves out of it, how it comes, and which file is the Dockerfile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scenarios.conftest import Observe
from scenarios.harness.building import Builder, Files
from scenarios.harness.subject import Subject

_COPY = "FROM busybox\nCOPY . /c\n"


def _cli(engine: Subject, place: Path, files: dict[str, str], *words: str) -> list[str]:
    """Build a directory by the command line; what is under /c in the image."""
    for name, content in files.items():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    image = engine.succeed("build", "--quiet", "--network=none", *words, str(place))
    found = engine.run("sh", "-c", "cd /c && find . -type f | sort", image=image)
    return found.split()


def test_ignored_files_stay_out(engine: Subject, tmp_path: Path, observe: Observe) -> None:
    files = {
        "Dockerfile": _COPY,
        ".dockerignore": "# comment\n*.log\n**/*.tmp\nbuild\n!build/kept\n/rooted\n\ndoc?\n",
        "a.log": "", "deep/a.log": "", "deep/a.tmp": "", "a.tmp": "", "build/x": "",
        "build/kept": "", "rooted": "", "deep/rooted": "", "doc1": "", "docs/x": "", "main": "",
    }  # fmt: skip
    found = _cli(engine, tmp_path, files)
    assert "./a.log" not in found
    assert {"./deep/a.log", "./build/kept", "./main"} <= set(found)
    observe("found", found)


def test_all_but_what_is_named(engine: Subject, tmp_path: Path, observe: Observe) -> None:
    files = {
        "Dockerfile": _COPY, ".dockerignore": "**\n!src/**/*.py\nsrc/secret/**\n!README*\n",
        "src/a.py": "", "src/deep/er/b.py": "", "src/c.txt": "", "src/secret/d.py": "",
        "README.md": "", "x/README.md": "",
    }  # fmt: skip
    found = _cli(engine, tmp_path, files)
    assert "./src/a.py" in found
    assert "./src/secret/d.py" not in found
    observe("found", found)


def test_the_dockerfile_itself_can_be_ignored(builder: Builder, observe: Observe) -> None:
    files: Files = {".dockerignore": "Dockerfile\n.dockerignore\n", "main": "x"}
    built = builder.build(_COPY, files)
    listing = builder.shell(built, "find /c -type f")
    assert listing == ["/c/main"]
    observe("listing", listing)


def test_ignored_files_do_not_rebuild(engine: Subject, tmp_path: Path, observe: Observe) -> None:
    files = {"Dockerfile": _COPY, ".dockerignore": "log\n", "log": "1", "main": ""}
    _cli(engine, tmp_path, files, "--tag=lading-test:a")
    _cli(engine, tmp_path, {"log": "2"}, "--tag=lading-test:b")
    one, other = (engine.client.images.get(f"lading-test:{name}").id for name in "ab")
    assert one == other
    observe("same", True)


def test_a_dockerfile_by_another_name(engine: Subject, tmp_path: Path, observe: Observe) -> None:
    files = {"Dockerfile": "FROM scratch\n", "docker/Other": f"{_COPY}ENV other=1\n", "main": ""}
    found = _cli(engine, tmp_path, files, "--file", str(tmp_path / "docker" / "Other"))
    observe("found", found)
    failed = engine.fail("build", "--file", str(tmp_path / "none"), str(tmp_path))
    assert "none" in failed.err


def test_a_dockerfile_that_is_not_there(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\n", dockerfile="docker/Nosuch")
    assert failed.status in (400, 500)
    observe("error", failed.error)
    found = builder.build(
        "FROM scratch\n", {"x/File": "FROM busybox\nENV a=1\n"}, dockerfile="x/File"
    )
    assert "a=1" in builder.inspect(found)["Config"]["Env"]
    outside = builder.fail("FROM busybox\n", dockerfile="../../etc/passwd")
    assert outside.status in (400, 500)


def test_a_dockerfile_alone_from_standard_input(engine: Subject, observe: Observe) -> None:
    image = engine.succeed("build", "--quiet", "-", stdin="FROM busybox\nENV from=stdin\n")
    env = engine.client.images.get(image).attrs["Config"]["Env"]
    assert "from=stdin" in env
    observe("env", env)


def test_a_packed_context(builder: Builder, observe: Observe) -> None:
    built = builder.build(_COPY, {"main": "x"}, encoding="gzip")
    assert builder.run(built, "cat", "/c/main") == "x"
    observe("listing", builder.shell(built, "find /c -type f"))


def test_a_context_that_is_no_archive(engine: Subject, observe: Observe) -> None:
    host = f"http+unix://{str(engine.engine.socket).replace('/', '%2F')}"
    client = engine.client.api
    answer = client.post(f"{host}/v1.47/build", data=b"no archive" * 100,
                         headers={"Content-Type": "application/x-tar"})  # fmt: skip
    assert answer.status_code >= 400 or "error" in answer.text
    empty = client.post(f"{host}/v1.47/build", data=b"\0" * 1024,
                        headers={"Content-Type": "application/x-tar"})  # fmt: skip
    assert "Cannot locate specified Dockerfile: Dockerfile" in empty.text
    assert empty.status_code in (400, 500)
    observe("refused", True)


@contextmanager
def _served(engine: Subject, place: Path) -> Iterator[str]:
    """A web server in the engine's network; gives its address."""
    enter = [] if engine.engine.netns is None else ["nsenter", f"--net={engine.engine.netns}"]
    server = subprocess.Popen(
        [*enter, sys.executable, "-u", "-m", "http.server", "0", "--bind=127.0.0.1",
         f"--directory={place}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate()


def test_add_fetches(builder: Builder, engine: Subject, tmp_path: Path, observe: Observe) -> None:
    (tmp_path / "file.txt").write_text("fetched")
    os.utime(tmp_path / "file.txt", (1_500_000_000, 1_500_000_000))
    with _served(engine, tmp_path) as address:
        text = f"FROM busybox\nADD {address}/file.txt /d/\nADD {address}/file.txt?x=1 /named\n"
        built = builder.build(text)
        listing = builder.shell(built, "stat -c '%n %u:%g %a %Y' /d/file.txt /named; cat /named")
        assert listing == ["/d/file.txt 0:0 600 1500000000", "/named 0:0 600 1500000000", "fetched"]
        observe("cached", builder.build(text).rebuilt == [])
        (tmp_path / "file.txt").write_text("changed")
        assert len(builder.build(text).rebuilt) == 2
        failed = builder.fail(f"FROM busybox\nADD {address}/missing /d/\n")
        assert "404" in failed.error
        observe("no name", bool(builder.fail(f"FROM busybox\nADD {address}/ /d/\n").error))
    observe("listing", listing)

"""Images mounted into containers of other images: read-only, whole or in part (API 1.48)."""

from __future__ import annotations

import io
import tarfile

import pytest
from docker.errors import APIError

from scenarios.conftest import Observe
from scenarios.harness.subject import BUSYBOX, Subject

_DATA = "lading-test-data"


def _tar() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, kind, target in (
            ("dir", tarfile.DIRTYPE, ""),
            ("dir/file", tarfile.REGTYPE, ""),
            ("inside", tarfile.SYMTYPE, "dir"),
            ("outside", tarfile.SYMTYPE, "/etc"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o755
            content = b"content\n" if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def data(engine: Subject) -> str:
    """An image of a few files and links."""
    engine.client.api.import_image_from_data(_tar(), repository=_DATA)
    return _DATA


def _mount(source: str, **more: str) -> str:
    words = {"type": "image", "source": source, "target": "/mnt/image", **more}
    return "--mount=" + ",".join(f"{key}={value}" for key, value in words.items())


def _run(engine: Subject, mount: str, *command: str) -> str:
    return engine.succeed("run", "--rm", "--network=none", mount, BUSYBOX, *command)


def test_an_image_is_mounted(engine: Subject, observe: Observe, data: str) -> None:
    script = "cd /mnt/image && ls && cat dir/file; touch new"
    result = engine.cli("run", "--rm", "--network=none", _mount(data), BUSYBOX, "sh", "-c", script)
    assert result.out.split() == ["dir", "inside", "outside", "content"]
    assert "touch: new: Read-only file system" in result.err
    assert "WARNING: Image mount is an experimental feature" in result.err
    observe("status", result.code)


def test_a_part_of_an_image_is_mounted(engine: Subject, observe: Observe, data: str) -> None:
    def part(path: str) -> str:
        return _run(engine, _mount(data, **{"image-subpath": path}), "find", "/mnt/image")

    found = {path: part(path) for path in ("dir", "inside", "dir/file", "dir/../inside")}
    assert found["dir"].split() == ["/mnt/image", "/mnt/image/file"]
    assert found["dir/file"] == "/mnt/image"
    observe("parts", found)


@pytest.mark.parametrize("path", ["nope", "outside", "../dir", "/dir", "dir/file/x"])
def test_parts_that_cannot_be(engine: Subject, observe: Observe, data: str, path: str) -> None:
    mount = _mount(data, **{"image-subpath": path})
    result = engine.cli("run", "--rm", "--network=none", mount, BUSYBOX, "true")
    assert "Error response from daemon" in result.err
    assert engine.containers() == []
    observe(f"status of {path}", result.code)


def test_what_is_no_image_mount(engine: Subject, observe: Observe) -> None:
    create = engine.client.api.create_container_from_config
    refusals = {}
    for name, mount in (
        ("missing", {"Type": "image", "Source": "lading-test-nosuch", "Target": "/x"}),
        ("no source", {"Type": "image", "Target": "/x"}),
        ("no target", {"Type": "image", "Source": BUSYBOX}),
        ("relative", {"Type": "image", "Source": BUSYBOX, "Target": "x"}),
        ("other options", {"Type": "image", "Source": BUSYBOX, "Target": "/x", "BindOptions": {}}),
    ):
        with pytest.raises(APIError) as refusal:
            create({"Image": BUSYBOX, "HostConfig": {"Mounts": [mount]}})
        refusals[name] = (refusal.value.response.status_code, refusal.value.explanation)
    assert refusals["missing"] == (404, "No such image: lading-test-nosuch:latest")
    observe("refusals", refusals)


def test_the_image_stays_as_long_as_it_is_mounted(
    engine: Subject, observe: Observe, data: str
) -> None:
    words = ("create", "--network=none", "--name=lading-test-user", _mount(data), BUSYBOX)
    engine.succeed(*words, "cat", "/mnt/image/dir/file")
    refused = engine.fail("rmi", data)
    assert "(must force)" in refused.err
    engine.succeed("rmi", "--force", data)
    assert engine.succeed("start", "--attach", "lading-test-user") == "content"
    heir = engine.succeed("run", "--rm", "--network=none", "--volumes-from=lading-test-user",
                          BUSYBOX, "ls", "/mnt/image")  # fmt: skip
    assert heir.split() == ["dir", "inside", "outside"]
    container = engine.client.containers.get("lading-test-user")
    (mount,) = engine.inspect(container)["Mounts"]
    observe("mount", {key: mount[key] for key in ("Type", "Name", "Destination", "Mode", "RW")})
    observe("wish", engine.inspect(container)["HostConfig"]["Mounts"])


def test_files_of_a_mounted_image_are_copied_out_and_not_in(
    engine: Subject, observe: Observe, data: str
) -> None:
    engine.succeed("create", "--network=none", "--name=lading-test-user", _mount(data), BUSYBOX)
    container = engine.client.containers.get("lading-test-user")
    chunks, stat = container.get_archive("/mnt/image/dir/file")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert tar.extractfile("file").read() == b"content\n"  # type: ignore[union-attr]
    observe("stat", {key: stat[key] for key in ("name", "size")})
    refused = engine.fail("cp", "/etc/hostname", "lading-test-user:/mnt/image/dir/")
    assert "mounted volume is marked read-only" in refused.err

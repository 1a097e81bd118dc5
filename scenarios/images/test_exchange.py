"""Images go from engine to engine and through skopeo, in both layouts, and stay the same."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import images
from lab.lading import Lading
from lab.reference import Reference
from lab.registry import copy
from lab.slots import claimed
from scenarios.conftest import Observe
from scenarios.harness.subject import Subject
from scenarios.images.tars import tar

SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""How tarfile extracts, where it can be told: Debian 12's Python 3.11.2 can not."""


@contextmanager
def other_than(engine: Subject) -> Iterator[Subject]:
    """The other engine: Lading beside Docker, Docker beside any."""
    with claimed("oth") as name:
        other = Lading(name) if engine.name == "docker" else Reference(name=name)
        try:
            other.down()
            other.up()
            yield Subject(other)
        finally:
            other.down()


def prepared(engine: Subject) -> dict[str, str]:
    """Make two images that share a layer, under three names; their IDs by name."""
    engine.succeed("import", "-", "lading-test/one:1", stdin=tar({"base": b"1" * 5000}))
    engine.succeed("create", "--name", "lading-test-maker", "lading-test/one:1", "/x")
    engine.succeed("cp", str(Path(__file__)), "lading-test-maker:/added")
    engine.succeed("commit", "lading-test-maker", "lading-test/two:1")
    engine.succeed("rm", "lading-test-maker")
    engine.succeed("tag", "lading-test/two:1", "lading-test/two:also")
    names = ("lading-test/one:1", "lading-test/two:1", "lading-test/two:also")
    return {name: engine.client.images.get(name).id for name in names}


def test_what_one_engine_saves_the_other_loads(engine: Subject, tmp_path: Path) -> None:
    ids = prepared(engine)
    archive = tmp_path / "saved.tar"
    # A repository without a tag stands for all its tags.
    engine.succeed("save", "--output", str(archive), "lading-test/one:1", "lading-test/two")
    with other_than(engine) as other:
        out = other.succeed("load", "--input", str(archive))
        assert sorted(out.splitlines()) == [f"Loaded image: {name}" for name in sorted(ids)]
        assert {name: other.client.images.get(name).id for name in ids} == ids
        back = tmp_path / "back.tar"
        other.succeed("save", "--output", str(back), *ids)
        for name in ("lading-test/two:1", "lading-test/one:1"):
            engine.succeed("rmi", "--force", ids[name])
        engine.succeed("load", "--input", str(back))
    assert {name: engine.client.images.get(name).id for name in ids} == ids
    engine.succeed("create", "--name", "lading-test-maker", "lading-test/two:1", "/x")
    engine.succeed("cp", "lading-test-maker:/added", str(tmp_path / "added"))
    assert (tmp_path / "added").read_bytes() == Path(__file__).read_bytes()


def test_skopeo_reads_what_is_saved_and_the_other_way_round(
    engine: Subject, tmp_path: Path
) -> None:
    ids = prepared(engine)
    saved = tmp_path / "saved.tar"
    engine.succeed("save", "--output", str(saved), "lading-test/two:1")
    converted = tmp_path / "converted.tar"
    copy(f"docker-archive:{saved}", f"docker-archive:{converted}:docker.io/lading-test/two:1")
    engine.succeed("rmi", "--force", ids["lading-test/two:1"])
    out = engine.succeed("load", "--input", str(converted))
    (line,) = out.splitlines()
    assert line.startswith("Loaded image")
    assert engine.client.images.get(ids["lading-test/two:1"]).id == ids["lading-test/two:1"]
    read = tmp_path / "read"
    copy(f"docker-archive:{saved}", f"dir:{read}")
    manifest = json.loads((read / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == ids["lading-test/two:1"]


def test_an_archive_is_an_oci_layout_too(engine: Subject, observe: Observe, tmp_path: Path) -> None:
    archive = engine.client.images.get("busybox:latest").save(named=True)
    data = b"".join(archive)
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        opened.extractall(tmp_path, **SAFELY)
    index = json.loads((tmp_path / "index.json").read_bytes())
    observe("index", index["manifests"])
    copy(f"oci:{tmp_path}", f"dir:{tmp_path}/out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert manifest["config"]["digest"] == engine.client.images.get("busybox:latest").id


def test_only_the_platform_that_is_asked_for(engine: Subject, observe: Observe) -> None:
    words = ("image", "inspect", "--platform", "linux/s390x", "busybox")
    observe("inspect", engine.fail(*words).err)
    observe("history", engine.fail("history", "--platform", "linux/s390x", "busybox").err)
    observe("save", engine.fail("save", "--platform", "linux/s390x", "busybox").err)
    observe(
        "create", engine.fail("create", "--platform", "linux/s390x", "--pull=never", "busybox").err
    )
    here = engine.succeed("image", "inspect", "--format={{.Architecture}}", "busybox")
    engine.succeed("image", "inspect", "--platform", f"linux/{here}", "busybox")
    archive = Path(images.busybox()).read_bytes()
    assert "Loaded image: busybox:latest" in engine.succeed(
        "load", "--platform", f"linux/{here}", stdin=archive
    )

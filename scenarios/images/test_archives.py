"""Images come in by load and import, are named, looked at, saved and removed."""

from __future__ import annotations

import io
import json
import tarfile

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject
from scenarios.images.tars import tar


def test_import_makes_an_image_of_one_layer(engine: Subject, observe: Observe) -> None:
    words = ["import", "--change", 'CMD ["/x"]', "--change", "ENV a=b", "--message", "why", "-"]
    image_id = engine.succeed(*words, "lading-test:imported", stdin=tar({"x": b"x"}))
    image = engine.client.images.get("lading-test:imported")
    assert image.id == image_id
    assert len(image.attrs["RootFS"]["Layers"]) == 1
    observe("config", image.attrs["Config"])
    observe("comment", image.attrs["Comment"])
    observe("layers", image.attrs["RootFS"])


def test_save_and_load_give_the_same_image(engine: Subject, observe: Observe) -> None:
    engine.succeed("import", "-", "lading-test:saved", stdin=tar({"dir/file": b"data"}))
    image = engine.client.images.get("lading-test:saved")
    archive = b"".join(image.save(named=True))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        names = opened.getnames()
        member = opened.extractfile("manifest.json")
        assert member is not None
        manifest = json.loads(member.read())
    assert manifest[0]["RepoTags"] == ["lading-test:saved"]
    assert {"manifest.json", "index.json", "oci-layout", "repositories"} <= set(names)
    engine.client.images.remove("lading-test:saved")
    (loaded,) = engine.client.images.load(archive)
    assert loaded.id == image.id
    observe("layers", loaded.attrs["RootFS"])


def test_load_says_what_it_loaded(engine: Subject, observe: Observe) -> None:
    archive = b"".join(engine.client.images.get("busybox:latest").save(named=True))
    result = engine.cli("load", stdin=archive)
    assert result.out == "Loaded image: busybox:latest\n"
    observe("id", engine.client.images.get("busybox:latest").id)


def test_tags_are_names(engine: Subject, observe: Observe) -> None:
    engine.succeed("tag", "busybox", "lading-test/other:1.0")
    assert sorted(engine.client.images.get("lading-test/other:1.0").tags) == [
        "busybox:latest",
        "lading-test/other:1.0",
    ]
    output = engine.succeed("rmi", "lading-test/other:1.0")
    assert output == "Untagged: lading-test/other:1.0"
    observe("gone", engine.fail("image", "inspect", "lading-test/other:1.0").err)


def test_an_image_in_use_stays(engine: Subject, observe: Observe) -> None:
    engine.succeed("import", "-", "lading-test:used", stdin=tar({"x": b""}))
    engine.succeed("create", "--name", "lading-test-user", "lading-test:used", "/x")
    result = engine.fail("rmi", "lading-test:used")
    assert "unable to remove repository reference" in result.err
    observe("complaint", result.err)


def test_inspect_and_history(engine: Subject, observe: Observe) -> None:
    image = engine.client.images.get("busybox:latest")
    wanted = ("Id", "RepoTags", "Architecture", "Os", "Config", "RootFS", "Created", "Size")
    observe("inspect", {key: image.attrs[key] for key in wanted})
    history = image.history()
    assert len(history) == 1
    observe("history", history)


def test_images_are_filtered(engine: Subject, observe: Observe) -> None:
    engine.succeed("import", "--change", "LABEL lading.test=1", "-", "lading-test:label",
                   stdin=tar({"x": b"1"}))  # fmt: skip
    engine.succeed("import", "-", stdin=tar({"x": b"2"}))
    lists = {
        term: sorted(
            engine.succeed("images", "--filter", term, "--format", "{{.Repository}}").split()
        )
        for term in ("label=lading.test=1", "dangling=true", "reference=lading-test", "label=none")
    }
    assert lists["label=lading.test=1"] == ["lading-test"]
    observe("lists", lists)


def test_unknown_images_and_bad_references(engine: Subject, observe: Observe) -> None:
    for words in (
        ["inspect", "--type", "image", "lading-test-unknown"],
        ["tag", "lading-test-unknown", "x"],
        ["tag", "busybox", "Upper"],
        ["rmi", "lading-test-unknown"],
        ["create", "Bad_Reference:::", "true"],
    ):
        result = engine.fail(*words)
        assert result.err.count("\n") <= 3
        observe(" ".join(words), result.err)


def test_hostile_archives_are_refused(engine: Subject, observe: Observe) -> None:
    before = sorted(image.id for image in engine.client.images.list(all=True))
    for name, data in {
        "garbage": b"this is no tar archive at all",
        "cut": tar({"x": b"y" * 4096})[:1500],
        "outside": tar({"../outside": b"x"}),
    }.items():
        result = engine.cli("import", "-", "lading-test:hostile", stdin=data)
        observe(name, result.code)
    engine.fail("load", stdin=b"this is no tar archive at all")
    assert engine.host.file("/var/lib/outside").exists is False
    after = sorted(image.id for image in engine.client.images.list(all=True))
    observe("images kept", set(before) <= set(after))

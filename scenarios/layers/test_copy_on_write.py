"""A container writes into a layer of its own; its image's layers stay as they are."""

from __future__ import annotations

import io
import tarfile

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject


def _commit(engine: Subject, script: str, name: str, image: str = "busybox:latest") -> None:
    container = engine.start("sh", "-c", script, image=image)
    assert container.wait()["StatusCode"] == 0
    container.commit(repository=name)
    container.remove()


def test_a_write_copies_up_and_leaves_the_image_alone(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    assert engine.exec(container, "sh", "-c", "echo mine >> /etc/passwd").code == 0
    assert engine.exec(container, "tail", "-n1", "/etc/passwd").out == "mine\n"
    assert "mine" not in engine.run("cat", "/etc/passwd")
    changes = container.diff()
    assert {"Path": "/etc/passwd", "Kind": 0} in changes
    observe("changes", changes)


def test_the_writable_layer_dies_with_its_container(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "echo data > /data")
    container.wait()
    assert container.diff() == [{"Path": "/data", "Kind": 1}]
    container.remove()
    result = engine.cli("run", "--rm", "busybox", "cat", "/data")
    assert result.code == 1
    observe("complaint", result.err)


def test_the_writable_layer_outlives_a_stop(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "echo x >> /count; wc -l < /count")
    container.wait()
    container.start()
    container.wait()
    assert container.logs().split() == [b"1", b"2"]
    observe("changes", container.diff())


def test_a_removed_file_is_a_whiteout(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "rm /etc/group && rm -r /home && mkdir /home")
    container.wait()
    changes = container.diff()
    assert {"Path": "/etc/group", "Kind": 2} in changes
    upper = engine.inspect(container)["GraphDriver"]["Data"]["UpperDir"]
    device = engine.host.check_output("stat -c '%%F %%t:%%T' %s/etc/group", upper)
    assert device == "character special file 0:0"
    observe("changes", changes)


def test_whiteouts_hold_in_a_committed_image(engine: Subject, observe: Observe) -> None:
    _commit(engine, "mkdir -p /a/b && echo 1 > /a/b/c && echo 2 > /a/d", "lading-test:one")
    _commit(engine, "rm /a/d && rm -r /a/b && mkdir /a/b && echo 3 > /a/b/e", "lading-test:two",
            image="lading-test:one")  # fmt: skip
    found = sorted(engine.run("find", "/a", image="lading-test:two").split())
    assert found == ["/a", "/a/b", "/a/b/e"]
    observe("found", found)


def test_lower_layers_are_shared(engine: Subject, observe: Observe) -> None:
    _commit(engine, "echo x > /x", "lading-test:shared")
    one, other = engine.sleeper(), engine.sleeper(image="lading-test:shared")
    base = engine.client.images.get("busybox:latest").attrs["RootFS"]["Layers"]
    above = engine.client.images.get("lading-test:shared").attrs["RootFS"]["Layers"]
    assert above[: len(base)] == base
    lower = engine.inspect(one)["GraphDriver"]["Data"]["LowerDir"].split(":")
    other_lower = engine.inspect(other)["GraphDriver"]["Data"]["LowerDir"].split(":")
    assert lower[-1] == other_lower[-1]
    observe("layers", [len(base), len(above)])


def test_the_root_is_an_overlay(engine: Subject, observe: Observe) -> None:
    mount = engine.facts(engine.sleeper()).mounts()["/"]
    assert mount.fstype == "overlay"
    assert "rw" in mount.options
    keys = {option.partition("=")[0] for option in mount.super_options}
    assert {"lowerdir", "upperdir", "workdir"} <= keys
    observe("options", mount.options)


def test_hard_links_and_modes_survive_a_commit(engine: Subject, observe: Observe) -> None:
    script = "echo x > /one && ln /one /two && chmod 4751 /one && mkfifo /pipe && ln -s one /link"
    _commit(engine, script, "lading-test:links")
    listing = engine.run(
        "stat", "-c", "%n %F %a %h", "/one", "/two", "/pipe", "/link", image="lading-test:links"
    )
    assert "/two regular file 4751 2" in listing
    observe("listing", listing)


def test_an_export_holds_the_merged_tree(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "rm /etc/group; echo x > /new")
    container.wait()
    data = b"".join(container.export())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = set(archive.getnames())
    assert "new" in names
    assert "etc/group" not in names
    observe("top", {name for name in names if "/" not in name})

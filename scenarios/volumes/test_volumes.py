"""Data that outlives a container: bind mounts, named and anonymous volumes, tmpfs."""

from __future__ import annotations

from pathlib import Path

from docker.types import Mount

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject

_ANONYMOUS = Mount(type="volume", target="/data", source=None)
_MOUNT_KEYS = ("Type", "Destination", "Mode", "RW", "Propagation", "Driver")


def _mounts(engine: Subject, container: object) -> list[dict[str, object]]:
    mounts = engine.inspect(container)["Mounts"]
    return [{key: mount[key] for key in _MOUNT_KEYS if key in mount} for mount in mounts]


def test_a_bind_mount_is_seen_from_both_sides(
    engine: Subject, observe: Observe, tmp_path: Path
) -> None:
    (tmp_path / "from-host").write_text("host\n")
    container = engine.sleeper(volumes=[f"{tmp_path}:/data"])
    assert engine.exec(container, "cat", "/data/from-host").out == "host\n"
    assert engine.exec(container, "sh", "-c", "echo inside > /data/from-inside").code == 0
    assert (tmp_path / "from-inside").read_text() == "inside\n"
    (tmp_path / "later").write_text("later\n")
    assert engine.exec(container, "cat", "/data/later").out == "later\n"
    observe("mounts", _mounts(engine, container))


def test_a_read_only_bind_mount_refuses_writes(
    engine: Subject, observe: Observe, tmp_path: Path
) -> None:
    container = engine.sleeper(volumes=[f"{tmp_path}:/data:ro"])
    result = engine.exec(container, "touch", "/data/x")
    assert result.code == 1
    assert "Read-only file system" in result.err
    assert list(tmp_path.iterdir()) == []
    observe("mounts", _mounts(engine, container))


def test_a_named_volume_outlives_its_container(engine: Subject, observe: Observe) -> None:
    engine.run("sh", "-c", "echo kept > /data/file", volumes=["lading-test-volume:/data"])
    output = engine.run("cat", "/data/file", volumes=["lading-test-volume:/data"])
    assert output == "kept"
    volume = engine.client.volumes.get("lading-test-volume")
    assert Path(volume.attrs["Mountpoint"], "file").read_text() == "kept\n"
    observe("volume", {key: volume.attrs[key] for key in ("Driver", "Scope", "Options", "Labels")})


def test_an_anonymous_volume_goes_with_rm_v(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(mounts=[_ANONYMOUS])
    (mount,) = engine.inspect(container)["Mounts"]
    assert len(mount["Name"]) == 64
    assert Path(mount["Source"]).is_dir()
    container.remove(force=True, v=True)
    assert not Path(mount["Source"]).exists()
    observe("mount", {key: mount[key] for key in _MOUNT_KEYS})


def test_a_new_volume_takes_the_image_s_content(engine: Subject, observe: Observe) -> None:
    script = "ls /data; stat -c '%a %u' /data"
    output = engine.run(
        "sh", "-c", script.replace("/data", "/etc"), volumes=["lading-test-up:/etc"]
    )
    assert {"passwd", "group", "shadow"} <= set(output.split())
    empty = engine.run(
        "ls", "/etc", mounts=[Mount("/etc", "lading-test-no", no_copy=True)],
    )  # fmt: skip
    assert "passwd" not in empty
    observe("content", output)


def test_a_tmpfs_is_memory_and_goes_away(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(tmpfs={"/scratch": "size=1m,mode=1770"})
    mount = engine.facts(container).mounts()["/scratch"]
    assert mount.fstype == "tmpfs"
    full = engine.exec(container, "dd", "if=/dev/zero", "of=/scratch/x", "bs=1k", "count=2048")
    assert "No space left on device" in full.err
    assert engine.exec(container, "stat", "-c", "%a", "/scratch").out == "1770\n"
    container.restart(timeout=1)
    assert engine.exec(container, "ls", "-A", "/scratch").out == ""
    observe("options", mount.options)
    observe("size", {option for option in mount.super_options if "size" in option})


def test_volumes_are_taken_from_another_container(engine: Subject, observe: Observe) -> None:
    first = engine.sleeper(mounts=[_ANONYMOUS])
    engine.exec(first, "sh", "-c", "echo shared > /data/file")
    assert engine.run("cat", "/data/file", volumes_from=[first.id]) == "shared"
    result = engine.cli(
        "run", "--rm", "--volumes-from", f"{first.id}:ro", "busybox", "touch", "/data/x"
    )
    assert "Read-only file system" in result.err
    observe("complaint", result.err)


def test_a_volume_in_use_is_not_removed(engine: Subject, observe: Observe) -> None:
    engine.sleeper(name="lading-test-user", volumes=["lading-test-used:/data"])
    result = engine.fail("volume", "rm", "lading-test-used")
    assert "volume is in use" in result.err
    observe("complaint", result.err)


def test_a_missing_bind_source(engine: Subject, observe: Observe, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    engine.run("true", volumes=[f"{missing}:/data"])
    assert missing.is_dir()
    other = tmp_path / "other"
    result = engine.fail(
        "run", "--rm", "--mount", f"type=bind,source={other},target=/data", "busybox", "true"
    )
    assert "bind source path does not exist" in result.err
    assert not other.exists()
    observe("exit code", result.code)

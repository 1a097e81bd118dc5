"""What RUN --mount gives a container: files, secrets, agents and caches on the host."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.build.caches import Caches
from lading.build.context import Context
from lading.build.mounting import MountMaker, agents_of, materialize
from lading.build.runmounts import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from lading.build.sources import DirectoryTree
from lading.errors import InvalidParameter, NotFound
from tests.unit.build.trees import context, member


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Context]:
    members = (
        member("d/f", b"F", mode=0o640, owner=(5, 6)),
        member("d/h", kind="h", to="d/f"),
        member("d/e", kind="d", mode=0o700),
        member("l", kind="l", to="d/f"),
        member("d/.wh.x", b"no whiteout"),
    )
    with context(tmp_path, *members) as made:
        yield made


def _maker(tree: Context, tmp_path: Path, **more: dict[str, bytes] | dict[str, str]) -> MountMaker:
    return MountMaker(Caches(tmp_path / "caches"), lambda _: tree.tree, **more)  # type: ignore[arg-type]


def test_files_of_a_context_are_roots(tree: Context, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    materialize(tree.tree, "d", place)
    assert sorted(os.listdir(place)) == [".wh.x", "e", "f", "h"]
    found = (place / "f").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_nlink) == (0o640, 0, 2)
    assert stat.S_IMODE((place / "e").stat().st_mode) == 0o700


@pytest.mark.root
def test_files_of_an_image_keep_their_owners(tmp_path: Path) -> None:
    image, place = tmp_path / "image", tmp_path / "place"
    image.mkdir()
    place.mkdir()
    (image / "f").write_text("F")
    os.chown(image / "f", 5, 6)
    root = os.open(image, os.O_RDONLY | os.O_DIRECTORY)
    materialize(DirectoryTree(root), "/", place)
    os.close(root)
    assert ((place / "f").stat().st_uid, (place / "f").read_text()) == (5, "F")


@pytest.mark.root
async def test_all_kinds_at_once(tree: Context, tmp_path: Path) -> None:
    maker = _maker(tree, tmp_path, secrets={"t": b"s3cret"})
    place = tmp_path / "run"
    cache = CacheMount("/c", "/c", from_="x", source="d")
    mounts: list[Mount] = [
        BindMount("/b", "d"),
        BindMount("/file", "l", writable=True),
        cache,
        TmpfsMount("/t", 4096),
        SecretMount("t", "/run/secrets/t", "TOKEN", mode=0o440, uid=7),
        SecretMount("absent", "/run/secrets/absent"),
    ]
    async with maker.mounted(mounts, place, tmp_path / "memory") as made:
        assert [one.target for one in made.mounts] == ["/b", "/file", "/c", "/t", "/run/secrets/t"]
        bind, file, cached, tmpfs, secret = made.mounts
        assert (Path(bind.source) / "f").read_bytes() == b"F"
        assert (bind.read_only, file.read_only, cached.read_only) == (True, False, False)
        assert Path(file.source).read_bytes() == b"F"
        assert "f" in os.listdir(cached.source)
        assert (tmpfs.source, tmpfs.size) == ("", 4096)
        assert Path(secret.source).read_bytes() == b"s3cret"
        found = Path(secret.source).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o440, 7)
        assert made.env == ["TOKEN=s3cret"]
    assert not place.exists()
    assert Path(cached.source).is_dir()


@pytest.mark.parametrize(
    "mount",
    [
        BindMount("/b", "nosuch"),
        SecretMount("x", "/x", required=True),
        SshMount("x", "/x", required=True),
    ],
)
async def test_what_is_missing(
    mount: BindMount | SecretMount | SshMount, tree: Context, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match=r"not found|does not exist"):
        async with _maker(tree, tmp_path).mounted([mount], tmp_path / "run", tmp_path / "memory"):
            pass
    assert not (tmp_path / "run").exists()


@pytest.mark.root
async def test_an_agent_answers_through_a_socket_of_its_own(tree: Context, tmp_path: Path) -> None:
    reached = asyncio.Semaphore(0)

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.release()
        writer.write((await reader.read(100)).upper())
        writer.close()

    server = await asyncio.start_unix_server(agent, tmp_path / "agent")
    maker = _maker(tree, tmp_path, agents={"default": str(tmp_path / "agent")})
    mounts = [SshMount("default", "/a", uid=7), SshMount("other", "/b")]
    async with maker.mounted(mounts, tmp_path / "run", tmp_path / "memory") as made:
        (mount,) = made.mounts
        assert made.env == ["SSH_AUTH_SOCK=/a"]
        assert os.stat(mount.source).st_uid == 7
        reader, writer = await asyncio.open_unix_connection(mount.source)
        writer.write(b"keys")
        assert await asyncio.wait_for(reader.read(100), 10) == b"KEYS"
        writer.close()
        await reached.acquire()
        idle, held = await asyncio.open_unix_connection(mount.source)
        await asyncio.wait_for(reached.acquire(), 10)
    assert await asyncio.wait_for(idle.read(1), 10) == b""
    held.close()
    server.close()


def test_agents_of_a_header() -> None:
    assert agents_of("") == {}
    assert agents_of('{"default": "/run/a"}') == {"default": "/run/a"}
    for wrong in ("[]", "{", '{"a": "relative"}'):
        with pytest.raises(InvalidParameter):
            agents_of(wrong)

"""The options of RUN --mount, and the directories of its caches."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.build.caches import Caches
from lading.build.errors import DockerfileError
from lading.build.flags import Flags
from lading.build.runmounts import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    Sharing,
    SshMount,
    TmpfsMount,
    parse_mounts,
)


def _read(*texts: str, workdir: str = "/w") -> tuple[Mount, ...]:
    flags, _ = Flags.split("RUN", "".join(f"--mount={text} " for text in texts) + "true", 3)
    return parse_mounts(flags.pairs("mount"), workdir, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", BindMount("/x")),
        ("type=bind,dst=/x,src=a,from=b,rw", BindMount("/x", "a", "b", writable=True)),
        ("type=bind,target=rel,readwrite=false", BindMount("/w/rel")),
        ("type=cache,target=/c", CacheMount("/c", "/c")),
        (
            "type=cache,destination=/c,id=i,sharing=locked,mode=0700,uid=1,gid=2,ro,from=b,source=/s",
            CacheMount("/c", "i", Sharing.LOCKED, "/s", "b", 0o700, 1, 2, writable=False),
        ),
        ("type=tmpfs,target=/t,size=64m", TmpfsMount("/t", 64 << 20)),
        ("type=tmpfs,target=/t,size=2GiB", TmpfsMount("/t", 2 << 30)),
        ("type=tmpfs,target=/t", TmpfsMount("/t")),
        ("type=secret,id=a/tok", SecretMount("a/tok", "/run/secrets/tok")),
        ("type=secret,id=t,env=T", SecretMount("t", "", "T")),
        (
            "type=secret,target=/root/.x,required,mode=0440,uid=9",
            SecretMount(".x", "/root/.x", "", True, 0o440, 9),
        ),
        ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.0")),
        ("type=ssh,id=k,target=/s,required=true", SshMount("k", "/s", required=True)),
    ],
)
def test_what_options_mean(text: str, expected: Mount) -> None:
    assert _read(text) == (expected,)


def test_each_agent_has_a_socket_of_its_own() -> None:
    targets = [mount.target for mount in _read("type=ssh", "target=/x", "type=ssh,id=b")]
    assert targets == ["/run/buildkit/ssh_agent.0", "/x", "/run/buildkit/ssh_agent.1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("type=bind", "needs a target"),
        ("type=nfs,target=/x", "unsupported mount type"),
        ("type=tmpfs,target=/x,id=1", "unexpected key 'id' for type tmpfs"),
        ("type=cache,target=/x,sharing=mine", "unsupported sharing value"),
        ("type=cache,target=/x,mode=999", "no octal number"),
        ("type=cache,target=/x,uid=root", "no number"),
        ("type=tmpfs,target=/x,size=much", "invalid value for size"),
        ("type=secret", "needs an id"),
        ("type=bind,target=/", "cannot cover the root"),
        ("type=bind,target=/x,rw=maybe", "it is true or false"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(DockerfileError, match=told) as caught:
        _read(text)
    assert caught.value.line == 3


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_any_option_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        (mount,) = parse_mounts([pairs], "/", 1)
    except DockerfileError:
        return
    assert mount.target.startswith("/")


@pytest.mark.root
async def test_a_cache_stays_and_begins_with_its_seed(tmp_path: Path) -> None:
    caches = Caches(tmp_path / "mounts")
    mount = CacheMount("/c", "i", from_="b", mode=0o1770, uid=3, gid=4)
    seeded: list[str] = []

    def seed(one: CacheMount, place: Path) -> None:
        seeded.append(one.from_)
        (place / "first").touch()

    for _ in range(2):
        async with caches.held([mount], seed) as held:
            names = sorted(os.listdir(held[mount]))
            (held[mount] / "second").touch()
    assert names == ["first", "second"]
    assert seeded == ["b"]
    found = held[mount].stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o1770, 3, 4)


async def test_a_seed_that_fails_leaves_no_cache(tmp_path: Path) -> None:
    caches = Caches(tmp_path)

    def seed(_: CacheMount, place: Path) -> None:
        (place / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        async with caches.held([CacheMount("/c", "i", from_="b")], seed):
            pass
    async with caches.held([CacheMount("/c", "i")]) as held:
        (place,) = held.values()
        assert os.listdir(place) == []


async def test_sharing(tmp_path: Path) -> None:
    caches = Caches(tmp_path)
    for sharing, same in ((Sharing.SHARED, True), (Sharing.PRIVATE, False)):
        mount = CacheMount("/c", sharing.value, sharing)
        async with caches.held([mount]) as one, caches.held([mount]) as other:
            assert (one[mount] == other[mount]) is same
        async with caches.held([mount]) as again:
            assert again[mount] == one[mount]


async def test_a_locked_cache_is_one_runs_at_a_time(tmp_path: Path) -> None:
    caches = Caches(tmp_path)
    mounts = [CacheMount("/a", "a", Sharing.LOCKED), CacheMount("/b", "b", Sharing.LOCKED)]
    inside: list[int] = []

    async def run(order: list[CacheMount]) -> None:
        async with caches.held(order):
            inside.append(1)
            await asyncio.sleep(0)
            assert sum(inside) == 1
            inside.append(-1)

    await asyncio.wait_for(asyncio.gather(*(run(mounts[:: 1 - 2 * (n % 2)]) for n in range(6))), 20)


async def test_a_crash_leaves_nothing_that_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-half/x").mkdir(parents=True)
    caches = Caches(tmp_path)
    caches.sweep()
    assert os.listdir(tmp_path) == []

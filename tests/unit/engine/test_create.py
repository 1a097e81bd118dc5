"""Creating containers on real stores; what fails leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lading.engine import imagemounts
from lading.engine.accounts import AccountBook
from lading.engine.create import Created
from lading.engine.model import (
    Container,
    ContainerConfig,
    EndpointIPAMConfig,
    EndpointSettings,
    HostConfig,
    ImageOptions,
    LogConfig,
    Mount,
    MountRecord,
    NetworkingConfig,
)
from lading.engine.sysinfo import sysinfo
from lading.engine.users import Identity
from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.image.model import Config

from .stores import Stores

pytestmark = pytest.mark.root


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path)


async def create(
    stores: Stores,
    name: str | None = None,
    networking: NetworkingConfig | None = None,
    *,
    config: dict[str, Any] | None = None,
    platform: str = "",
    **host: Any,
) -> Created:
    wanted = ContainerConfig(**{"image": "box", **(config or {})})
    return await stores.creation.create(
        name, wanted, HostConfig(**host), networking, platform=platform
    )


async def created(stores: Stores, *args: Any, **options: Any) -> Container:
    made = await create(stores, *args, **options)
    return stores.registry.find(made.id).record


async def test_a_container_as_inspect_shows_it(stores: Stores) -> None:
    image = stores.image(config=Config(cmd=["serve", "-v"], env=["A=1"], labels={"l": "m"}))
    record = await created(stores, "web", memory=64 << 20)
    host, config = record.host_config, record.config
    assert (record.name, record.image_id, record.path, record.args) == (
        "web", image.id, "serve", ["-v"],
    )  # fmt: skip
    assert config.hostname == record.id[:12]
    assert config.labels == {"l": "m"}
    assert host.network_mode == "bridge"
    assert host.restart_policy.name == "no"
    assert (host.ipc_mode, host.shm_size, host.log_config.type) == (
        "private", 64 << 20, "json-file",
    )  # fmt: skip
    assert host.cgroupns_mode == ("private" if sysinfo().cgroup_version == 2 else "host")
    assert "/proc/kcore" in (host.masked_paths or ())
    if sysinfo().swap_limit:
        assert host.memory_swap == 128 << 20
    assert set(record.network_settings.networks) == {"bridge"}
    assert next(iter(stores.store.load())) == record
    assert stores.layers.rw(record.id).chain == image.diff_ids


async def test_privileged_ones_have_no_hidden_paths(stores: Stores) -> None:
    stores.image()
    record = await created(stores, privileged=True)
    assert record.host_config.masked_paths is None


async def test_names_made_up_and_names_taken(stores: Stores) -> None:
    stores.image()
    first = await created(stores, "web")
    assert "_" in (await created(stores)).name
    with pytest.raises(Conflict, match=f'already in use by container "{first.id}"'):
        await create(stores, "/web")


@pytest.mark.parametrize(
    ("config", "host", "error", "words"),
    [
        ({"image": "nosuch:1"}, {}, NotFound, "^No such image: nosuch:1$"),
        ({"image": "nosuch"}, {}, NotFound, "^No such image: nosuch:latest$"),
        ({"image": "", "cmd": []}, {}, InvalidParameter, "^no command specified$"),
        ({}, {"binds": ["a/b:/x"]}, InvalidParameter, "^create a/b: "),
        ({}, {"pid_mode": "container:x"}, InvalidParameter, "^No such container: x$"),
        ({}, {"links": ["x:y"]}, InvalidParameter, "could not get container for x"),
        ({}, {"volumes_from": ["x"]}, InvalidParameter, "^No such container: x$"),
        ({}, {"storage_opt": {"size": "1G"}}, LadingError, "pquota"),
        (
            {},
            {"log_config": LogConfig(type="json-file", config={"foo": "1"})},
            InvalidParameter,
            "unknown log opt 'foo' for json-file log driver",
        ),
        ({}, {"log_config": LogConfig(type="foo")}, InvalidParameter, "logging plugin foo"),
        (
            {"volumes": {"/v": {}}},
            {"volume_driver": "nosuch"},
            NotFound,
            'error looking up volume plugin nosuch: plugin "nosuch" not found',
        ),
        (
            {"volumes": {"/v": {}}},
            {
                "mounts": [
                    Mount(type="image", source="box", target="/x"),
                    Mount(type="image", source="nosuch", target="/y"),
                ]
            },
            NotFound,
            "No such image: nosuch:latest",
        ),
        ({"mac_address": "foo"}, {}, InvalidParameter, "invalid MAC address foo"),
    ],
)
async def test_what_fails_leaves_nothing(
    stores: Stores, config: dict[str, Any], host: dict[str, Any], error: type[Exception], words: str
) -> None:
    stores.image()
    with pytest.raises(error, match=words):
        await create(stores, "web", config=config, **host)
    assert stores.leftovers() == []
    assert len(stores.registry) == 0
    await create(stores, "web")


async def test_a_full_disk_undoes_all(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.image(files={"data": None, "data/x": b"x"})

    def full(record: Container) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.store, "add", full)
    with pytest.raises(OSError, match="No space left"):
        await create(stores, "web", config={"volumes": {"/data": {}}}, binds=["named:/n"])
    assert stores.leftovers() == []
    assert dict(stores.registry.names) == {}


def content(mount: MountRecord, name: str, fresh: str = "") -> str:
    """Read a file of a volume, after writing `fresh` into it if that is given."""
    path = Path(mount.point.source, name)
    if fresh:
        path.write_text(fresh)
    return path.read_text()


async def test_volumes_are_made_and_filled_from_the_image(stores: Stores) -> None:
    stores.image(
        config=Config(cmd=["sh"], volumes={"/data": {}}),
        files={"data": None, "data/x": b"content", "named": None, "named/y": b"other"},
    )
    record = await created(stores, binds=["keep:/named", "none:/data2:nocopy"])
    found = {mount.point.destination: mount for mount in record.mounts}
    anonymous = found["/data"]
    assert anonymous.detail.anonymous
    assert len(anonymous.point.name) == 64
    assert content(anonymous, "x") == "content"
    assert content(found["/named"], "y") == "other"
    assert os.listdir(found["/data2"].point.source) == []
    assert (found["/named"].point.driver, found["/named"].point.mode) == ("local", "z")
    content(found["/named"], "y", "mine")
    await created(stores, binds=["keep:/named"])
    assert content(found["/named"], "y") == "mine"


def image_mount(source: str, target: str, subpath: str = "") -> Mount:
    options = ImageOptions(subpath=subpath) if subpath else None
    return Mount(type="image", source=source, target=target, image_options=options)


async def test_images_are_mounted(stores: Stores) -> None:
    stores.image()
    data = stores.image("data", files={"d": None, "d/f": b"x"})
    made = await create(stores, "web", mounts=[image_mount("data", "/x", "d")])
    assert made.warnings == ["Image mount is an experimental feature"]
    record = stores.registry.find(made.id).record
    (mounted,) = record.mounts
    assert (mounted.point.name, mounted.point.rw, mounted.detail.subpath) == ("data", False, "d")
    assert imagemounts.uses(record, data.id)
    rw = stores.layers.rw(imagemounts.layer_of(mounted))
    assert rw.chain == data.diff_ids
    (options,) = imagemounts.image_options(stores.layers, record).values()
    assert options[1:] == ["ro", f"x-lading.chdir={stores.layers.root}", "x-lading.subpath=d"]
    heir = await created(stores, "heir", volumes_from=["web"])
    imagemounts.remove_layers(stores.layers, record)
    assert stores.layers.rw(*imagemounts.layers_of(heir)).chain == data.diff_ids


@pytest.mark.parametrize(
    ("subpath", "error", "words"),
    [
        ("nope", NotFound, "cannot access path .*/merged/nope: lstat .*: no such file"),
        ("d/f/x", LadingError, "error while resolving symlinks in combined path .*not a directory"),
        ("up", InvalidParameter, "path concatenation escapes the base directory, base: .*: up"),
    ],
)
async def test_subpaths_of_images_are_looked_up_at_the_start(
    stores: Stores, subpath: str, error: type[Exception], words: str
) -> None:
    stores.image("box", files={"d": None, "d/f": b"x", "up": "/etc"})
    record = await created(stores, mounts=[image_mount("box", "/x", subpath)])
    with pytest.raises(error, match=words):
        imagemounts.image_options(stores.layers, record)


async def test_platforms(stores: Stores) -> None:
    image = stores.image()
    await create(stores, platform=f"linux/{image.architecture}")
    with pytest.raises(NotFound, match="does not match the specified platform"):
        await create(stores, platform="linux/s390x")


async def test_networks_as_wished(stores: Stores) -> None:
    stores.image()
    wishes = EndpointSettings(
        ipam_config=EndpointIPAMConfig(ipv4_address="172.30.0.9"),
        aliases=["a"],
        mac_address="02:42:ac:11:00:99",
    )
    record = await created(
        stores, "web", NetworkingConfig(endpoints_config={"web": wishes}), network_mode="web"
    )
    assert set(record.network_settings.networks) == {"web"}
    assert record.wished_macs == {"web": "02:42:ac:11:00:99"}


@pytest.mark.parametrize(
    ("network", "wishes", "words"),
    [
        ("web", None, "invalid config for network web: EndpointsConfig is nil"),
        ("bridge", {"aliases": ["x"]}, "network-scoped alias is supported only for containers"),
        ("web", {"mac_address": "foo"}, "invalid config for network web: invalid MAC address foo"),
        (
            "web",
            {"ipam_config": EndpointIPAMConfig(ipv4_address="xx")},
            "invalid IPv4 address: xx",
        ),
        (
            "web",
            {"ipam_config": EndpointIPAMConfig(ipv4_address="172.31.0.1")},
            "no configured subnet or ip-range contain the IP address 172.31.0.1",
        ),
        (
            "bridge",
            {"ipam_config": EndpointIPAMConfig(ipv4_address="172.17.0.9")},
            "user specified IP address is supported on user defined networks only",
        ),
    ],
)
async def test_wishes_refused(
    stores: Stores, network: str, wishes: dict[str, Any] | None, words: str
) -> None:
    stores.image()
    settings = EndpointSettings(**wishes) if wishes is not None else None
    with pytest.raises(InvalidParameter, match=words):
        await create(
            stores,
            None,
            NetworkingConfig(endpoints_config={network: settings}),
            network_mode=network,
        )


async def test_joining_takes_the_donors_id_and_host_name(stores: Stores) -> None:
    stores.image()
    donor = await created(stores, "donor", config={"hostname": "theirs"})
    joined = await created(stores, network_mode="container:donor", pid_mode="container:donor")
    assert joined.host_config.network_mode == f"container:{donor.id}"
    assert joined.host_config.pid_mode == f"container:{donor.id}"
    assert joined.config.hostname == "theirs"
    assert joined.network_settings.networks == {}


async def test_accounts_come_from_the_containers_own_files(stores: Stores) -> None:
    stores.image()
    record = await created(stores)
    book = AccountBook(stores.layers)
    assert book.of_stopped(record.id).resolve("mary") == Identity(1000, 1000, (), "/home/mary")
    own = stores.layers.rw(record.id).upper / "etc"
    own.mkdir()
    (own / "passwd").write_text("mary:x:7:7::/new:/bin/sh\n")
    assert book.of_stopped(record.id).resolve("mary") == Identity(7, 7, (), "/new")


async def test_links_to_account_files_stay_inside(stores: Stores, tmp_path: Path) -> None:
    outside = tmp_path / "passwd"
    outside.write_text("evil:x:0:0::/:/bin/sh\n")
    stores.image(
        files={"etc/passwd": f"../../..{outside}", "etc/group": "real/group",
               "etc/real": None, "etc/real/group": b"team:x:5:root\n"},
    )  # fmt: skip
    record = await created(stores)
    accounts = AccountBook(stores.layers).of_stopped(record.id)
    with pytest.raises(InvalidParameter, match="unable to find user evil"):
        accounts.resolve("evil")
    assert accounts.resolve("0:team").gid == 5

"""Real stores in a temporary directory, and images made on the spot."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lading.engine.create import Creation
from lading.engine.events import EventBus
from lading.engine.registry import Registry
from lading.engine.settings import Settings
from lading.engine.store import ContainerStore
from lading.engine.volumes import Volumes
from lading.errors import NotFound
from lading.image.archives import import_
from lading.image.model import Config
from lading.image.store import Image, ImageStore
from lading.network.model import Network, Pool
from lading.storage.blobs import BlobStore
from lading.storage.layers import LayerStore
from lading.storage.volumes import VolumeStore

PASSWD = b"root:x:0:0::/root:/bin/sh\nmary:x:1000:1000::/home/mary:/bin/sh\n"


class FakeNetworks:
    """The default network, and one of a user with a subnet."""

    def get(self, ref: str) -> Network:
        pools = {"bridge": "172.17.0.0/16", "web": "172.30.0.0/24"}
        if ref not in pools:
            raise NotFound(f"network {ref} not found")
        return Network(
            id=ref, name=ref, driver="bridge", created="", pools=(Pool(subnet=pools[ref]),)
        )


class Stores:
    """What creating containers needs, on a real disk."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root=root / "root", run=root / "run")
        self.events = EventBus()
        self.registry = Registry()
        blobs = BlobStore(self.settings.root / "image" / "blobs")
        self.layers = LayerStore(self.settings.root / "overlay2")
        self.images = ImageStore(self.settings.root / "image", blobs, self.layers)
        self.volume_store = VolumeStore(self.settings.root / "volumes")
        self.store = ContainerStore(self.settings.containers)
        for store in (blobs, self.layers, self.images, self.volume_store, self.store):
            store.open()
        self.volumes = Volumes(self.volume_store, self.events, lambda _: [])
        networks: Any = FakeNetworks()
        self.creation = Creation(
            settings=self.settings,
            registry=self.registry,
            store=self.store,
            layers=self.layers,
            images=self.images,
            volumes=self.volumes,
            networks=networks,
            events=self.events,
        )

    def image(
        self,
        name: str = "box",
        config: Config | None = None,
        files: Mapping[str, bytes | str | None] | None = None,
        change: Callable[[tarfile.TarFile], None] | None = None,
    ) -> Image:
        """Make an image: bytes are files, a string is a link's target, None a directory."""
        content = {"etc": None, "etc/passwd": PASSWD, "etc/group": b"", **(files or {})}
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for path, what in content.items():
                info = tarfile.TarInfo(path)
                info.mode = 0o755
                if what is None:
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                elif isinstance(what, str):
                    info.type, info.linkname = tarfile.SYMTYPE, what
                    tar.addfile(info)
                else:
                    info.size = len(what)
                    tar.addfile(info, io.BytesIO(what))
            if change is not None:
                change(tar)
        raw.seek(0)
        return import_(self.images, raw, repository=name, config=config or Config(cmd=["sh"]))

    def leftovers(self) -> list[str]:
        """Name what containers have on disk: layers, records, volumes."""
        return [
            *(rw.container_id for rw in self.layers.rw_layers()),
            *(path.name for path in self.store.directory.iterdir()),
            *(volume.name for volume in self.volume_store.list()),
        ]

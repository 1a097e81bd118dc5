"""Images as Docker's JSON: one line of a list, and everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lading.api.versions import Version
from lading.engine import times

if TYPE_CHECKING:
    from lading.engine.engine import Engine
    from lading.engine.images import Listed
    from lading.image.model import Config
    from lading.image.store import HistoryItem, Image

NO_NAME_UNTIL = Version(1, 43)
VIRTUAL_SIZE_UNTIL = Version(1, 44)
CONTAINER_CONFIG_UNTIL = Version(1, 45)
RUNTIME_FIELDS_UNTIL = Version(1, 50)
USERS_COUNTED_SINCE = Version(1, 51)

NOT_COUNTED = -1

_RUNTIME_FIELDS = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}
"""What an image's config had for older clients; it says nothing about an image."""

_NULL_WHEN_EMPTY = ("Cmd", "Entrypoint")
_OMITTED_WHEN_EMPTY = (
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "StopSignal",
    "StopTimeout",
    "Shell",
)


def summary(
    engine: Engine, listed: Listed, *, with_shared: bool, version: Version
) -> dict[str, Any]:
    """Return an image as `GET /images/json` lists it (API definition ImageSummary)."""
    image = listed.image
    counted = version >= USERS_COUNTED_SINCE
    tags, digests = list(listed.tags), list(listed.digests)
    if version < NO_NAME_UNTIL and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    shown: dict[str, Any] = {
        "Containers": len(engine.images.users(image.id)) if counted else NOT_COUNTED,
        "Created": times.parsed(image.created) // 1_000_000_000 if image.created else 0,
        "Id": image.id,
        "Labels": image.config.labels,
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": engine.images.store.shared_size(image) if with_shared else NOT_COUNTED,
        "Size": image.size,
    }
    if version < VIRTUAL_SIZE_UNTIL:
        shown["VirtualSize"] = image.size
    return shown


def details(engine: Engine, image: Image, version: Version) -> dict[str, Any]:
    """Return all of an image (API definition ImageInspect)."""
    shown: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created,
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Architecture": image.architecture,
    }
    if image.variant:
        shown["Variant"] = image.variant
    shown |= {
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": _graph_data(engine, image), "Name": "overlay2"},
        "RootFS": {"Type": "layers"} | ({"Layers": list(image.diff_ids)} if image.diff_ids else {}),
        "Metadata": {"LastTagTime": image.last_tagged or "0001-01-01T00:00:00Z"},
        "Config": _config(image.config, version),
    }
    if version < VIRTUAL_SIZE_UNTIL:
        shown["VirtualSize"] = image.size
    if version < CONTAINER_CONFIG_UNTIL:
        empty = type(image.config)()
        shown["ContainerConfig"] = _config(empty, version)
    return shown


def _config(config: Config, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(config)
    for name in _RUNTIME_FIELDS:
        shown.pop(name, None)
    for name in _NULL_WHEN_EMPTY:
        shown[name] = shown.get(name) or None
    for name in _OMITTED_WHEN_EMPTY:
        if not shown.get(name):
            shown.pop(name, None)
    return shown if version >= RUNTIME_FIELDS_UNTIL else _RUNTIME_FIELDS | shown


def _graph_data(engine: Engine, image: Image) -> dict[str, str]:
    """Tell where the image's topmost layer is, and those below it."""
    if not image.diff_ids:
        return {}
    layers = engine.images.store.layers
    *below, top = (layers.get(diff_id).directory for diff_id in image.diff_ids)
    data = {
        "MergedDir": str(top / "merged"),
        "UpperDir": str(top / "diff"),
        "WorkDir": str(top / "work"),
    }
    if below:
        data["LowerDir"] = ":".join(str(layer / "diff") for layer in reversed(below))
    return data


def history(item: HistoryItem) -> dict[str, Any]:
    """Return one step of an image's history (API operation ImageHistory)."""
    return {
        "Comment": item.comment,
        "Created": item.created,
        "CreatedBy": item.created_by,
        "Id": item.id,
        "Size": item.size,
        "Tags": list(item.tags) or None,
    }

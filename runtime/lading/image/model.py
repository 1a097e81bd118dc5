"""Image configs and manifests, as Docker and the OCI image-spec 1.1 write them.

The bytes of a config are its identity: what came from elsewhere is kept and served as it came,
and only images made here are encoded from these types.
"""

from __future__ import annotations

import hashlib
import platform
from typing import Any

import msgspec

from lading.errors import InvalidParameter
from lading.storage.digests import Digest, is_digest

Empty = dict[str, str]
"""Go's `struct{}`: the value in ExposedPorts and Volumes, always `{}`."""

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

CONFIG_MAX = 8 << 20
"""The most bytes that a config or manifest may have; registries cut off at 4 MiB."""

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


def architecture() -> str:
    """Return this machine's architecture by Go's name for it, as images tell theirs."""
    machine = platform.machine()
    return MACHINES.get(machine, machine)


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True):
    """How to probe a container; durations in nanoseconds, 0 to inherit."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Config(msgspec.Struct, rename="pascal", kw_only=True):
    """The part of an image config that a container starts from (`config` in OCI's config.md)."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Empty] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Empty] | None = None
    working_dir: str = ""
    entrypoint: list[str] | None = None
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


_OMITTED_WHEN_EMPTY = (
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "StopSignal",
    "StopTimeout",
    "Shell",
)
"""What Docker leaves out of a config when it is empty; the rest is always written."""


class RootFs(msgspec.Struct):
    """The layers, base first, by diff ID."""

    type: str = "layers"
    diff_ids: list[str] = []


class History(msgspec.Struct, omit_defaults=True):
    """One instruction that made the image; `empty_layer` when it has no layer of its own."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageFile(msgspec.Struct, kw_only=True):
    """A whole image config (OCI image-spec config.md; Docker's image-spec v1.2)."""

    architecture: str = ""
    author: str = ""
    comment: str = ""
    config: Config | None = None
    container: str = ""
    container_config: Config | None = None
    created: str | None = None
    docker_version: str = ""
    history: list[History] | None = None
    os: str = ""
    rootfs: RootFs = msgspec.field(default_factory=RootFs)
    variant: str = ""

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers, base first."""
        return tuple(self.rootfs.diff_ids)


class Platform(msgspec.Struct, omit_defaults=True):
    """What a manifest of an index is for."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    variant: str = ""


class Descriptor(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A reference to content (OCI image-spec descriptor.md); `size` in bytes."""

    media_type: str = ""
    digest: str
    size: int = 0
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, rename="camel", kw_only=True):
    """An image's config and layers (Docker schema 2 and OCI manifest.md)."""

    schema_version: int = 2
    media_type: str = ""
    config: Descriptor
    layers: list[Descriptor]


class Index(msgspec.Struct, rename="camel", kw_only=True):
    """Manifests by platform (Docker manifest list and OCI image-index.md)."""

    schema_version: int = 2
    media_type: str = ""
    manifests: list[Descriptor]


class SavedImage(msgspec.Struct, rename="pascal", kw_only=True):
    """One image in the `manifest.json` of `docker save`; paths are names in the archive."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None
    parent: str = ""
    layer_sources: dict[str, Descriptor] | None = None


def decode_image(data: bytes) -> ImageFile:
    """Read an image config; InvalidParameter for what is none or has a malformed diff ID."""
    try:
        image = msgspec.json.decode(data, type=ImageFile)
    except msgspec.ValidationError:
        image = _decode_leniently(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidParameter(f"invalid image config: {error}") from None
    for diff_id in image.rootfs.diff_ids:
        if not is_digest(diff_id):
            raise InvalidParameter(f"invalid image config: {diff_id!r} is no diff ID")
    return image


def _decode_leniently(data: bytes) -> ImageFile:
    """Read a config that has `null` or a string where others have a value or a list.

    Docker's decoder leaves a field alone for `null` and takes a string for a list of one in Cmd
    and Entrypoint, and images rely on it.
    """
    try:
        raw = _without_nulls(msgspec.json.decode(data))
        for part in ("config", "container_config"):
            for name in ("Cmd", "Entrypoint", "OnBuild", "Shell"):
                value = raw.get(part, {}).get(name)
                if isinstance(value, str):
                    raw[part][name] = [value]
        return msgspec.convert(raw, ImageFile)
    except (msgspec.DecodeError, AttributeError, RecursionError) as error:
        raise InvalidParameter(f"invalid image config: {error}") from None


def _without_nulls(value: Any, *, sets: bool = False) -> Any:
    """Drop members that are null; in a set (a map of empty objects) null is an empty object."""
    if isinstance(value, dict):
        cleaned = {
            key: _without_nulls(inner, sets=key in {"Volumes", "ExposedPorts"})
            for key, inner in value.items()
        }
        if sets:
            return {key: {} if inner is None else inner for key, inner in cleaned.items()}
        return {key: inner for key, inner in cleaned.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def encode_image(image: ImageFile) -> bytes:
    """Write an image config as Docker does: members in alphabetical order, empty ones left out."""
    raw: dict[str, Any] = msgspec.to_builtins(image)
    members = {key: raw[key] for key in sorted(raw) if raw[key] or key in {"os", "rootfs"}}
    for name in ("config", "container_config"):
        if name in members:
            members[name] = {
                key: value
                for key, value in members[name].items()
                if value or key not in _OMITTED_WHEN_EMPTY
            }
    return msgspec.json.encode(members)


def decode(data: bytes, kind: type[Any], what: str) -> Any:
    """Read a manifest, index or the like; InvalidParameter, naming `what`, when it is malformed."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidParameter(f"invalid {what}: {error}") from None


def chain_ids(diff_ids: tuple[str, ...]) -> list[Digest]:
    """Return the chain ID of each layer, base first (OCI config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        if not chain:
            chain.append(diff_id)
        else:
            pair = f"{chain[-1]} {diff_id}".encode()
            chain.append("sha256:" + hashlib.sha256(pair).hexdigest())
    return chain

"""Image configs and manifests, as Docker and the OCI image-spec 1.1 write them.

The bytes of a config are its identity: what came from elsewhere is kept and served as it came,
and only images made here are encoded from these types.
"""

from __future__ import annotations

import msgspec

Empty = dict[str, str]
"""Go's `struct{}`: the value in ExposedPorts and Volumes, always `{}`."""


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

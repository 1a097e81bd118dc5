"""What an engine is told when it starts: where its files are, and the defaults of containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The daemon's options that the engine needs.

    `root` keeps what survives a reboot, `run` what does not. `shutdown_timeout` and
    `stop_timeout` are seconds, `shm_size` bytes. `bridge` names the default network's bridge
    (`none` for no such network, empty for ours), `bip` its address and prefix; `address_pools`
    are pairs of a CIDR and the prefix length of the subnets taken from it; `publish_ip` is where
    ports are published by default. `hosts` are the addresses that the API is served on.
    """

    root: Path = Path("/var/lib/lading")
    run: Path = Path("/run/lading")
    live_restore: bool = False
    default_runtime: str = "lading"
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    cgroup_parent: str = "lading"
    shm_size: int = 64 * 1024 * 1024
    stop_timeout: int = 10
    shutdown_timeout: int = 15
    init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    ipc_mode: str = "private"
    cgroupns_mode: str = ""
    ulimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    bridge: str = ""
    bip: str = ""
    mtu: int = 0
    address_pools: tuple[tuple[str, int], ...] = ()
    publish_ip: str = ""
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    debug: bool = False

    @property
    def containers(self) -> Path:
        """Where the records of containers are: `<root>/containers/<id>/container.json`."""
        return self.root / "containers"

    @property
    def bundles(self) -> Path:
        """Where the OCI bundles of containers are: `<run>/containers/<id>/`."""
        return self.run / "containers"

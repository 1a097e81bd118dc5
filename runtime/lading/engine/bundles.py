"""OCI bundles: RUN/containers/<id>, made for each start and gone after the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lading.engine import apparmor, modes
from lading.engine.accounts import AccountBook
from lading.engine.imagemounts import image_options
from lading.engine.links import active_links
from lading.engine.logoptions import shim_log_config
from lading.engine.model import Container
from lading.engine.mounting import Mounting
from lading.engine.settings import Settings
from lading.engine.specs import SpecInputs, build
from lading.engine.specs.mounts import MountPlan
from lading.engine.specs.security import parse_security_options
from lading.engine.store import ContainerStore, remove_directory
from lading.engine.users import Identity
from lading.errors import InvalidParameter, LadingError
from lading.files import write_atomically
from lading.kernel.errors import KernelError
from lading.kernel.mounts import MountFlag, UmountFlag, mount, umount
from lading.oci import spec as oci
from lading.shim.files import STEPS_NAME
from lading.shim.protocol import SpawnRequest
from lading.storage.layers import LayerStore

INITS = ("/usr/bin/tini-static", "/usr/bin/tini", "/usr/libexec/docker/docker-init")
"""Where an init for `--init` may be when the daemon was not told."""

_SHM_FLAGS = MountFlag.NOSUID | MountFlag.NOEXEC | MountFlag.NODEV


@dataclass(slots=True)
class Bundles:
    """Makes and removes bundles; `find` looks up another container."""

    settings: Settings
    store: ContainerStore
    layers: LayerStore
    mounting: Mounting
    accounts: AccountBook
    find: Callable[[str], Container]

    def path(self, container_id: str) -> Path:
        """Give a container's bundle directory."""
        return self.settings.bundles / container_id

    def make(self, record: Container) -> SpawnRequest:
        """Write a container's bundle, with all that it refers to, and the shim's request.

        Raises LadingError for what the configuration asks and the host does not have.
        """
        host, config = record.host_config, record.config
        identity = self._identity(record)
        bundle = self.path(record.id)
        (bundle / "rootfs").mkdir(mode=0o711, parents=True, exist_ok=True)
        log_path = self.store.home(record.id) / f"{record.id}-json.log"
        record.log_path = "" if host.log_config.type == "none" else str(log_path)
        record.app_armor_profile = apparmor.profile_of(host)
        overlay = self.layers.mount_options(self.layers.rw(record.id))
        plan = MountPlan(
            overlay=overlay,
            sources=self.mounting.sources(record),
            images=image_options(self.layers, record),
            shm=self._shared_memory(record),
            init_path=self._init_path(record),
            writable_cgroups=parse_security_options(host.security_opt).writable_cgroups,
        )
        links = active_links(record, self.find)
        inputs = SpecInputs(
            identity=identity,
            mounts=plan,
            pid_of=lambda ref: self._pid_of(record, ref),
            variables=[variable for link in links for variable in link.environment()],
        )
        spec = build(record, self.settings, inputs)
        (bundle / "config.json").write_bytes(oci.encode(spec))
        return SpawnRequest(
            container_id=record.id,
            bundle=str(bundle),
            open_stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            log=shim_log_config(record, log_path),
        )

    def _identity(self, record: Container) -> Identity:
        """Look up who the first process runs as; an unknown user has status 500 here, in Docker."""
        accounts = self.accounts.of_stopped(record.id)
        try:
            return accounts.resolve(record.config.user, record.host_config.group_add or ())
        except InvalidParameter as error:
            raise LadingError(error.message) from error

    def remove(self, record: Container) -> None:
        """Remove a container's bundle, with what is mounted in it; keep the story of its start."""
        bundle = self.path(record.id)
        if not record.host_config.auto_remove:
            # Without the story (unwritten, or the disk is full) the rest goes all the same.
            with contextlib.suppress(OSError):
                steps = (bundle / STEPS_NAME).read_bytes()
                kept = self.store.home(record.id) / STEPS_NAME
                write_atomically(kept, steps, durable=False)
        if record.host_config.ipc_mode == modes.SHAREABLE:
            with contextlib.suppress(KernelError):
                umount(bundle / "shm", UmountFlag.DETACH)
        remove_directory(bundle)

    def _init_path(self, record: Container) -> str:
        """Find the init to bind in; empty if the container is to have none."""
        wanted = record.host_config.init
        if not (self.settings.init if wanted is None else wanted):
            return ""
        if modes.container_of(record.host_config.pid_mode) is not None:
            return ""
        candidates = (self.settings.init_path,) if self.settings.init_path else INITS
        for path in candidates:
            if os.access(path, os.X_OK):
                return os.path.realpath(path)
        raise LadingError(
            "no init for --init was found: install tini, or name one with ladingd --init-path"
        )

    def _shared_memory(self, record: Container) -> str:
        """Give the directory of a /dev/shm that containers share, mounting the donor's."""
        host = record.host_config
        donor = modes.container_of(host.ipc_mode)
        if donor is not None:
            return str(self.path(self._ipc_donor(donor).id) / "shm")
        if host.ipc_mode == modes.HOST:
            return "/dev/shm"
        if host.ipc_mode != modes.SHAREABLE:
            return ""
        directory = self.path(record.id) / "shm"
        directory.mkdir(mode=0o700, exist_ok=True)
        mount("shm", directory, "tmpfs", _SHM_FLAGS, f"mode=1777,size={host.shm_size}")
        return str(directory)

    def _ipc_donor(self, ref: str) -> Container:
        donor = self.find(ref)
        if not donor.running:
            raise InvalidParameter(
                f"failed to join IPC namespace: container {donor.id} is not running"
            )
        if donor.host_config.ipc_mode != modes.SHAREABLE:
            raise InvalidParameter(
                f"failed to join IPC namespace: container {donor.id}: non-shareable IPC (hint: use "
                "IpcMode:shareable for the donor container)"
            )
        return donor

    def _pid_of(self, record: Container, ref: str) -> int:
        """Give the first process of a container whose namespace another one joins."""
        donor = self.find(ref)
        if donor.id == record.id:
            raise InvalidParameter(f"container {donor.id} cannot join its own namespaces")
        if not donor.state.pid:
            raise InvalidParameter(
                f"cannot join a namespace of container {donor.id}: it is not running"
            )
        return donor.state.pid

"""Shared means of the OCI tests: a busybox root, specs, and containers run to their end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from lading.errors import LadingError
from lading.kernel import cgroups
from lading.kernel.process import wait_pidfd
from lading.oci import defaults
from lading.oci.container import Container, Created, Stdio, create
from lading.oci.spec import Spec

BUSYBOX = Path("/bin/busybox")
APPLETS = "sh cat ls id mount hostname env ps ip stat touch grep sleep kill true head stty tty wc"
CGROUP_PARENT = "/lading-test-oci"


@dataclass
class Outcome:
    """How a container ended: its status (128 + signal), and what it printed."""

    status: int
    out: str
    err: str


class Bench:
    """Makes bundles and runs containers on them; takes everything away at the end."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.bundle = base / "bundle"
        self.states = base / "states"
        self.rootfs = self.bundle / "rootfs"
        self.container_id = f"lading-test-{base.name}-{os.getpid()}"
        self.created: list[Created] = []
        self._make_root()

    def _make_root(self) -> None:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in APPLETS.split():
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        passwd = "root:x:0:0:root:/root:/bin/sh\ntest:x:1000:1000::/home/test:/bin/sh\n"
        (self.rootfs / "etc/passwd").write_text(passwd)

    @property
    def state_dir(self) -> Path:
        return self.states / self.container_id

    def spec(self, *args: str) -> Spec:
        """Give Docker's defaults, without a terminal, in a cgroup of the tests."""
        spec = defaults.spec()
        assert spec.process is not None
        assert spec.linux is not None
        spec.process.terminal = False
        spec.process.args = list(args)
        spec.linux.cgroups_path = f"{CGROUP_PARENT}/{self.container_id}"
        return spec

    def create(self, spec: Spec, **options: object) -> Created:
        """Create a container whose streams are files, which `finish` reads."""
        with open(os.devnull) as null, self._file("out") as out, self._file("err") as err:
            created = create(
                self.bundle,
                spec,
                container_id=self.container_id,
                state_dir=self.state_dir,
                stdio=Stdio(null.fileno(), out.fileno(), err.fileno()),
                **options,  # type: ignore[arg-type]
            )
        self.created.append(created)
        return created

    def _file(self, name: str):  # type: ignore[no-untyped-def]
        return open(self.base / name, "w")

    def finish(self, created: Created) -> Outcome:
        """Wait for its end, delete it, and tell."""
        ended = wait_pidfd(created.pidfd)
        assert ended is not None
        created.close()
        created.container.delete()
        self.created.remove(created)
        return Outcome(ended.status, self.read("out"), self.read("err"))

    def read(self, name: str) -> str:
        return (self.base / name).read_text(errors="replace")

    def run(self, spec: Spec, **options: object) -> Outcome:
        """Create, start, wait, delete."""
        created = self.create(spec, **options)
        created.ready()
        created.start()
        return self.finish(created)

    def sh(self, script: str, change: Callable[[Spec], None] | None = None) -> Outcome:
        """Run a shell script in a container."""
        spec = self.spec("/bin/sh", "-c", script)
        if change is not None:
            change(spec)
        return self.run(spec)

    def assert_nothing_left(self) -> None:
        """Check that a failed or deleted container left no state, cgroup or mount."""
        assert not (self.state_dir / "state.json").exists()
        assert not self.state_dir.exists() or self.state_dir == self.bundle
        for directory in cgroups.at(f"{CGROUP_PARENT}/{self.container_id}").directories().values():
            assert not os.path.exists(directory)
        assert str(self.base) not in Path("/proc/self/mountinfo").read_text()

    def close(self) -> None:
        with suppress(LadingError):
            Container.load(self.state_dir).delete(force=True)
        for created in self.created:
            container: Container = created.container
            with suppress(Exception):
                container.kill(9, everyone=True)
            with suppress(Exception):
                created.abort()
            with suppress(Exception):
                container.delete(force=True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a `Bench`; needs a static busybox (Debian's busybox-static)."""
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox, statically linked")
    made = Bench(tmp_path)
    yield made
    made.close()
    for directory in cgroups.at(CGROUP_PARENT).directories().values():
        with suppress(OSError):
            os.rmdir(directory)

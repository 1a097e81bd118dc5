"""A full disk: one sentence, status 500, and nothing half-made stays; then it works again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.kernel.cgroups import at
from lading.kernel.mounts import mount
from tests.unit.image.makers import tar

from .ladingd import BUSYBOX, PARENT, Ladingd, root_tar

SIZE = 24 << 20
LEFT = (0, 4096, 8192, 16384, 40960, 100_000, 300_000, 1 << 20)
"""Bytes that are left on the disk, in turns, until an operation has enough."""

OF_THE_CONTAINER = re.compile(
    r"containers/\w{64}/(hostname|hosts|resolv\.conf|\w{64}-json\.log|\w+\.json)$"
    r"|overlay2/\w{64}/work/work$"
)
"""What is written, and written again, of a container that is there before and after."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not BUSYBOX, reason="needs Debian's busybox-static"),
]


class SmallDisk:
    """A daemon whose root directory is on a small disk, which `fill` fills."""

    def __init__(self, place: Path) -> None:
        disk = place / "disk"
        disk.mkdir()

        def prepare() -> None:
            mount("tmpfs", disk, "tmpfs", 0, f"size={SIZE},mode=755")
            (disk / "root").mkdir()

        # The daemon's root directory is on the disk, with room for a ballast beside it.
        (place / "root").symlink_to("disk/root")
        self.daemon = Ladingd(place, prepare=prepare)
        self.daemon.start()
        self.disk = self.daemon.view / str(disk).lstrip("/")
        self._ballast = self.disk / "ballast"

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        found = os.statvfs(self.disk)
        free = found.f_bavail * found.f_bsize
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (free - left) // 4096 * 4096)

    def empty(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()

    def content(self) -> dict[str, str]:
        """What is on the disk: paths, with a hash of what files hold."""
        found: dict[str, str] = {}
        for top, directories, files in os.walk(self.disk / "root"):
            for name in directories + files:
                path = Path(top, name)
                text = str(path.relative_to(self.disk / "root"))
                if not OF_THE_CONTAINER.search(text):
                    whole = path.is_file() and not path.is_symlink()
                    found[text] = hashlib.sha256(path.read_bytes()).hexdigest() if whole else ""
        return found

    def known(self) -> list[str]:
        """What the daemon shows of itself, and how many mounts there are."""
        paths = ("/containers/json?all=1", "/images/json?all=1", "/volumes", "/networks")
        shown = [
            sorted(
                re.findall(
                    r'"(?:Id|Name|State|RepoTags)":\[?"?[^,\]]*', self.daemon.ask("GET", path)[1]
                )
            )
            for path in paths
        ]
        mounts = Path(f"/proc/{self.daemon.process.pid}/mountinfo") if self.daemon.process else None
        assert mounts is not None
        return [*map(str, shown), str(mounts.read_text().count("\n"))]

    def post(
        self, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, str]:
        """Ask for something."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        return self.daemon.ask("POST", path, data, kind)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path_factory.mktemp("lading-test-disk"))
    try:
        status, answer = made.post(
            "/images/create?fromSrc=-&repo=box", root_tar(), "application/x-tar"
        )
        assert status == 200, answer
        body = {"Image": "box", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
        assert made.post("/containers/create?name=here", body)[0] == 201
        yield made
        made.daemon.ask("DELETE", "/containers/here?force=1")
        assert "Traceback" not in (made.daemon.place / "log").read_text()
    finally:
        made.daemon.end()
        at(f"/{PARENT}").delete()


BOX = {"Image": "box", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
WITH_VOLUME = {**BOX, "HostConfig": {"NetworkMode": "none", "Binds": ["fresh:/tmp"]}}
DATA = os.urandom(200_000)
DOCKERFILE = b"FROM box\nCOPY data /data\nLABEL made=up\n"
TAR = "application/x-tar"

Operation = Callable[[SmallDisk], tuple[int, str]]
OPERATIONS: dict[str, tuple[Operation, str]] = {
    "create": (lambda d: d.post("/containers/create?name=new", BOX), "/containers/new"),
    "create with a volume": (
        lambda d: d.post("/containers/create?name=new", WITH_VOLUME),
        "/containers/new",
    ),
    "start": (lambda d: d.post("/containers/here/start"), ""),
    "import": (
        lambda d: d.post("/images/create?fromSrc=-&repo=new", tar({"data": DATA}), TAR),
        "/images/new",
    ),
    "build": (
        lambda d: d.post("/build?t=new", tar({"Dockerfile": DOCKERFILE, "data": DATA}), TAR),
        "/images/new",
    ),
    "commit": (lambda d: d.post("/commit?container=here&repo=new"), "/images/new"),
    "tag": (lambda d: d.post("/images/box/tag?repo=new"), "/images/new"),
    "volume": (lambda d: d.post("/volumes/create", {"Name": "new"}), "/volumes/new"),
    "network": (lambda d: d.post("/networks/create", {"Name": "new"}), "/networks/new"),
    "rename": (lambda d: d.post("/containers/here/rename?name=there"), "name"),
    "update": (lambda d: d.post("/containers/here/update", {"CpuShares": 512}), ""),
}
"""Each with the resource that it makes, which is removed once it worked."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_needs_space_says_so_and_leaves_nothing(disk: SmallDisk, name: str) -> None:
    operation, made = OPERATIONS[name]
    # The record of a container may take the place of one that was noted, and need no space.
    refused(disk, operation, surely=name not in ("rename", "update"))
    if name == "start":
        assert disk.post("/containers/here/wait")[0] == 200
    if made == "name":
        assert disk.post("/containers/there/rename?name=here")[0] == 204
    elif made:
        assert disk.daemon.ask("DELETE", made)[0] in (200, 204)
    disk.daemon.ask("DELETE", "/volumes/fresh")


def test_loading(disk: SmallDisk) -> None:
    assert disk.post("/images/create?fromSrc=-&repo=new", tar({"data": DATA}), TAR)[0] == 200
    connection = disk.daemon.client()
    saved = b"".join(connection.images.get("new").save(named=True))
    connection.images.remove("new")
    refused(disk, lambda d: d.post("/images/load", saved, TAR))
    connection.images.remove("new")
    connection.close()


def refused(disk: SmallDisk, operation: Operation, *, surely: bool = True) -> None:
    """Try it with ever more space: it fails (at least once, if `surely`), and leaves no trace."""
    for turn, left in enumerate(LEFT):
        content, known = disk.content(), disk.known()
        disk.fill(left)
        try:
            status, answer = operation(disk)
        finally:
            disk.empty()
        if status < 300:
            assert turn or not surely
            return
        assert status == 500
        assert "no space left on device" in answer
        assert "inside the daemon" not in answer
        assert disk.known() == known
        assert disk.content() == content
    pytest.fail(f"not even {LEFT[-1]} bytes are enough")


def test_a_container_that_ends_on_a_full_disk_has_ended(disk: SmallDisk) -> None:
    body = {**BOX, "Cmd": ["cat"], "OpenStdin": True}
    assert disk.post("/containers/create?name=cat", body)[0] == 201
    assert disk.post("/containers/cat/start")[0] == 204
    disk.fill(0)
    try:
        assert disk.post("/containers/cat/kill")[0] == 204
        status, answer = disk.post("/containers/cat/wait")
        assert (status, json.loads(answer)) == (200, {"StatusCode": 137})
        assert disk.daemon.ask("DELETE", "/containers/cat")[0] == 204
    finally:
        disk.empty()

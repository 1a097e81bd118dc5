"""What machines are made of: found by content, the same bytes each time, failures in one line."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import zstandard

from lab.bake import archive, erofs, initrd, kernels, main, roots, store
from lab.bake.kernels import vmlinux
from lab.cells import cells
from lab.shell import LabError

ELF = b"\x7fELF" + bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TOP", tmp_path / "store")


def baked(tmp_path: Path, content: bytes = b"content") -> tuple[store.Recipe, store.Baked]:
    recipe = store.Recipe("root", "bookworm", {"packages": ["a"]})
    made = tmp_path / "made"
    made.write_bytes(content)
    return recipe, store.keep(recipe, {"root": made}, {"python": "3.11"})


def test_what_is_kept_is_found_by_its_recipe_and_named_by_its_content(tmp_path: Path) -> None:
    recipe, kept = baked(tmp_path)
    found = store.find(recipe)
    assert found == kept
    assert kept.files["root"].name == f"{store.digest_of(kept.files['root'])}.root"
    assert store.find(store.Recipe("root", "bookworm", {"packages": ["b"]})) is None


def test_what_is_not_whole_is_not_found(tmp_path: Path) -> None:
    recipe, kept = baked(tmp_path)
    kept.files["root"].chmod(0o600)
    kept.files["root"].write_bytes(b"con")
    assert store.find(recipe) is None


def test_what_no_recipe_wants_is_removed(tmp_path: Path) -> None:
    recipe, kept = baked(tmp_path)
    old = store.Recipe("root", "bookworm", {"packages": ["old"]})
    other = tmp_path / "other"
    other.write_bytes(b"other")
    left = store.keep(old, {"root": other}, {})
    store.prune([recipe])
    assert store.find(recipe) == kept
    assert store.find(old) is None
    assert not left.files["root"].exists()


def test_a_workshop_goes_away_with_what_is_half_made() -> None:
    def half_made() -> None:
        with store.workshop(0) as directory:
            (directory / "half").write_text("made")
            raise KeyError

    with pytest.raises(KeyError):
        half_made()
    assert [path.name for path in store.TOP.iterdir()] == []


def test_a_full_disk_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="MiB are needed: make room, or set LADING_CACHE"):
        store.room(tmp_path, 1 << 60)


def image(payload: bytes) -> bytes:
    head = bytearray(0x400)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + bytes(16) + payload


@pytest.mark.parametrize(
    "packed", [lzma.compress(ELF), zstandard.compress(ELF), gzip.compress(ELF)]
)
def test_a_kernel_is_unpacked_whatever_packed_it(packed: bytes) -> None:
    assert vmlinux(image(packed + struct.pack("<I", len(ELF)))) == ELF


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bytes(0x400), "no bzImage"),
        (image(b"LZMA of old, which is not known"), "packed in an unknown way"),
        (image(gzip.compress(b"no program") + bytes(4)), "no ELF file"),
    ],
)
def test_what_is_no_kernel_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(LabError, match=sentence):
        vmlinux(data)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    directory = tmp_path / "6.1.0"
    (directory / "kernel").mkdir(parents=True)
    needs = {
        "ext4": "kernel/jbd2.ko kernel/crc16.ko",
        "jbd2": "",
        "crc16": "",
        "virtio-rng": "",
        "sound": "kernel/jbd2.ko",
    }
    lines = [f"kernel/{name}.ko: {what}" for name, what in needs.items()]
    (directory / "modules.dep").write_text("\n".join(lines) + "\n")
    for name in needs:
        (directory / "kernel" / f"{name}.ko").write_bytes(name.encode() * 3)
    return directory


def test_modules_come_after_what_they_need_and_others_not_at_all(modules: Path) -> None:
    order = [Path(path).stem for path in initrd.in_order(modules)]
    assert order == ["virtio-rng", "crc16", "jbd2", "ext4"]


@pytest.mark.skipif(not initrd.BUSYBOX.exists(), reason="no /bin/busybox")
def test_an_initrd_is_the_same_each_time_and_other_programs_read_it(modules: Path) -> None:
    data = initrd.build(modules, 1_700_000_000)
    assert data == initrd.build(modules, 1_700_000_000)
    words = [str(initrd.BUSYBOX), "cpio", "-t"]
    names = subprocess.run(words, input=data, capture_output=True, check=True).stdout.split()
    assert {b"init", b"bin/busybox", b"modules/ext4.ko", b"dev/console"} <= set(names)


@pytest.mark.skipif(shutil.which("mkfs.erofs") is None, reason="no mkfs.erofs")
def test_an_image_is_the_same_whenever_its_files_were_made(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        directory = tmp_path / f"tree{number}"
        directory.mkdir()
        for name in ("b", "a") if number else ("a", "b"):
            (directory / name).write_text(name * 9000)
        erofs.pack(directory, tmp_path / f"image{number}", 1_700_000_000, owned_by_root=True)
        digests.add(store.digest_of(tmp_path / f"image{number}"))
    assert len(digests) == 1


class _Mirror(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith("missing"):
            self.send_error(404, "Not Found")
        elif self.path.endswith("broken"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"something else")

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Mirror)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/debian"
    monkeypatch.setattr(archive, "mirror", lambda: url)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_that_the_mirror_lacks_is_named(mirror: str) -> None:
    with pytest.raises(LabError, match=f"{mirror}/missing: 404 Not Found"):
        archive.fetch("missing")


def test_a_mirror_that_breaks_off_is_said_so(mirror: str) -> None:
    with pytest.raises(LabError, match=f"{mirror}/broken could not be fetched in 3 attempts"):
        archive.fetch("broken")


@pytest.mark.usefixtures("mirror")
def test_what_is_not_what_the_index_says_is_refused(tmp_path: Path) -> None:
    package = archive.Package("linux-image-6.1", "6.1", "pool/it.deb", "00" * 32)
    with pytest.raises(LabError, match="is not what the archive's index says"):
        archive.download(package, tmp_path / "it.deb")


@pytest.mark.usefixtures("mirror")
@pytest.mark.skipif(shutil.which("gpgv") is None, reason="no gpgv")
def test_a_mirror_whose_signature_is_not_debian_s_is_refused() -> None:
    with pytest.raises(LabError, match="InRelease of buzz is not Debian's"):
        archive.release("buzz")


def test_the_newest_kernel_of_a_version_comes_with_its_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {
        "linux-image-7.2.9+deb14-amd64": "7.2.9-1",
        "linux-image-7.2.12+deb14-amd64": "7.2.12-1",
        "linux-image-7.2.13+deb14-cloud-amd64": "7.2.13-1",
        "linux-image-7.20.1+deb14-amd64": "7.20.1-1",
        "linux-modules-7.2.12+deb14-amd64": "7.2.12-1",
        "linux-modules-7.2.9+deb14-amd64": "7.2.9-1",
    }
    found = [archive.Package(name, version, "", "") for name, version in names.items()]
    monkeypatch.setattr(archive, "_packages", lambda _suite: iter(found))
    chosen = archive.kernel.__wrapped__("forky", "7.2")
    assert [package.name for package in chosen] == [
        "linux-image-7.2.12+deb14-amd64",
        "linux-modules-7.2.12+deb14-amd64",
    ]
    with pytest.raises(LabError, match=r"Debian forky has no kernel 5.0: change \[kernels\]"):
        archive.kernel.__wrapped__("forky", "5.0")


def test_what_is_not_installed_is_named_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError, match=r"apt-get install .*erofs-utils .*mmdebstrap.*qemu-utils"):
        main.needed()


def test_one_failure_does_not_keep_the_others_from_being_baked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def kernel(cell: object, **_options: object) -> store.Baked:
        raise LabError("the mirror broke off")

    def root(cell: object, *_words: object, **_options: object) -> store.Baked:
        done.append("root")
        return baked(tmp_path)[1]

    monkeypatch.setattr(main, "needed", lambda: None)
    monkeypatch.setattr(kernels, "bake", kernel)
    monkeypatch.setattr(roots, "bake", root)
    with pytest.raises(LabError, match="1 of 2 could not be baked; the mirror broke off"):
        main.bake([cells()["bookworm"]])
    assert done == ["root"]
    assert "2/2 root bookworm: Python 3.11" in capsys.readouterr().out


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    for pid in (ended.pid, os.getpid()):
        (tmp_path / f"partial-{pid}-x" / "tree").mkdir(parents=True)
    store.clear_dead(tmp_path, "partial")
    assert [path.name for path in tmp_path.iterdir()] == [f"partial-{os.getpid()}-x"]


def test_what_is_not_wanted_is_forgotten_once_it_is_old(tmp_path: Path) -> None:
    for name in ("wanted", "old", "new"):
        made = tmp_path / name
        made.write_text(name)
        store.keep(store.Recipe("project", name, {}), {"project": made}, {})
    keys = {name: store.Recipe("project", name, {}) for name in ("wanted", "old", "new")}
    (note,) = (store.TOP / "recipes").glob("project-old-*.json")
    os.utime(note, (0, 0))
    (note,) = (store.TOP / "recipes").glob("project-wanted-*.json")
    os.utime(note, (0, 0))
    found = store.find(keys["wanted"])
    assert found is not None
    store.forget("project", lambda digest: digest == found.digests["project"])
    assert [name for name in keys if store.find(keys[name])] == ["wanted", "new"]
    assert len(list((store.TOP / "files").iterdir())) == 2


def test_the_reason_of_a_failed_root_is_the_first_that_apt_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mmdebstrap"
    lines = ("I: fetching", "W: slow", "E: Failed to fetch x.deb  503  gone", "E: it failed to run")
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in lines) + "exit 1")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    release = archive.Release("bookworm", 0, {})
    monkeypatch.setattr(archive, "release", lambda _suite: release)
    monkeypatch.setattr(roots, "require", lambda *_programs: None)
    heard: list[str] = []
    sentence = r"by mmdebstrap: Failed to fetch x.deb  503  gone \(see .*/logs/root-bookworm.log\)"
    with pytest.raises(LabError, match=sentence):
        roots.bake(cells()["bookworm"], heard.append)
    assert heard == [line[3:] for line in lines]
    assert (store.TOP / "logs" / "root-bookworm.log").read_text().splitlines() == list(lines)
    assert not list(store.TOP.glob("partial-*"))

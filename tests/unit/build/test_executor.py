"""Whole builds over stores of their own, with a host that writes layers instead of running."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lading.build.caches import Caches
from lading.build.contracts import BuildFailed, BuildOptions, Command, Report
from lading.build.executor import Executor
from lading.errors import InvalidParameter, NotFound
from lading.image import reference
from lading.image.store import Image, ImageStore
from lading.storage.blobs import BlobStore
from lading.storage.digests import DiffId
from lading.storage.layers import LayerStore, Lease
from lading.storage.streams import ChunkReader
from tests.unit.build.trees import Member, context, member

pytestmark = pytest.mark.root


class FakeHost:
    def __init__(self, place: Path, images: ImageStore, layers: LayerStore) -> None:
        self.images, self.layers = images, layers
        self.commands: list[Command] = []
        self.shown: list[bytes] = []
        self.meetings: dict[str, asyncio.Barrier] = {}
        self.caches = Caches(place / "caches")
        self.files, self.memory = place / "files", place / "memory"
        self.files.mkdir()
        self.memory.mkdir()

    async def find_image(self, ref: str, platform: str, report: Report) -> Image:
        return self.images.get(ref)

    async def run(self, command: Command, lease: Lease, report: Report) -> DiffId | None:
        self.commands.append(command)
        report({"stream": f"says {command.argv[-1]}\n"})
        self.shown += [Path(one.source).read_bytes() for one in command.mounts if one.source]
        if command.argv[-1] in self.meetings:
            await self.meetings[command.argv[-1]].wait()
        if command.argv[-1] == "false":
            raise BuildFailed("The command '/bin/sh -c false' returned a non-zero code: 1", 1)
        return self._layer(f"ran{len(self.commands)}", lease)

    def view(self, image: Image) -> AbstractContextManager[int]:
        return self.layers.image_view(image.diff_ids)

    def store(self, layer: Iterator[bytes], lease: Lease) -> DiffId:
        return self.layers.unpack_stream(ChunkReader(layer), lease=lease).layer.diff_id

    async def tag(self, image: Image, name: str) -> str:
        parsed = reference.parse(name).with_default_tag()
        self.images.tag(image.id, parsed)
        return parsed.familiar

    def _layer(self, name: str, lease: Lease) -> DiffId:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        raw.seek(0)
        return self.layers.unpack_stream(raw, lease=lease).layer.diff_id


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        blobs, layers = BlobStore(root / "blobs"), LayerStore(root / "overlay2")
        self.images = ImageStore(root / "image", blobs, layers)
        self.layers = layers
        for store in (blobs, layers, self.images):
            store.open()
        self.host = FakeHost(root, self.images, layers)
        self.said: list[dict[str, Any]] = []

    async def build(
        self, text: str, *members: Member, secrets: dict[str, bytes] | None = None, **options: Any
    ) -> Image:
        self.said.clear()
        made = Executor(self.images, self.host, BuildOptions(**options), self.said.append)
        with context(self.root, *members, dockerfile=text) as given:
            given.secrets.update(secrets or {})
            return await made.build(given)

    @property
    def text(self) -> str:
        return "".join(one.get("stream", "") for one in self.said)

    def created_by(self, image: Image) -> list[tuple[str, bool]]:
        history = self.images.file(image.id).history or []
        return [(one.created_by, one.empty_layer) for one in history]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_history_tells_layers_from_settings(bench: Bench) -> None:
    image = await bench.build('FROM scratch\nENV A=b\nWORKDIR /w\nRUN x\nCMD ["y"]\n', tags=("t",))
    assert bench.created_by(image) == [
        ("/bin/sh -c #(nop)  ENV A=b", True),
        ("/bin/sh -c #(nop) WORKDIR /w", False),
        ("/bin/sh -c x", False),
        ('/bin/sh -c #(nop)  CMD ["y"]', True),
    ]
    assert len(image.diff_ids) == 2
    assert image.config.image == image.parent
    assert bench.images.get("t").id == image.id
    assert bench.text.endswith(
        f"Successfully built {image.id[7:19]}\nSuccessfully tagged t:latest\n"
    )


async def test_the_same_build_again_is_all_cached(bench: Bench) -> None:
    text = "FROM scratch\nARG A=1\nRUN x\nRUN y\n"
    first = await bench.build(text)
    assert (await bench.build(text)).id == first.id
    assert bench.text.count("Using cache") == 3
    assert len(bench.host.commands) == 2
    assert (await bench.build(text, no_cache=True)).id != first.id


async def test_a_build_argument_is_in_the_environment_and_in_the_key(bench: Bench) -> None:
    text = "FROM scratch\nARG A=1\nENV E=e\nRUN x\n"
    await bench.build(text)
    image = await bench.build(text, build_args={"A": "2", "HTTP_PROXY": "p"})
    assert bench.created_by(image)[-1] == ("|1 A=2 /bin/sh -c x", False)
    assert bench.host.commands[-1].env[-3:] == ["E=e", "A=2", "HTTP_PROXY=p"]
    assert len(bench.host.commands) == 2


async def test_unneeded_stages_do_not_run(bench: Bench) -> None:
    text = "FROM scratch AS a\nRUN one\nFROM scratch AS b\nRUN two\nFROM a\nRUN three\n"
    await bench.build(text)
    assert [one.argv[-1] for one in bench.host.commands] == ["one", "three"]
    await bench.build(text, target="b")
    assert bench.host.commands[-1].argv[-1] == "two"


async def test_a_failed_command_leaves_what_was_done_before(bench: Bench) -> None:
    with pytest.raises(BuildFailed, match="non-zero code: 1"):
        await bench.build("FROM scratch\nRUN x\nRUN false\n")
    await bench.build("FROM scratch\nRUN x\nRUN y\n")
    assert [one.argv[-1] for one in bench.host.commands] == ["x", "false", "y"]


async def test_triggers_run_once_in_the_image_built_upon(bench: Bench) -> None:
    await bench.build("FROM scratch\nONBUILD RUN later\nRUN now\n", tags=("base",))
    image = await bench.build("FROM base\n")
    assert bench.host.commands[-1].argv[-1] == "later"
    assert not image.config.on_build


async def test_labels_of_the_caller_are_taken_as_they_are(bench: Bench) -> None:
    image = await bench.build("FROM scratch\nENV w=x\n", labels={"k": "$w 'q'"})
    assert image.config.labels == {"k": "$w 'q'"}


async def test_unused_arguments_are_warned_of(bench: Bench) -> None:
    await bench.build("FROM scratch\nENV a=b\n", build_args={"ZZ": "1"})
    assert "[Warning] One or more build-args [ZZ] were not consumed\n" in bench.text


async def test_heredocs_go_to_the_shell(bench: Bench) -> None:
    await bench.build("FROM scratch\nRUN <<E\necho 1\nE\nRUN cat <<F\ntext\nF\n")
    said = [one.argv[-1] for one in bench.host.commands]
    assert said == ["echo 1\n", "cat <<F\ntext\nF"]


async def test_what_cannot_be_done_is_told_before_anything_runs(bench: Bench) -> None:
    with pytest.raises(InvalidParameter, match=r"line 3: RUN --security=insecure"):
        await bench.build("FROM scratch\nRUN x\nRUN --security=insecure y\n")
    with pytest.raises(NotFound, match="No such image"):
        await bench.build("FROM nothere\n")
    assert not bench.host.commands


async def test_copied_files_are_known_by_their_content(bench: Bench) -> None:
    text = "FROM scratch\nWORKDIR /w\nCOPY --chown=1 f d/ ./\n"
    first = await bench.build(text, member("f", b"1"), member("d/g", b"2"))
    (*_, (words, empty)) = bench.created_by(first)
    assert words.startswith("/bin/sh -c #(nop) COPY --chown=1 multi:")
    assert words.endswith(" in ./ ")
    assert not empty
    touched = await bench.build(text, member("f", b"1", mtime=5), member("d/g", b"2"))
    assert touched.id == first.id
    assert (await bench.build(text, member("f", b"3"), member("d/g", b"2"))).id != first.id


async def test_files_of_stages_and_images(bench: Bench) -> None:
    await bench.build("FROM scratch\nCOPY f /of-image\n", member("f", b"1"), tags=("there",))
    text = (
        "FROM scratch AS a\nCOPY f /x\nFROM scratch\n"
        "COPY --from=a /x /y\nCOPY --from=0 /x /z\nCOPY --from=there /of-image /\n"
    )
    image = await bench.build(text, member("f", b"1"))
    with bench.layers.image_view(image.diff_ids) as root:
        assert sorted(os.listdir(root)) == ["of-image", "y", "z"]
    assert (await bench.build(text, member("f", b"1"))).id == image.id


async def test_stages_run_side_by_side_and_speak_in_their_order(bench: Bench) -> None:
    together = asyncio.Barrier(2)
    bench.host.meetings = {"one": together, "two": together}
    text = "FROM scratch AS a\nRUN one\nFROM scratch AS b\nRUN two\nFROM a\nCOPY --from=b /ran2 /\n"
    await asyncio.wait_for(bench.build(text), 60)
    told = [line for line in bench.text.splitlines() if line.startswith(("Step", "says"))]
    assert told == [
        "Step 1/6 : FROM scratch AS a",
        "Step 2/6 : RUN one",
        "says one",
        "Step 3/6 : FROM scratch AS b",
        "Step 4/6 : RUN two",
        "says two",
        "Step 5/6 : FROM a",
        "Step 6/6 : COPY --from=b /ran2 /",
    ]


async def test_equal_steps_of_two_stages_are_done_once(bench: Bench) -> None:
    await bench.build("FROM scratch AS a\nRUN x\nFROM scratch\nRUN x\nCOPY --from=a /ran1 /y\n")
    assert len(bench.host.commands) == 1
    assert bench.text.count("Using cache") == 1


async def test_the_first_failure_in_order_is_the_one_that_is_told(bench: Bench) -> None:
    text = "FROM scratch AS a\nRUN x\nRUN false\nFROM scratch\nCOPY no /\nCOPY --from=a x /\n"
    with pytest.raises(BuildFailed):
        await bench.build(text)
    assert "COPY" not in bench.text


async def test_what_is_bound_is_part_of_the_key_and_a_secret_is_not(bench: Bench) -> None:
    text = "FROM scratch\nRUN --mount=source=f,target=/f --mount=type=secret,id=s,target=/s x\n"
    first = await bench.build(text, member("f", b"1"), secrets={"s": b"a"})
    assert bench.host.shown == [b"1", b"a"]
    assert bench.created_by(first) == [("/bin/sh -c x", False)]
    assert (await bench.build(text, member("f", b"1"), secrets={"s": b"b"})).id == first.id
    await bench.build(text, member("f", b"2"), secrets={"s": b"c"})
    assert bench.host.shown[2:] == [b"2", b"c"]
    assert not [*bench.host.files.iterdir(), *bench.host.memory.iterdir()]


async def test_a_heredoc_can_be_a_program(bench: Bench) -> None:
    await bench.build("FROM scratch\nRUN <<E\n#!/bin/awk\nprogram\nE\n")
    assert bench.host.commands[0].argv == ["/dev/pipes/E"]
    assert bench.host.shown == [b"#!/bin/awk\nprogram\n"]
    await bench.build("FROM scratch\nRUN <<E\n#!/bin/awk\nother\nE\n")
    assert len(bench.host.commands) == 2


async def test_heredocs_are_copied(bench: Bench) -> None:
    image = await bench.build(
        "FROM scratch\nARG v=1\nCOPY <<A <<'B' /d/\n$v \"q\"\nA\n$v\nB\n",
    )
    with bench.layers.image_view(image.diff_ids) as root:
        found = {name: (Path(f"/proc/self/fd/{root}/d") / name).read_text() for name in "AB"}
    assert found == {"A": '1 "q"\n', "B": "$v\n"}


async def test_a_build_that_is_cancelled_ends_with_its_threads(bench: Bench) -> None:
    bench.host.meetings = {"x": asyncio.Barrier(2)}
    task = asyncio.create_task(bench.build("FROM scratch\nRUN x\n"))
    while not bench.host.commands:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bench.images.list()


async def test_a_circle_of_stages_is_told_before_anything_runs(bench: Bench) -> None:
    text = "FROM scratch\nRUN x\nFROM scratch AS a\nCOPY --from=0 z /\nCOPY --from=a y /\n"
    with pytest.raises(InvalidParameter, match=r"line 5: circular dependency"):
        await bench.build(text)
    assert bench.text == "Step 1/5 : FROM scratch\n"
    assert not bench.host.commands


async def test_an_author_is_not_handed_down(bench: Bench) -> None:
    await bench.build("FROM scratch\nMAINTAINER me\nENV a=1\n", tags=("base",))
    assert bench.images.get("base").author == "me"
    assert not (await bench.build("FROM base\nENV b=1\n")).author

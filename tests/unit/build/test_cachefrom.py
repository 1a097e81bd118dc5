"""Steps found in images that came without the images of their steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading.image.model import encode_image
from lading.image.store import Image
from tests.unit.build.test_executor import Bench

pytestmark = pytest.mark.root

BUILD = "FROM base\nENV a=1\nRUN one\nLABEL x=y\nRUN two\nCMD z\n"


async def _bench(place: Path) -> tuple[Bench, Image]:
    """Give stores with `base`, and `source`, made from it and without the images of its steps."""
    bench = Bench(place)
    await bench.build("FROM scratch\nRUN base\n", tags=("base",))
    whole = await bench.build(BUILD, tags=("source",))
    config = encode_image(bench.images.file(whole.id))
    with bench.images.lease() as lease:
        for diff_id in whole.diff_ids:
            lease.hold(diff_id)
        bench.images.remove("source", users=lambda _: [])
        loaded = bench.images.create(config)
    await bench.host.tag(loaded, "source")
    bench.host.commands.clear()
    assert loaded.id == whole.id
    assert not loaded.parent
    return bench, loaded


async def test_a_lost_chain_is_made_again_from_the_history(tmp_path: Path) -> None:
    bench, whole = await _bench(tmp_path)
    built = await bench.build(BUILD, cache_from=("source",))
    assert built.id == whole.id
    assert bench.text.count("Using cache") == 5
    assert not bench.host.commands
    # The chain is there now, so that the image is found without a source, too.
    assert (await bench.build(BUILD)).id == whole.id
    assert not bench.host.commands


async def test_what_goes_on_differently_is_made_on_the_sources_steps(tmp_path: Path) -> None:
    bench, whole = await _bench(tmp_path)
    built = await bench.build(BUILD.replace("two", "2"), cache_from=("nowhere", "source"))
    assert bench.text.count("Using cache") == 3
    assert built.diff_ids[:-1] == whole.diff_ids[:-1]
    assert built.diff_ids[-1] != whole.diff_ids[-1]
    history = bench.images.file(built.id).history or []
    assert history[:4] == (bench.images.file(whole.id).history or [])[:4]


async def test_only_the_sources_steps_count(tmp_path: Path) -> None:
    bench, _ = await _bench(tmp_path)
    mine = await bench.build(BUILD)
    assert len(bench.host.commands) == 2
    assert (await bench.build(BUILD)).id == mine.id
    assert (await bench.build(BUILD, cache_from=("base",))).id != mine.id
    assert len(bench.host.commands) == 4


async def test_a_source_with_another_beginning_is_none(tmp_path: Path) -> None:
    bench, _ = await _bench(tmp_path)
    file = bench.images.file(bench.images.get("base").id)
    file.author = "somebody else"
    (file.history or [])[0].author = "somebody else"
    other = bench.images.create(encode_image(file))
    await bench.host.tag(other, "base")
    await bench.build(BUILD, cache_from=("source",))
    assert "Using cache" not in bench.text

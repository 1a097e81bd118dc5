"""Where COPY and RUN --mount take files from: the context, stages, images."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from lading.build.contracts import Host, Report
from lading.build.sources import DirectoryTree, Source, StoredTree
from lading.image.store import Image
from lading.storage.layers import Lease
from lading.threads import in_thread

Find = Callable[[str, str, Report], Awaitable[Image]]
"""Finds an image by its reference and platform."""


class Origins:
    """The sources of one build; they stay open until `close`, as digests are kept with them."""

    def __init__(self, host: Host, lease: Lease, find: Find) -> None:
        self._host = host
        self._lease = lease
        self._find = find
        self._stack = ExitStack()
        self._trees: dict[str, Source] = {}
        self._opening = asyncio.Lock()

    async def image(self, ref: str, report: Report) -> Source:
        """Give the files of an image that a `from` names; raises NotFound."""
        found = await self._find(ref, "", report)
        for diff_id in found.diff_ids:
            self._lease.hold(diff_id)
        return await self.tree(found)

    async def tree(self, image: Image | None) -> Source:
        """Give the files of an image; there are none without one."""
        name = image.id if image else ""
        async with self._opening:
            if name not in self._trees:
                self._trees[name] = await in_thread(self._open, image)
            return self._trees[name]

    def _open(self, image: Image | None) -> Source:
        if image is None:
            return self._stack.enter_context(StoredTree(self._host.files))
        return DirectoryTree(self._stack.enter_context(self._host.view(image)))

    async def close(self) -> None:
        """Let go of all that was opened."""
        await in_thread(self._stack.close)

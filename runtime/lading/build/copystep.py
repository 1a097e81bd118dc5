"""COPY and ADD as steps: from an instruction to a plan, and from a plan to a layer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from lading.build import instructions as ins
from lading.build.contracts import Host
from lading.build.copying import URLS, CopyPlan, CopyRequest, Item, heredoc, plan
from lading.build.destination import View
from lading.build.fetch import GitAddress, fetch
from lading.build.layertree import LayerTree
from lading.build.sources import Source
from lading.build.stepimages import State
from lading.build.words import expand_word
from lading.image.store import Image
from lading.storage.digests import DiffId
from lading.storage.layers import Lease
from lading.threads import in_thread


@asynccontextmanager
async def planned(
    one: ins.Copy, state: State, source: Source, files: Path
) -> AsyncIterator[tuple[CopyPlan, str]]:
    """Find what a COPY or ADD means: its plan, and what the history shows of it.

    What has to be fetched is kept below `files` as long as this is open. Raises DockerfileError
    and what `plan` and `fetch` raise.
    """
    request = _request(one, state)
    async with AsyncExitStack() as stack:
        inline = await in_thread(_heredocs, one, state, request, files)
        for item in inline.values():
            stack.push_async_callback(in_thread, item.source.close)
        for word in request.sources:
            if request.keyword == "ADD" and word not in inline and _is_remote(word):
                checksum = state.expand(one.checksum, one.line)
                item = await fetch(word, files, checksum=checksum, keep_git=one.keep_git_dir)
                stack.push_async_callback(in_thread, item.source.close)
                inline[word] = item
        made, key = await in_thread(_planned, request, source, inline)
        chown = f"--chown={request.chown} " if request.chown else ""
        yield made, f"{request.keyword} {chown}{key} in {request.destination} "


def _planned(request: CopyRequest, source: Source, inline: dict[str, Item]) -> tuple[CopyPlan, str]:
    made = plan(request, source, inline)
    return made, made.key()


def _request(one: ins.Copy, state: State) -> CopyRequest:
    def expand(text: str) -> str:
        return state.expand(text, one.line)

    return CopyRequest(
        "ADD" if one.add else "COPY",
        tuple(word if word.startswith("<<") else expand(word) for word in one.sources),
        expand(one.destination),
        workdir=state.workdir,
        chown=expand(one.chown),
        chmod=expand(one.chmod),
        exclude=tuple(map(expand, one.exclude)),
        parents=one.parents,
        unpack=one.unpack,
        from_=one.from_,
    )


def _heredocs(one: ins.Copy, state: State, request: CopyRequest, files: Path) -> dict[str, Item]:
    """Give the here-documents by the words that stand for them, in the order of both."""
    words = [word for word in request.sources if word.startswith("<<")]
    made: dict[str, Item] = {}
    for word, document in zip(words, one.heredocs, strict=False):
        text = document.content
        if document.expand:
            text = expand_word(text, state.scope(), state.escape, one.line, keep_quotes=True)
        made[word] = heredoc(document.name, text, files)
    return made


def _is_remote(word: str) -> bool:
    return word.lower().startswith(URLS) or GitAddress.parse(word) is not None


def copy_layer(host: Host, image: Image | None, made: CopyPlan, lease: Lease) -> DiffId:
    """Store the layer that a plan makes over an image; blocks."""
    with _root(host, image) as root:
        return host.store(made.layer(root, host.files), lease)


def directory_layer(host: Host, image: Image | None, path: bytes, lease: Lease) -> DiffId | None:
    """Store the layer that WORKDIR's directory makes, None when the image has it; blocks."""
    with _root(host, image) as root:
        tree = LayerTree(View(root))
        real = tree.view.resolve(path)
        if tree.view.is_directory(real):
            return None
        tree.directory(real)
        return host.store(tree.tar(), lease)


@contextmanager
def _root(host: Host, image: Image | None) -> Iterator[int | None]:
    """Give a descriptor of an image's root for as long as it is used; None of an empty one."""
    if image is None or not image.diff_ids:
        yield None
        return
    with host.view(image) as root:
        yield root

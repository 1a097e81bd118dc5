"""Runs a build: its stages, side by side where they do not need each other.

The images that the steps leave are the cache: a step that was done before on the same parent is
found among its parent's children. So the cache is durable, and a failed build keeps its beginning.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager

from lading.build import dockerfile as parsing
from lading.build import instructions as ins
from lading.build.context import Context
from lading.build.contracts import BuildOptions, Host, Report
from lading.build.origins import Origins
from lading.build.runstep import PREDEFINED, check_run
from lading.build.stagebuild import Shop, StageBuild
from lading.build.stages import Stage, StageGraph, build_graph
from lading.build.stepimages import StepImages
from lading.build.turns import Turns
from lading.errors import InvalidParameter
from lading.image.store import Image, ImageStore
from lading.storage.layers import Lease
from lading.threads import in_thread

_AT_ONCE = 4
"""How many stages are built at the same time."""


class Executor:
    """One build."""

    def __init__(
        self, images: ImageStore, host: Host, options: BuildOptions, report: Report
    ) -> None:
        self._images = images
        self._host = host
        self._options = options
        self._turns = Turns(report)
        self._report = self._stamped(report)
        self._found: dict[tuple[str, str], asyncio.Future[Image]] = {}

    async def build(self, context: Context, agents: dict[str, str] | None = None) -> Image:
        """Build a context's Dockerfile; gives the target stage's image, tagged.

        `agents` are the sockets of SSH agents by id. Raises DockerfileError, InvalidParameter,
        NotFound, BuildFailed and what else COPY, ADD and mounts can be refused for.
        """
        file = parsing.parse(context.dockerfile)
        for one in file.instructions:
            check_run(one)
        graph = build_graph(file, self._options.build_args)
        target = graph.target(self._options.target)
        async with _leased(self._images) as lease:
            origins = Origins(self._host, lease, self._find)
            shop = Shop(
                host=self._host,
                options=self._options,
                context=context,
                agents=agents or {},
                graph=graph,
                escape=file.escape,
                images=StepImages(
                    self._images,
                    cached=not self._options.no_cache,
                    cache_from=self._options.cache_from,
                ),
                lease=lease,
                find=self._find,
                origins=origins,
            )
            shop.consumed |= graph.global_args.keys()
            try:
                await self._stages(shop, graph.needed(target), _leading(file, graph))
            finally:
                for search in self._found.values():
                    search.cancel()
                await asyncio.gather(*self._found.values(), return_exceptions=True)
                await origins.close()
            return await self._finish(shop, target)

    async def _stages(
        self, shop: Shop, stages: list[Stage], leading: list[ins.Instruction]
    ) -> None:
        """Build the stages, the last one being the target; what they say stays in their order."""
        labels = _labels(self._options.labels, shop.escape)
        steps = len(leading) + sum(1 + len(one.instructions) for one in stages) + len(labels)
        number = 1
        for number, one in enumerate(leading, 2):
            self._report({"stream": f"Step {number - 1}/{steps} : {one.original}"})
            self._report({"stream": "\n"})
        before = shop.graph.stages[: stages[-1].number + 1]
        fault = next((one.fault for one in before if one.fault is not None), None)
        if fault is not None:
            # Told before anything runs, but as Docker does: in the stream, needed or not.
            self._report({"stream": f"Step {number}/{steps} : {stages[0].origin.original}\n"})
            raise fault
        turns, slots = self._turns, asyncio.Semaphore(_AT_ONCE)
        tasks: dict[int, asyncio.Task[None]] = {}
        for place, stage in enumerate(stages):
            report = self._stamped(turns.report(place))
            made = StageBuild(shop, stage, report, number=number, steps=steps)
            number += 1 + len(stage.instructions)
            needed = [tasks[one] for one in stage.needs]
            extra = labels if place == len(stages) - 1 else []
            work = _after(needed, slots, made, extra, stage.number, shop)
            tasks[stage.number] = asyncio.create_task(work)
        try:
            for place, task in enumerate(tasks.values()):
                turns.begin(place)
                await task
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _find(self, ref: str, platform: str, report: Report) -> Image:
        """Find an image once in a build, whoever asks for it."""
        key = ref, platform
        if key not in self._found:
            search = self._host.find_image(ref, platform, report)
            self._found[key] = asyncio.ensure_future(search)
        # Whoever asked first may be cancelled; the others still want it.
        return await asyncio.shield(self._found[key])

    async def _finish(self, shop: Shop, target: Stage) -> Image:
        image = shop.built[target.number]
        if image is None:
            raise InvalidParameter("No image was generated. Is your Dockerfile empty?")
        unused = sorted(self._options.build_args.keys() - shop.consumed - PREDEFINED)
        if unused:
            names = " ".join(unused)
            self._say(f"[Warning] One or more build-args [{names}] were not consumed\n")
        self._say(f"Successfully built {image.id[7:19]}\n")
        for name in dict.fromkeys(self._options.tags):
            self._say(f"Successfully tagged {await self._host.tag(image, name)}\n")
        return image

    def _stamped(self, report: Report) -> Report:
        """Let messages say when they were, if that is asked for."""
        if not self._options.timed:
            return report
        return lambda item: report({**item, "timeNano": time.time_ns()})

    def _say(self, text: str) -> None:
        self._report({"stream": text})


@asynccontextmanager
async def _leased(images: ImageStore) -> AsyncIterator[Lease]:
    """Hold layers, as `ImageStore.lease`; what is nobody's in the end is removed in a thread."""
    with ExitStack() as stack:
        lease = stack.enter_context(images.lease())
        try:
            yield lease
        finally:
            await in_thread(stack.pop_all().close)


async def _after(
    needed: list[asyncio.Task[None]],
    slots: asyncio.Semaphore,
    made: StageBuild,
    extra: list[ins.Instruction],
    number: int,
    shop: Shop,
) -> None:
    """Build a stage once those that it needs are done, and there is room."""
    if needed:
        # A task that is awaited itself would be cancelled with this one.
        await asyncio.wait(needed)
    for one in needed:
        one.result()
    async with slots:
        shop.built[number] = await made.run(extra)


def _leading(file: parsing.Dockerfile, graph: StageGraph) -> list[ins.Instruction]:
    """Give the ARGs above the first FROM, which count as steps."""
    first = graph.stages[0].origin.line
    return [one for one in file.instructions if isinstance(one, ins.Arg) and one.line < first]


def _labels(labels: Mapping[str, str], escape: str) -> list[ins.Instruction]:
    """Give the caller's labels as the LABELs that end the target stage, one for each."""
    special = re.compile(rf"[{re.escape(escape)}'\"$]")
    return [
        ins.Label(
            0,
            f"LABEL {name}={labels[name]}",
            ((_quoted(name, special, escape), _quoted(labels[name], special, escape)),),
        )
        for name in sorted(labels)
    ]


def _quoted(text: str, special: re.Pattern[str], escape: str) -> str:
    return special.sub(lambda match: escape + match[0], text)

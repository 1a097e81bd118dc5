"""Builds one stage: its instructions one after the other, an image a step."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lading.build import dockerfile as parsing
from lading.build import instructions as ins
from lading.build.configure import Configurator
from lading.build.context import Context
from lading.build.contracts import BuildOptions, Command, Host, Report
from lading.build.copystep import copy_layer, directory_layer, planned
from lading.build.origins import Find, Origins
from lading.build.runstep import RunPlan, check_run, plan_run
from lading.build.sources import Source
from lading.build.stages import Stage, StageGraph
from lading.build.stepimages import State, StepImages, Words
from lading.errors import LadingError, NotFound
from lading.image.model import Config
from lading.image.store import Image
from lading.storage.digests import DiffId
from lading.storage.layers import Lease
from lading.threads import in_thread

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Work = Callable[[], Awaitable[DiffId | None]]
"""Does what a step has to do when it is not in the cache; gives the layer."""


@dataclass(slots=True)
class Shop:
    """What the stages of one build share.

    `built` has what finished stages left, by number; `consumed` the build arguments that were
    asked for; `agents` the sockets of SSH agents by id.
    """

    host: Host
    options: BuildOptions
    context: Context
    agents: dict[str, str]
    graph: StageGraph
    escape: str
    images: StepImages
    lease: Lease
    find: Find
    origins: Origins
    built: dict[int, Image | None] = field(default_factory=dict)
    consumed: set[str] = field(default_factory=set)
    busy: dict[tuple[str, ...], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    @asynccontextmanager
    async def alone(self, state: State, words: Words) -> AsyncIterator[None]:
        """Hold off a stage that comes to a step another one is at: it will be in the cache."""
        if not self.images.cached:
            yield
            return
        async with self.busy[state.parent, *words.key]:
            yield


class StageBuild:
    """One stage of a build; `number` is that of its first step of `steps`."""

    def __init__(
        self, shop: Shop, stage: Stage, report: Report, *, number: int, steps: int
    ) -> None:
        self._shop = shop
        self._stage = stage
        self._report = report
        self._number = number
        self._steps = steps

    async def run(self, extra: list[ins.Instruction]) -> Image | None:
        """Build the stage and `extra` behind it; gives its image, None when nothing was made."""
        self._announce(self._stage.origin)
        base = await self._base()
        for diff_id in base.diff_ids if base else ():
            self._shop.lease.hold(diff_id)
        config = base.config if base else Config(env=[_PATH])
        state = State(base, Configurator(config, self._shop.escape), self._shop.escape)
        triggers, state.config.on_build = config.on_build or [], None
        if triggers:
            self._say(f"# Executing {len(triggers)} build trigger{'s'[: len(triggers) != 1]}\n")
        for trigger in triggers:
            for one in parsing.parse(trigger).instructions:
                check_run(one)
                await self._step(state, one)
        self._say(f" ---> {state.parent[7:19]}\n")
        for one in (*self._stage.instructions, *extra):
            self._announce(one)
            await self._step(state, one)
            self._say(f" ---> {state.parent[7:19]}\n")
        if state.image is not None:
            self._report({"aux": {"ID": state.image.id}})
        return state.image

    async def _base(self) -> Image | None:
        base = self._stage.base
        if isinstance(base, int):
            return self._shop.built[base]
        if base == "scratch":
            return None
        return await self._shop.find(base, self._stage.platform, self._report)

    async def _step(self, state: State, one: ins.Instruction) -> None:
        if isinstance(one, ins.Run):
            await self._run(state, one)
        elif isinstance(one, ins.Copy):
            await self._copy(state, one)
        elif isinstance(one, ins.Arg):
            await self._settle(state, _setting(state, self._declare(state, one)), None)
        elif isinstance(one, ins.Workdir):
            shown = state.configurator.apply(one, state.scope())
            words = Words([*state.shell(), f"#(nop) {shown}"])
            await self._settle(state, words, lambda: self._directory(state))
        else:
            shown = state.configurator.apply(one, state.scope())
            for note in state.configurator.notes:
                self._say(f"Note: {note}\n")
            state.configurator.notes.clear()
            await self._settle(state, _setting(state, shown), None)

    async def _settle(self, state: State, words: Words, work: Work | None) -> None:
        """Take the step's image from the cache, or do the work and make it."""
        shop = self._shop
        async with shop.alone(state, words):
            image = await in_thread(shop.images.find, state, words)
            if image is not None:
                self._say(" ---> Using cache\n")
            else:
                layer = await work() if work is not None else None
                image = await in_thread(self._make, state, words, layer, work is not None)
        state.image = image

    def _make(self, state: State, words: Words, layer: DiffId | None, writes: bool) -> Image:
        return self._shop.images.make(state, words, layer, writes=writes)

    def _declare(self, state: State, one: ins.Arg) -> str:
        """Take ARG's values: the caller's, else its default, else that above the first FROM."""
        shown: list[str] = []
        for name, default in one.values:
            value = None if default is None else state.expand(default, one.line)
            shown.append(name if value is None else f"{name}={value}")
            self._shop.consumed.add(name)
            given = self._shop.options.build_args.get(name, value)
            given = self._shop.graph.global_args.get(name) if given is None else given
            if given is not None:
                state.args[name] = given
        return f"ARG {' '.join(shown)}"

    async def _directory(self, state: State) -> DiffId | None:
        path = os.fsencode(state.config.working_dir)
        shop = self._shop
        return await in_thread(directory_layer, shop.host, state.image, path, shop.lease)

    async def _copy(self, state: State, one: ins.Copy) -> None:
        shop = self._shop
        source = await self._source(one.from_)
        async with planned(one, state, source, shop.host.files) as (plan, shown):
            words = Words([*state.shell(), f"#(nop) {shown}"])

            async def work() -> DiffId:
                return await in_thread(copy_layer, shop.host, state.image, plan, shop.lease)

            await self._settle(state, words, work)

    async def _run(self, state: State, one: ins.Run) -> None:
        shop = self._shop
        sources = {
            mount.origin: await self._source(mount.origin)
            for mount in one.mounts
            if mount.origin is not None
        }
        plan = await in_thread(plan_run, one, state, shop.options.build_args, sources)
        await self._settle(state, plan.words, lambda: self._execute(state, one, plan, sources))

    async def _execute(
        self, state: State, one: ins.Run, plan: RunPlan, sources: dict[str, Source]
    ) -> DiffId | None:
        shop = self._shop
        async with plan.mounted(shop.host, sources, shop.context.secrets, shop.agents) as mounted:
            command = Command(
                image=state.parent,
                config=state.config,
                argv=plan.argv,
                env=[*(state.config.env or []), *plan.env, *mounted.env],
                network=shop.options.network if one.network == "default" else one.network,
                mounts=tuple(mounted.mounts),
            )
            return await shop.host.run(command, shop.lease, self._report)

    async def _source(self, name: str) -> Source:
        """Give what a `from` means: the context, a stage before this one, or an image."""
        shop = self._shop
        if not name:
            return shop.context.tree
        stage = shop.graph.before(self._stage.number, name)
        if stage is None:
            try:
                return await shop.origins.image(name, self._report)
            except LadingError as error:
                raise LadingError(f"invalid from flag value {name}: {error.message}") from None
        if stage.number not in shop.built:
            raise NotFound(f"stage {name} is asked for by a trigger of the base image only")
        return await shop.origins.tree(shop.built[stage.number])

    def _announce(self, one: ins.Instruction) -> None:
        self._say(f"Step {self._number}/{self._steps} : {one.original}")
        self._say("\n")
        self._number += 1

    def _say(self, text: str) -> None:
        self._report({"stream": text})


def _setting(state: State, shown: str) -> Words:
    return Words([*state.shell(), "#(nop) ", shown])

"""Runs the stages of a Dockerfile, an image a step, as Docker's classic builder does.

The images that the steps leave are the cache: a step that was done before on the same parent is
found among its parent's children. So the cache is durable, and a failed build keeps its beginning.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lading import __version__
from lading.build import dockerfile as parsing
from lading.build import instructions as ins
from lading.build.configure import DEFAULT_SHELL, Configurator
from lading.build.contracts import BuildOptions, Command, Host, Report
from lading.build.destination import View
from lading.build.layertree import LayerTree
from lading.build.stages import Stage, StageGraph, build_graph
from lading.errors import InvalidParameter, NotImplementedYet
from lading.image.model import Config, History, ImageFile, RootFs, architecture, encode_image
from lading.image.store import Image, ImageStore, now
from lading.storage.digests import DiffId, Digest
from lading.storage.layers import Lease

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Build arguments that every RUN gets undeclared, and that the cache does not look at."""


@dataclass(slots=True)
class _State:
    """A stage on its way: the image so far (None on scratch), and the arguments it declared."""

    image: Image | None
    configurator: Configurator
    args: dict[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> Digest:
        return self.image.id if self.image else ""

    def scope(self) -> dict[str, str]:
        return self.args | self.configurator.variables()

    def shell(self) -> list[str]:
        return list(self.configurator.config.shell or DEFAULT_SHELL)


class Executor:
    """One build."""

    def __init__(
        self, images: ImageStore, host: Host, options: BuildOptions, report: Report
    ) -> None:
        self._images = images
        self._host = host
        self._options = options
        self._report = report
        self._built: dict[int, Image | None] = {}
        self._consumed: set[str] = set()
        self._steps = 0
        self._step_number = 0

    async def build(self, text: str) -> Image:
        """Build the Dockerfile `text`; gives the target stage's image, tagged.

        Raises DockerfileError, InvalidParameter, NotFound, NotImplementedYet and BuildFailed.
        """
        file = parsing.parse(text)
        _check_supported(file)
        graph = build_graph(file, self._options.build_args)
        target = graph.target(self._options.target)
        stages = graph.needed(target)
        leading = [one for one in file.instructions if isinstance(one, ins.Arg)]
        leading = [one for one in leading if one.line < graph.stages[0].origin.line]
        labels = _labels(self._options.labels, file.escape)
        in_stages = sum(1 + len(stage.instructions) for stage in stages)
        self._steps = len(leading) + in_stages + len(labels)
        self._consumed |= graph.global_args.keys()
        for one in leading:
            self._announce(one)
        with self._images.lease() as lease:
            for stage in stages:
                extra = labels if stage is target else []
                await self._stage(graph, stage, extra, file.escape, lease)
            return self._finish(target)

    def _finish(self, target: Stage) -> Image:
        image = self._built[target.number]
        if image is None:
            raise InvalidParameter("No image was generated. Is your Dockerfile empty?")
        unused = sorted(self._options.build_args.keys() - self._consumed - _PREDEFINED)
        if unused:
            names = " ".join(unused)
            self._say(f"[Warning] One or more build-args [{names}] were not consumed\n")
        self._say(f"Successfully built {image.id[7:19]}\n")
        for name in dict.fromkeys(self._options.tags):
            self._say(f"Successfully tagged {self._host.tag(image.id, name)}\n")
        return image

    async def _stage(
        self,
        graph: StageGraph,
        stage: Stage,
        extra: list[ins.Instruction],
        escape: str,
        lease: Lease,
    ) -> None:
        """Build one stage."""
        self._announce(stage.origin)
        base = await self._base(stage)
        for diff_id in base.diff_ids if base else ():
            lease.hold(diff_id)
        config = base.config if base else Config(env=[_PATH])
        state = _State(base, Configurator(config, escape))
        self._say(f" ---> {base.id[7:19] if base else ''}\n")
        triggers, state.configurator.config.on_build = config.on_build or [], None
        if triggers:
            self._say(f"# Executing {len(triggers)} build trigger{'s'[: len(triggers) != 1]}\n")
        for trigger in triggers:
            parsed = parsing.parse(trigger)
            _check_supported(parsed)
            for one in parsed.instructions:
                await self._step(graph, state, one, lease)
        for one in (*stage.instructions, *extra):
            self._announce(one)
            await self._step(graph, state, one, lease)
        self._built[stage.number] = state.image
        if state.image is not None:
            self._report({"aux": {"ID": state.image.id}})

    async def _base(self, stage: Stage) -> Image | None:
        if isinstance(stage.base, int):
            return self._built[stage.base]
        if stage.base == "scratch":
            return None
        return await self._host.find_image(stage.base, stage.platform, self._report)

    async def _step(
        self, graph: StageGraph, state: _State, one: ins.Instruction, lease: Lease
    ) -> None:
        if isinstance(one, ins.Run):
            await self._run(state, one, lease)
            return
        if isinstance(one, ins.Arg):
            shown = self._declare(graph, state, one)
        else:
            shown = state.configurator.apply(one, state.scope())
        if isinstance(one, ins.Workdir):
            made_by = [*state.shell(), f"#(nop) {shown}"]
        else:
            made_by = [*state.shell(), "#(nop) ", shown]
        if self._cached(state, made_by):
            return
        if isinstance(one, ins.Workdir):
            layer = await asyncio.to_thread(self._directory, state, lease)
            self._commit(state, made_by, layer, empty=False)
        else:
            self._commit(state, made_by, None, empty=True)

    def _directory(self, state: _State, lease: Lease) -> DiffId | None:
        """Give the layer that WORKDIR's directory makes, None when the image has it."""
        path = os.fsencode(state.configurator.config.working_dir)
        with view_of(self._host, state.image) as root:
            tree = LayerTree(View(root))
            real = tree.view.resolve(path)
            if tree.view.is_directory(real):
                return None
            tree.directory(real)
            return self._host.store(tree.tar(), lease)

    def _declare(self, graph: StageGraph, state: _State, one: ins.Arg) -> str:
        """Take ARG's values: the caller's, else its default, else that above the first FROM."""
        shown: list[str] = []
        for name, default in one.values:
            value = None if default is None else self._expand(state, default, one)
            shown.append(name if value is None else f"{name}={value}")
            self._consumed.add(name)
            given = self._options.build_args.get(name, value)
            given = graph.global_args.get(name) if given is None else given
            if given is not None:
                state.args[name] = given
        return f"ARG {' '.join(shown)}"

    def _expand(self, state: _State, text: str, one: ins.Instruction) -> str:
        probe = Configurator(Config())
        probe.apply(ins.Env(one.line, one.original, (("value", text),)), state.scope())
        return probe.variables()["value"]

    async def _run(self, state: _State, one: ins.Run, lease: Lease) -> None:
        argv = _argv(one, state.configurator)
        own = state.configurator.variables()
        declared = sorted(f"{k}={v}" for k, v in state.args.items() if k not in own)
        given = self._options.build_args
        proxies = sorted(
            f"{k}={v}" for k, v in given.items() if k in _PREDEFINED and k not in state.args
        )
        made_by = [f"|{len(declared)}", *declared, *argv] if declared or proxies else argv
        if self._cached(state, made_by):
            return
        command = Command(
            image=state.parent,
            config=state.configurator.config,
            argv=argv,
            env=[*(state.configurator.config.env or []), *declared, *proxies],
            network=self._options.network if one.network == "default" else one.network,
        )
        layer = await self._host.run(command, lease, self._report)
        self._commit(state, made_by, layer, empty=False)

    def _cached(self, state: _State, made_by: list[str]) -> bool:
        """Go on with the image that the same step left on the same parent, if there is one."""
        if self._options.no_cache:
            return False
        config, wanted = self._config(state), self._probe(state, made_by)
        for image_id in reversed(self._images.children(state.parent)):
            file = self._images.file(image_id)
            if file.container_config == wanted and file.config == config:
                self._say(" ---> Using cache\n")
                self._moved(state, self._images.get(image_id))
                return True
        return False

    def _config(self, state: _State) -> Config:
        config = Configurator(state.configurator.config).config
        config.image = state.parent
        return config

    def _probe(self, state: _State, made_by: list[str]) -> Config:
        probe = self._config(state)
        probe.cmd, probe.entrypoint = list(made_by), None
        return probe

    def _commit(
        self, state: _State, made_by: list[str], layer: DiffId | None, *, empty: bool
    ) -> None:
        """Make the step's image; a step that could write and did not has no layer either."""
        below = self._images.file(state.parent) if state.image else ImageFile()
        created = now()
        author = state.configurator.author or below.author
        history = History(
            created=created,
            created_by=" ".join(made_by),
            author=author,
            empty_layer=empty or layer is None,
        )
        file = ImageFile(
            architecture=below.architecture or architecture(),
            variant=below.variant,
            os=below.os or "linux",
            author=author,
            config=self._config(state),
            container_config=self._probe(state, made_by),
            created=created,
            docker_version=__version__,
            history=[*(below.history or ()), history],
            rootfs=RootFs(diff_ids=[*below.diff_ids, *([layer] if layer else [])]),
        )
        self._moved(state, self._images.create(encode_image(file), parent=state.parent))

    def _moved(self, state: _State, image: Image) -> None:
        state.image = image
        self._say(f" ---> {image.id[7:19]}\n")

    def _announce(self, one: ins.Instruction) -> None:
        self._step_number += 1
        self._say(f"Step {self._step_number}/{self._steps} : {one.original}")
        self._say("\n")

    def _say(self, text: str) -> None:
        self._report({"stream": text})


@contextmanager
def view_of(host: Host, image: Image | None) -> Iterator[int | None]:
    """Give a descriptor of an image's root for as long as it is used; None of no image."""
    if image is None or not image.diff_ids:
        yield None
        return
    with host.view(image) as root:
        yield root


def _check_supported(file: parsing.Dockerfile) -> None:
    """Refuse, before anything runs, what this builder does not do."""
    for one in file.instructions:
        keyword = one.original.split()[0].upper()
        if isinstance(one, ins.Copy):
            raise NotImplementedYet(f"line {one.line}: Lading's builder does not do {keyword} yet")
        if isinstance(one, ins.Run) and one.mounts:
            raise NotImplementedYet(f"line {one.line}: Lading's builder has no RUN --mount yet")


def _argv(one: ins.Run, configurator: Configurator) -> list[str]:
    """Give RUN's argument list; here-documents go to the shell, alone or with their command."""
    if not one.heredocs or not one.command.by_shell:
        return configurator.shell_form(one.command)
    text = one.command.args[0]
    if len(one.heredocs) == 1 and len(text.split()) == 1:
        content = one.heredocs[0].content
        if content.startswith("#!"):
            raise NotImplementedYet(
                f"line {one.line}: Lading's builder runs a here-document by SHELL's program only"
            )
        text = content
    else:
        text += "".join(f"\n{doc.content}{doc.name}" for doc in one.heredocs)
    return configurator.shell_form(ins.Command((text,), by_shell=True))


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

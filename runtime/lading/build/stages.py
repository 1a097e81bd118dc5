"""The stages of a Dockerfile, what each needs, and which a target asks for.

Source: Docker's documentation, "Multi-stage builds".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lading.build import instructions as ins
from lading.build.dockerfile import Dockerfile
from lading.build.errors import DockerfileError
from lading.build.words import expand_word
from lading.errors import InvalidParameter


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and the instructions below it.

    `base` is the image's reference with variables replaced, or the number of the stage it
    continues; `needs` are the numbers of the stages that have to be built before it. With a
    `fault` it cannot be built, nor can any stage behind it.
    """

    number: int
    origin: ins.From
    base: str | int
    platform: str
    instructions: tuple[ins.Instruction, ...]
    needs: frozenset[int]
    fault: DockerfileError | None = None

    @property
    def name(self) -> str:
        """The stage's name, or its number as text."""
        return self.origin.name or str(self.number)


@dataclass(frozen=True, slots=True)
class StageGraph:
    """All stages in order, and the arguments declared above the first FROM."""

    stages: tuple[Stage, ...]
    global_args: dict[str, str | None]

    def target(self, name: str) -> Stage:
        """The stage called or numbered `name`; the last one when it is "".

        Raises InvalidParameter: there is no such stage.
        """
        if not name:
            return self.stages[-1]
        for stage in reversed(self.stages):
            if name.lower() == stage.origin.name:
                return stage
        if name.isdigit() and int(name) < len(self.stages):
            return self.stages[int(name)]
        raise InvalidParameter(f'target stage "{name}" could not be found')

    def before(self, number: int, name: str) -> Stage | None:
        """The stage that a `from` in stage `number` means; None when it is an image's name."""
        for stage in reversed(self.stages[:number]):
            if name.lower() == stage.origin.name:
                return stage
        return self.stages[int(name)] if name.isdigit() and int(name) < number else None

    def needed(self, target: Stage) -> list[Stage]:
        """`target` and all it needs, each behind what it needs itself."""
        wanted: set[int] = set()
        pending = [target.number]
        while pending:
            number = pending.pop()
            if number not in wanted:
                wanted.add(number)
                pending.extend(self.stages[number].needs)
        return [self.stages[number] for number in sorted(wanted)]


def build_graph(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> StageGraph:
    """Group instructions by stage and find what each stage needs.

    A stage that needs itself or a later one has a fault. Raises DockerfileError: an instruction
    before the first FROM, a FROM whose variables leave nothing.
    """
    global_args, groups = _group(dockerfile, build_args)
    scope = {name: value for name, value in global_args.items() if value is not None}
    stages: list[Stage] = []
    names: dict[str, int] = {}
    later = {group[0].name: group[0] for group in groups if group[0].name}
    for number, (origin, body) in enumerate(groups):
        image = expand_word(origin.image, scope, dockerfile.escape, origin.line)
        if not image:
            raise DockerfileError(f"base name ({origin.image}) should not be blank", origin.line)
        base: str | int = names.get(image.lower(), image)
        needs, fault = set[int](), None
        try:
            needs.update(_copied_stages(body, names, later, number))
        except DockerfileError as error:
            fault = error
        if isinstance(base, int):
            needs.add(base)
        platform = expand_word(origin.platform, scope, dockerfile.escape, origin.line)
        made = Stage(number, origin, base, platform, tuple(body), frozenset(needs), fault)
        stages.append(made)
        if origin.name:
            names[origin.name] = number
    return StageGraph(tuple(stages), global_args)


def _group(
    dockerfile: Dockerfile, build_args: Mapping[str, str]
) -> tuple[dict[str, str | None], list[tuple[ins.From, list[ins.Instruction]]]]:
    global_args: dict[str, str | None] = {}
    groups: list[tuple[ins.From, list[ins.Instruction]]] = []
    for instruction in dockerfile.instructions:
        if isinstance(instruction, ins.From):
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
        elif isinstance(instruction, ins.Arg):
            scope = {name: value for name, value in global_args.items() if value is not None}
            for name, default in instruction.values:
                value = build_args.get(name)
                if value is None and default is not None:
                    value = expand_word(default, scope, dockerfile.escape, instruction.line)
                global_args[name] = value
        else:
            raise DockerfileError("no build stage in current context", instruction.line)
    if not groups:
        raise DockerfileError("no build stage in current context", 1)
    return global_args, groups


def _copied_stages(
    body: list[ins.Instruction],
    names: Mapping[str, int],
    later: Mapping[str, ins.From],
    current: int,
) -> Iterator[int]:
    """The earlier stages that `COPY --from` and `RUN --mount=from=` take files from."""
    for instruction in body:
        for name in _sources(instruction):
            if name.lower() in names:
                yield names[name.lower()]
            elif name.isdigit():
                if int(name) >= current:
                    raise DockerfileError(
                        f"invalid from flag value {name}: a stage can only take files from an "
                        "earlier one",
                        instruction.line,
                    )
                yield int(name)
            elif name.lower() in later:
                raise DockerfileError(
                    f'circular dependency detected: stage "{name}" is not built before this one',
                    instruction.line,
                )


def _sources(instruction: ins.Instruction) -> Iterator[str]:
    if isinstance(instruction, ins.Copy) and instruction.from_:
        yield instruction.from_
    elif isinstance(instruction, ins.Run):
        yield from filter(None, (mount.origin for mount in instruction.mounts))

"""`lading explain`: how a container's start went, step by step."""

from __future__ import annotations

from lading.cli import flags, tables
from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError, UsageError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BAR = 12
MILLISECOND = 1_000_000


def explain(context: Context, options: Options) -> int:
    """Tell how the start of a container went, or of one that is run for that."""
    if options.args[0] == "run":
        return _explain_run(context, options)
    if len(options.args) > 1:
        raise UsageError("'lading explain' requires one container, or run and what follows it", 1)
    name = options.args[0]
    context.out(_told(_fetch(context, name), name, options.text("format")))
    return 0


class Story:
    """How a start went: its steps, its warnings, and the nanoseconds from begin to end."""

    def __init__(self, answer: Any) -> None:
        whole: dict[str, Any] = answer if isinstance(answer, dict) else {"steps": answer or []}
        self.steps = [{**step, "side": side_of(step)} for step in whole["steps"]]
        self.warnings: list[str] = whole.get("warnings") or []
        self.total = int(whole.get("total_ns") or sum(step["ns"] for step in self.steps))


def side_of(step: dict[str, Any]) -> str:
    """Give the side that took a step: the runtime's, or the container's own process."""
    return str(step.get("side") or step.get("where") or "")


def _fetch(context: Context, container: str) -> Story:
    try:
        story = Story(context.client.get(f"/containers/{container}/lading/steps"))
    except ApiError as error:
        if error.http_status == 404 and "page not found" in error.reason.lower():
            raise CliError(
                "this daemon does not tell how a start went; Lading's own does"
            ) from None
        raise
    if not story.steps:
        raise CliError(f"{container} has not been started by this daemon: there is nothing to tell")
    return story


def _explain_run(context: Context, options: Options) -> int:
    """Run a container as `lading run` does, and tell on stderr how its start went."""
    from lading.cli.commands.run import COMMANDS as RUN_COMMANDS
    from lading.cli.commands.run import run_watched

    command = RUN_COMMANDS["run"]
    parsed = flags.parse(command.flags, options.args[1:], interspersed=False)
    if not parsed.args:
        raise UsageError("'lading explain run' requires at least 1 argument", 1)
    told: list[str] = []
    container: list[str] = []

    def started(identifier: str) -> None:
        container.append(identifier)
        story = _fetch(context, identifier)
        told.append(_told(story, identifier[:12], options.text("format")))

    try:
        return run_watched(context, parsed, started, keep=parsed.on("rm"))
    finally:
        if parsed.on("rm") and container:
            context.client.delete(f"/containers/{container[0]}", {"v": True, "force": True})
        context.error("".join(told))


def _told(story: Story, name: str, template: str) -> str:
    if template == "json":
        from lading.cli import fastjson

        return fastjson.dumps(story.steps) + "\n"
    if template:
        return _templated(story.steps, template)
    longest = max(step["ns"] for step in story.steps) or 1
    rows = [["#", "SIDE", "STEP", "TIME", "", "WHAT IT DID"]]
    sides: dict[str, int] = {}
    for number, step in enumerate(story.steps, start=1):
        sides[step["side"]] = sides.get(step["side"], 0) + step["ns"]
        bar = "█" * round(step["ns"] / longest * BAR) or "·"
        words = [step["side"], step["step"], _time(step["ns"]), bar, step["description"]]
        rows.append([str(number), *words])
    body = tables.align("\n".join("\t".join(row) for row in rows), minimum=1, padding=2)
    parts = ", ".join(f"{side} {_time(spent)}" for side, spent in sides.items())
    head = f"{name} was started in {len(story.steps)} steps, {_time(story.total)} ({parts}):\n\n"
    warnings = "".join(f"\nWARNING: {warning}" for warning in story.warnings)
    return head + "\n".join(line.rstrip() for line in body.split("\n")) + f"{warnings}\n"


def _time(nanoseconds: int) -> str:
    if nanoseconds >= 100 * MILLISECOND:
        return f"{nanoseconds / MILLISECOND:.0f} ms"
    return f"{nanoseconds / MILLISECOND:.3f} ms"


def _templated(steps: list[dict[str, Any]], template: str) -> str:
    from lading.cli.format.docker import compile_template
    from lading.cli.format.evaluate import execute
    from lading.cli.format.lexer import TemplateError

    try:
        tree = compile_template(template)
        return "".join(execute(tree, step, missing_is_error=True) + "\n" for step in steps)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}") from None


COMMANDS = {
    "explain": Command(
        "explain",
        "[OPTIONS] CONTAINER | run [RUN OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Tell how a container's start went, step by step",
        explain,
        arguments=(1, None),
        interspersed=False,
        flags=(
            Flag(
                "format",
                "",
                STRING,
                "'json', or a Go template for each step, such as '{{.step}} {{.ns}}'",
            ),
        ),
        about="A container's start is a list of steps: mounts, namespaces, cgroups, capabilities, "
        "the seccomp policy, and at last the program. This shows each with its time and the "
        "side that took it: the daemon, or the container's own process.",
        examples=(
            ("explain web", "the start of a container that exists"),
            (
                "explain run --rm -v data:/data debian true",
                "run something and tell afterwards, on stderr",
            ),
        ),
    ),
}

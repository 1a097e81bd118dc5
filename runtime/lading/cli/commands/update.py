"""`lading update`."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.failures import ApiError, CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import STRING
from lading.cli.options.containers import CPU_AND_MEMORY
from lading.cli.options.resources import restart_policy, updatable


def update(context: Context, options: Options) -> int:
    """Change limits and restart policy of containers."""
    if not any(options.given(flag.name) for flag in FLAGS):
        raise CliError("you must provide one or more flags when using this command")
    body = updatable(options)
    try:
        if policy := restart_policy(options.text("restart")):
            body["RestartPolicy"] = policy
    except ValueError as error:
        raise CliError(str(error)) from None
    status = 0
    warnings: list[str] = []
    for name in options.args:
        try:
            answer = context.client.post(f"/containers/{name}/update", body=body)
        except ApiError as error:
            context.error(f"{error}\n")
            status = 1
        else:
            context.out(f"{name}\n")
            warnings += answer.get("Warnings") or ()
    if warnings:
        context.out("\n".join(warnings) + "\n")
    return status


FLAGS = (
    *CPU_AND_MEMORY,
    Flag(
        "restart",
        "",
        STRING,
        "When to start again: no, on-failure[:times], always, unless-stopped",
        group="Limits",
    ),
)

COMMANDS = {
    "update": Command(
        "update",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Update configuration of one or more containers",
        update,
        arguments=(1, None),
        flags=FLAGS,
        about="Limits take effect at once, also in a running container.",
        examples=(("update --memory 200m --memory-swap 200m web", "a new memory limit"),),
    ),
}

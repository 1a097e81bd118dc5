"""`lading version`."""

from __future__ import annotations

import os
import sys

from lading import __version__
from lading.cli.client.api import API_VERSION
from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import INSPECT_FORMAT_FLAG
from lading.cli.flags import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LABEL = 19


def client_version(context: Context) -> dict[str, Any]:
    """Describe this program as Docker's command line describes itself."""
    system = os.uname()
    return {
        "Version": __version__,
        "ApiVersion": context.client.version,
        "DefaultAPIVersion": API_VERSION,
        "GitCommit": "",
        "GoVersion": f"python{'.'.join(str(part) for part in sys.version_info[:3])}",
        "Os": system.sysname.lower(),
        "Arch": ARCHITECTURES.get(system.machine, system.machine),
        "BuildTime": "",
        "Context": "default",
    }


def _line(label: str, value: object, indent: str = " ") -> str:
    return f"{indent}{label + ':':<{LABEL - len(indent)}} {value}\n"


def _date(text: str) -> str:
    """Write an RFC 3339 time as ctime(3) does; leave anything else as it is."""
    import time

    from lading.cli.moments import parse_rfc3339
    from lading.cli.units import SECOND

    moment = parse_rfc3339(text)
    return text if moment is None else time.asctime(time.gmtime(moment // SECOND))


def _show_client(data: dict[str, Any]) -> str:
    python = data["GoVersion"].removeprefix("python")
    return (
        "Client:\n"
        + _line("Version", data["Version"])
        + _line("API version", data["ApiVersion"])
        + _line("Python version", python)
        + _line("OS/Arch", f"{data['Os']}/{data['Arch']}")
    )


def _show_engine(details: dict[str, str]) -> str:
    least = details.get("MinAPIVersion")
    api = details.get("ApiVersion", "") + (f" (minimum version {least})" if least else "")
    text = _line("API version", api, "  ")
    language = details.get("GoVersion", "")
    if language.startswith("python"):
        text += _line("Python version", language.removeprefix("python"), "  ")
    elif language:
        text += _line("Go version", language, "  ")
    if details.get("GitCommit"):
        text += _line("Git commit", details["GitCommit"], "  ")
    if details.get("BuildTime"):
        text += _line("Built", _date(details["BuildTime"]), "  ")
    text += _line("OS/Arch", f"{details.get('Os', '')}/{details.get('Arch', '')}", "  ")
    return text + _line("Experimental", details.get("Experimental", "false"), "  ")


def _with_dates(server: dict[str, Any]) -> dict[str, Any]:
    """Write the build times of components for people, as templates get to see them."""
    parts = []
    for component in server.get("Components") or ():
        details = dict(component.get("Details") or {})
        if details.get("BuildTime"):
            details["BuildTime"] = _date(details["BuildTime"])
        parts.append({**component, "Details": details})
    return {**server, "Components": parts}


def _show_server(data: dict[str, Any]) -> str:
    platform = (data.get("Platform") or {}).get("Name", "")
    text = f"\nServer:{' ' + platform if platform else ''}\n"
    for component in _components(data):
        details = component.get("Details") or {}
        text += f" {component['Name']}:\n" + _line("Version", component.get("Version", ""), "  ")
        if component["Name"] == "Engine":
            text += _show_engine(details)
        else:
            text += "".join(_line(key, details[key], "  ") for key in sorted(details))
    return text


def _components(data: dict[str, Any]) -> list[dict[str, Any]]:
    """List the daemon's parts; one that is too old to list any is an engine and nothing else."""
    if data.get("Components"):
        return list(data["Components"])
    details = {key: str(value) for key, value in data.items() if isinstance(value, str | bool)}
    details["Experimental"] = str(bool(data.get("Experimental"))).lower()
    return [{"Name": "Engine", "Version": data.get("Version", ""), "Details": details}]


def version(context: Context, options: Options) -> int:
    """Show the versions of client and daemon."""
    server: dict[str, Any] | None = None
    failure: CliError | None = None
    try:
        server = context.client.get("/version")
    except CliError as error:
        failure = error
    client = client_version(context)
    template = options.text("format")
    if not template:
        context.out(_show_client(client) + (_show_server(server) if server else ""))
    else:
        dated = _with_dates(server) if server else None
        context.out(_formatted(template, {"Client": client, "Server": dated}) + "\n")
    if failure:
        raise failure
    return 0


def _formatted(template: str, data: dict[str, Any]) -> str:
    from lading.cli.format.docker import execute_typed
    from lading.cli.format.lexer import TemplateError

    if template == "json":
        template = "{{json .}}"
    try:
        return execute_typed(template, "system.versionInfo", data, name="version")
    except TemplateError as error:
        raise CliError(str(error)) from None


COMMANDS = {
    "version": Command(
        "version",
        "[OPTIONS]",
        "Show the version information of client and daemon",
        version,
        flags=(INSPECT_FORMAT_FLAG,),
        about="Without a daemon, the client's part is shown and the status is 1.",
        examples=(("version -f '{{.Server.Version}}'", "the daemon's version only"),),
    ),
}

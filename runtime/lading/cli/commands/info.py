"""`lading info`."""

from __future__ import annotations

from lading import __version__
from lading.cli.command import Command, Context
from lading.cli.failures import CliError
from lading.cli.filters import INSPECT_FORMAT_FLAG
from lading.cli.flags import Options
from lading.cli.units import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB = "https://index.docker.io/v1/"


def _client(context: Context) -> dict[str, Any]:
    from lading.cli.commands.version import client_version

    return {**client_version(context), "Debug": context.debug, "Plugins": [], "Warnings": None}


def _lines(label: str, value: object) -> str:
    return f" {label}: {value}\n"


def _driver(info: dict[str, Any]) -> str:
    text = _lines("Storage Driver", info.get("Driver", ""))
    return text + "".join(f"  {name}: {value}\n" for name, value in info.get("DriverStatus") or ())


def _counts(info: dict[str, Any]) -> str:
    return (
        _lines("Containers", info.get("Containers", 0))
        + _lines(" Running", info.get("ContainersRunning", 0))
        + _lines(" Paused", info.get("ContainersPaused", 0))
        + _lines(" Stopped", info.get("ContainersStopped", 0))
        + _lines("Images", info.get("Images", 0))
        + _lines("Server Version", info.get("ServerVersion", ""))
    )


def _plugins(info: dict[str, Any]) -> str:
    plugins = info.get("Plugins") or {}
    text = " Plugins:\n"
    for kind in ("Volume", "Network", "Authorization", "Log"):
        if plugins.get(kind):
            text += f"  {kind}: {' '.join(plugins[kind])}\n"
    return text


def _runtimes(info: dict[str, Any]) -> str:
    text = ""
    swarm = (info.get("Swarm") or {}).get("LocalNodeState")
    if swarm:
        text += _lines("Swarm", swarm)
    if info.get("Runtimes"):
        text += _lines("Runtimes", " ".join(sorted(info["Runtimes"])))
        text += _lines("Default Runtime", info.get("DefaultRuntime", ""))
    if info.get("InitBinary"):
        text += _lines("Init Binary", info["InitBinary"])
    for key, label in (
        ("ContainerdCommit", "containerd"),
        ("RuncCommit", "runc"),
        ("InitCommit", "init"),
    ):
        if key in info:
            text += _lines(f"{label} version", (info[key] or {}).get("ID", ""))
    return text


def _security(info: dict[str, Any]) -> str:
    options = info.get("SecurityOptions") or ()
    text = " Security Options:\n" if options else ""
    for option in options:
        pairs = [pair.partition("=") for pair in option.split(",")]
        for key, _, value in pairs:
            text += f"  {value}\n" if key == "name" else f"   {key.title()}: {value}\n"
    return text


def _host(info: dict[str, Any]) -> str:
    text = ""
    for key, label in (
        ("KernelVersion", "Kernel Version"),
        ("OperatingSystem", "Operating System"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    ):
        text += _lines(label, info.get(key, ""))
    text += _lines("CPUs", info.get("NCPU", 0))
    text += _lines("Total Memory", binary_size(info.get("MemTotal", 0)))
    for key, label in (("Name", "Name"), ("ID", "ID"), ("DockerRootDir", "Docker Root Dir")):
        text += _lines(label, info.get(key, ""))
    return text + _lines("Debug Mode", _word(info.get("Debug")))


def _word(value: object) -> str:
    return "true" if value else "false"


def _debug(info: dict[str, Any]) -> str:
    if not info.get("Debug"):
        return ""
    return "".join(
        f"  {label}: {info.get(key, '')}\n"
        for key, label in (
            ("NFd", "File Descriptors"),
            ("NGoroutines", "Goroutines"),
            ("SystemTime", "System Time"),
            ("NEventsListener", "EventsListeners"),
        )
    )


def _rest(info: dict[str, Any]) -> str:
    text = "".join(
        _lines(label, info[key])
        for key, label in (
            ("HttpProxy", "HTTP Proxy"),
            ("HttpsProxy", "HTTPS Proxy"),
            ("NoProxy", "No Proxy"),
        )
        if info.get(key)
    )
    if info.get("Labels"):
        text += " Labels:\n" + "".join(f"  {label}\n" for label in info["Labels"])
    text += _lines("Experimental", _word(info.get("ExperimentalBuild")))
    registries = info.get("RegistryConfig") or {}
    insecure = [
        name
        for name, index in (registries.get("IndexConfigs") or {}).items()
        if not index.get("Secure")
    ]
    networks = registries.get("InsecureRegistryCIDRs") or []
    if insecure or networks:
        text += " Insecure Registries:\n" + "".join(
            f"  {name}\n" for name in (*insecure, *networks)
        )
    if registries.get("Mirrors"):
        text += " Registry Mirrors:\n" + "".join(f"  {name}\n" for name in registries["Mirrors"])
    text += _lines("Live Restore Enabled", _word(info.get("LiveRestoreEnabled")))
    if info.get("DefaultAddressPools"):
        text += " Default Address Pools:\n"
        for pool in info["DefaultAddressPools"]:
            text += f"   Base: {pool['Base']}, Size: {pool['Size']}\n"
    return text + "\n"


def _server(info: dict[str, Any]) -> str:
    text = _counts(info) + _driver(info)
    for key, label in (
        ("LoggingDriver", "Logging Driver"),
        ("CgroupDriver", "Cgroup Driver"),
        ("CgroupVersion", "Cgroup Version"),
    ):
        text += _lines(label, info.get(key, ""))
    text += _plugins(info)
    if info.get("CDISpecDirs"):
        text += " CDI spec directories:\n" + "".join(f"  {path}\n" for path in info["CDISpecDirs"])
    text += _runtimes(info) + _security(info) + _host(info) + _debug(info)
    return text + _rest(info)


def info(context: Context, options: Options) -> int:
    """Show what the daemon has and can."""
    template = options.text("format")
    if template:
        return _formatted(context, template)
    head = f"Client:\n Version:    {__version__}\n Context:    default\n"
    head += f" Debug Mode: {_word(context.debug)}\n"
    try:
        found = context.client.get("/info")
    except CliError:
        context.out(head + "\nServer:\n")
        raise
    context.out(f"{head}\nServer:\n{_server(found)}")
    for warning in found.get("Warnings") or ():
        context.error(f"{warning}\n")
    return 0


def _formatted(context: Context, template: str) -> int:
    from lading.cli.format.docker import compile_template, execute_typed
    from lading.cli.format.lexer import TemplateError

    source = "{{json .}}" if template == "json" else template
    try:
        compile_template(source)
        data = {**context.client.get("/info"), "ClientInfo": _client(context)}
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}", 64) from None
    try:
        context.out(execute_typed(source, "system.dockerInfo", data) + "\n")
    except TemplateError as error:
        raise CliError(str(error)) from None
    return 0


COMMANDS = {
    "info": Command(
        "info",
        "[OPTIONS]",
        "Display system-wide information",
        info,
        flags=(INSPECT_FORMAT_FLAG,),
        about="How many containers and images there are, what the kernel and its cgroups offer, "
        "and how the daemon is configured. Warnings name what is missing.",
        examples=(("info -f '{{.CgroupVersion}}'", "one value only"),),
    ),
}

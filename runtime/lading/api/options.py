"""What `ladingd` is told: its command line, and a file with Docker's daemon.json names."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from lading import __version__
from lading.errors import InvalidParameter

DEFAULT_ROOT = Path("/var/lib/lading")
DEFAULT_RUN = Path("/run/lading")
DEFAULT_CONFIG_FILE = Path("/etc/lading/daemon.json")

EPILOG = """\
examples:
  ladingd
      serve unix:///run/lading/lading.sock
  ladingd -H unix:///tmp/l/l.sock --root /tmp/l/root --run /tmp/l/run --bridge l0 --bip 10.9.0.1/24
      a second daemon, apart from the first
  ladingd -H tcp://127.0.0.1:2375 -H unix:///run/lading/lading.sock
      TCP as well; it has no authentication: keep it local, or give --tlsverify
  DOCKER_HOST=unix:///run/lading/lading.sock docker ps
      use it with Docker's own command line

Containers outlive a daemon that is killed; SIGTERM and SIGINT stop them first unless --live-restore
is given. SIGHUP reads labels, debug, registries, live restore and the shutdown timeout again from
the configuration file, which is JSON with Docker's daemon.json names:
  {"data-root": "/srv/lading", "hosts": ["fd://"], "log-opts": {"max-size": "10m"}, "debug": true}
"""


class UsageError(InvalidParameter):
    """The command line or the configuration file says something that cannot be."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its flag, its name in daemon.json, what kind of value it has, and its help."""

    flags: tuple[str, ...]
    key: str
    kind: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The field of `DaemonOptions`."""
        return self.key.replace("-", "_")


@dataclass(slots=True)
class DaemonOptions:
    """All settings, with their defaults; the names are those of daemon.json."""

    data_root: str = str(DEFAULT_ROOT)
    exec_root: str = str(DEFAULT_RUN)
    hosts: list[str] = field(default_factory=list)
    pidfile: str = ""
    bridge: str = ""
    bip: str = ""
    mtu: int = 0
    default_address_pools: list[dict[str, Any]] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    dns_opts: list[str] = field(default_factory=list)
    dns_search: list[str] = field(default_factory=list)
    ip: str = ""
    cgroup_parent: str = ""
    default_ulimits: dict[str, Any] = field(default_factory=dict)
    default_shm_size: str = ""
    default_cgroupns_mode: str = ""
    default_ipc_mode: str = ""
    init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    log_level: str = "info"
    debug: bool = False
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    live_restore: bool = False
    shutdown_timeout: int = 15
    labels: list[str] = field(default_factory=list)
    insecure_registries: list[str] = field(default_factory=list)
    registry_mirrors: list[str] = field(default_factory=list)
    tls: bool = False
    tlsverify: bool = False
    tlscacert: str = ""
    tlscert: str = ""
    tlskey: str = ""
    config_file: Path = DEFAULT_CONFIG_FILE


OPTIONS = (
    Option(("--root", "--data-root"), "data-root", "text", "where images, containers and volumes "
           f"are kept (default {DEFAULT_ROOT})", "DIR"),
    Option(("--run", "--exec-root"), "exec-root", "text", "where the state of running containers "
           f"is kept (default {DEFAULT_RUN})", "DIR"),
    Option(("-H", "--host"), "hosts", "list", "serve the API here: unix://PATH, tcp://HOST:PORT or "
           "fd:// for sockets of a service manager; may be repeated (default unix://RUN/lading.sock)",
           "ADDRESS"),
    Option(("-p", "--pidfile"), "pidfile", "text", "file for the daemon's process id "
           "(default RUN/lading.pid)", "FILE"),
    Option(("-b", "--bridge"), "bridge", "text", "name of the default network's bridge "
           "(default lading0); `none` for no default network", "NAME"),
    Option(("--bip",), "bip", "text", "address and prefix of that bridge, such as 172.30.0.1/16",
           "CIDR"),
    Option(("--mtu",), "mtu", "int", "MTU of the default network", "N"),
    Option(("--default-address-pool",), "default-address-pools", "pools", "where further networks "
           "take their subnets from; may be repeated", "base=CIDR,size=N"),
    Option(("--ip",), "ip", "text", "host address that ports are published on by default", "IP"),
    Option(("--dns",), "dns", "list", "name server of containers; may be repeated", "IP"),
    Option(("--dns-opt",), "dns-opts", "list", "resolver option of containers", "OPTION"),
    Option(("--dns-search",), "dns-search", "list", "search domain of containers", "DOMAIN"),
    Option(("--cgroup-parent",), "cgroup-parent", "text", "cgroup that containers' cgroups are "
           "made in (default lading)", "PATH"),
    Option(("--default-ulimit",), "default-ulimits", "ulimits", "ulimit of containers, such as "
           "nofile=1024:4096; may be repeated", "NAME=SOFT[:HARD]"),
    Option(("--default-shm-size",), "default-shm-size", "text", "size of /dev/shm (default 64m)",
           "BYTES"),
    Option(("--default-cgroupns-mode",), "default-cgroupns-mode", "text", "cgroup namespace of "
           "containers", "MODE", ("host", "private")),
    Option(("--default-ipc-mode",), "default-ipc-mode", "text", "IPC namespace of containers",
           "MODE", ("shareable", "private")),
    Option(("--init",), "init", "flag", "run an init process in every container"),
    Option(("--init-path",), "init-path", "text", "the program that is that init", "FILE"),
    Option(("--no-new-privileges",), "no-new-privileges", "flag",
           "set no_new_privs for containers"),
    Option(("-l", "--log-level"), "log-level", "text", "least level of the daemon's own messages "
           "(default info)", "LEVEL", ("debug", "info", "warn", "error", "fatal")),
    Option(("-D", "--debug"), "debug", "flag", "log at level debug"),
    Option(("--log-driver",), "log-driver", "text", "log driver of containers (default json-file)",
           "NAME"),
    Option(("--log-opt",), "log-opts", "map", "option of the log driver, such as max-size=10m; may "
           "be repeated", "KEY=VALUE"),
    Option(("--live-restore",), "live-restore", "flag", "leave containers running when the daemon "
           "is stopped"),
    Option(("--shutdown-timeout",), "shutdown-timeout", "int", "seconds that containers have to "
           "stop when the daemon does (default 15)", "SECONDS"),
    Option(("--label",), "labels", "list", "label of this daemon; may be repeated", "KEY=VALUE"),
    Option(("--insecure-registry",), "insecure-registries", "list", "registry to speak to without "
           "TLS, or with a certificate that is not verified", "HOST[:PORT]|CIDR"),
    Option(("--registry-mirror",), "registry-mirrors", "list", "mirror of Docker Hub", "URL"),
    Option(("--tls",), "tls", "flag", "serve TCP by TLS"),
    Option(("--tlsverify",), "tlsverify", "flag", "serve TCP by TLS, and only to clients whose "
           "certificate the CA signed"),
    Option(("--tlscacert",), "tlscacert", "text", "that CA (default ~/.docker/ca.pem)", "FILE"),
    Option(("--tlscert",), "tlscert", "text", "the daemon's certificate (default "
           "~/.docker/cert.pem)", "FILE"),
    Option(("--tlskey",), "tlskey", "text", "its key (default ~/.docker/key.pem)", "FILE"),
)  # fmt: skip
"""Every setting but `--config-file`."""

RELOADABLE = (
    "debug",
    "labels",
    "insecure-registries",
    "registry-mirrors",
    "shutdown-timeout",
    "live-restore",
)
"""The settings that SIGHUP reads again."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse in one sentence."""
        raise UsageError(f"{message}; see ladingd --help")


def parse(arguments: list[str]) -> DaemonOptions:
    """Read the command line, and the configuration file that it (or the default) names.

    Raises UsageError with one sentence; `--help` and `--version` print and exit.
    """
    given = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value}
    explicit = given.pop("config_file", None)
    options = DaemonOptions()
    flags = {option.key: _from_flags(option, given[option.attribute]) for option in OPTIONS
             if option.attribute in given}  # fmt: skip
    path = Path(explicit) if explicit else DEFAULT_CONFIG_FILE
    from_file: dict[str, Any] = {}
    if explicit or path.exists():
        from lading.api import configfile

        from_file = configfile.read(path, OPTIONS)
    if doubled := sorted(flags.keys() & from_file.keys()):
        raise UsageError(
            "the following directives are specified both as a flag and in the configuration "
            f"file {path}: {', '.join(doubled)}"
        )
    for key, value in (flags | from_file).items():
        setattr(options, key.replace("-", "_"), value)
    options.config_file = path
    if options.debug:
        options.log_level = "debug"
    return options


def reload(current: DaemonOptions) -> DaemonOptions:
    """Read the configuration file again and take from it what may change while the daemon runs.

    What it says of other settings has no effect until the next start. Raises UsageError.
    """
    if not current.config_file.exists():
        return current
    from lading.api import configfile

    fresh = configfile.read(current.config_file, OPTIONS)
    changes = {key.replace("-", "_"): value for key, value in fresh.items() if key in RELOADABLE}
    return replace(current, **changes)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ladingd",
        description="The daemon of Lading, a container engine that speaks Docker's Engine API.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in OPTIONS:
        settings: dict[str, Any] = {"dest": option.attribute, "help": option.help, "default": None}
        if option.kind == "flag":
            settings["action"] = "store_true"
        else:
            settings["metavar"] = option.metavar
            settings["choices"] = option.choices or None
            settings["action"] = "store" if option.kind in {"text", "int"} else "append"
            settings["type"] = int if option.kind == "int" else str
        parser.add_argument(*option.flags, **settings)
    parser.add_argument(
        "--config-file", metavar="FILE", help=f"configuration (default {DEFAULT_CONFIG_FILE})"
    )
    parser.add_argument(
        "-v", "--version", action="version", version=f"Lading version {__version__}"
    )
    return parser


def _from_flags(option: Option, value: Any) -> Any:
    """Turn what argparse collected into what daemon.json would hold."""
    match option.kind:
        case "map":
            return dict(_pair(option, item) for item in value)
        case "ulimits":
            return dict(_ulimit(item) for item in value)
        case "pools":
            return [_pool(item) for item in value]
        case _:
            return value


def _pair(option: Option, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"{option.flags[-1]} {text!r} is not of the form KEY=VALUE")
    return key, value


def _ulimit(text: str) -> tuple[str, dict[str, Any]]:
    """Read `nofile=1024:4096` as daemon.json's `{"Name": …, "Soft": …, "Hard": …}`."""
    name, equals, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        low = int(soft)
        high = int(hard) if hard else low
    except ValueError:
        equals = ""
        low = high = 0
    if not name or not equals:
        raise UsageError(f"--default-ulimit {text!r} is not of the form NAME=SOFT[:HARD]")
    return name, {"Name": name, "Soft": low, "Hard": high}


def _pool(text: str) -> dict[str, Any]:
    """Read `base=10.10.0.0/16,size=24` as daemon.json's `{"base": …, "size": …}`."""
    fields = dict(item.partition("=")[::2] for item in text.split(","))
    if fields.keys() != {"base", "size"} or not fields["size"].isdigit():
        raise UsageError(f"--default-address-pool {text!r} is not of the form base=CIDR,size=N")
    return {"base": fields["base"], "size": int(fields["size"])}

"""Put the options of `run` and `create` together as the body of POST /containers/create."""

from __future__ import annotations

from lading.cli.options import ports
from lading.cli.options.files import read_variables
from lading.cli.options.health import healthcheck
from lading.cli.options.mounts import parse_tmpfs, split_volumes
from lading.cli.options.networks import networks
from lading.cli.options.resources import all_limits, restart_policy
from lading.cli.options.security import capabilities, devices, namespace_modes, security_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.flags import Options


def make_body(
    options: Options, image: str, command: list[str], proxies: dict[str, str]
) -> dict[str, Any]:
    """Make the whole body; raises ValueError with a sentence for what cannot be.

    Fields that have no value of their own are left out; `proxies` are variables to set if nobody
    else does.
    """
    limits = all_limits(options)
    binds, anonymous = split_volumes(options.items("volume"))
    bindings = ports.published(options.items("publish"))
    exposed = ports.exposed_set(bindings, options.items("expose"))
    body = _process(options, image, command, proxies)
    if exposed:
        body["ExposedPorts"] = exposed
    if anonymous:
        body["Volumes"] = anonymous
    body["HostConfig"] = {
        **limits,
        **_filled({"Binds": binds, "PortBindings": bindings}),
        **_host_config(options),
    }
    attachments = networks(options)
    body["HostConfig"]["NetworkMode"] = attachments[0].target
    if any(attachment.endpoint for attachment in attachments) or len(attachments) > 1:
        endpoints = {attachment.target: attachment.endpoint for attachment in attachments}
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    if links := options.items("link"):
        body["HostConfig"]["Links"] = links
    return body


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", False, [], {})}


def _process(
    options: Options, image: str, command: list[str], proxies: dict[str, str]
) -> dict[str, Any]:
    attached = options.items("attach")
    default = not attached
    stdin = "stdin" in attached or (default and options.on("interactive"))
    body = _filled(
        {
            "Hostname": options.text("hostname"),
            "Domainname": options.text("domainname"),
            "User": options.text("user"),
            "AttachStdin": stdin,
            "AttachStdout": default or "stdout" in attached,
            "AttachStderr": default or "stderr" in attached,
            "Tty": options.on("tty"),
            "OpenStdin": options.on("interactive"),
            "StdinOnce": options.on("interactive") and stdin,
            "Env": _environment(options, proxies),
            "Cmd": command,
            "Image": image,
            "WorkingDir": options.text("workdir"),
            "Labels": _labels(options),
            "StopSignal": options.text("stop-signal"),
            "Healthcheck": healthcheck(options),
        }
    )
    if options.given("entrypoint"):
        body["Entrypoint"] = [options.text("entrypoint")]
    if options.given("stop-timeout"):
        body["StopTimeout"] = options.number("stop-timeout")
    return body


def _environment(options: Options, proxies: dict[str, str]) -> list[str]:
    found: list[str] = []
    for path in options.items("env-file"):
        found += read_variables(path, environment=True)
    found += options.items("env")
    names = {variable.partition("=")[0] for variable in found}
    return found + [f"{name}={value}" for name, value in proxies.items() if name not in names]


def _labels(options: Options) -> dict[str, str]:
    lines: list[str] = []
    for path in options.items("label-file"):
        lines += read_variables(path, environment=False)
    pairs = (line.partition("=") for line in lines + options.items("label"))
    return {name: value for name, _, value in pairs}


def _host_config(options: Options) -> dict[str, Any]:
    added, dropped = capabilities(options.items("cap-add"), options.items("cap-drop"))
    security, unmasked = security_options(options.items("security-opt"))
    mappings, cdi = devices(options.items("device"))
    requests = [*options.items("gpus")]
    if cdi:
        requests.append({"Driver": "cdi", "DeviceIDs": cdi})
    fields = {
        **namespace_modes(options),
        "ContainerIDFile": options.text("cidfile"),
        "LogConfig": _logging(options),
        "RestartPolicy": restart_policy(options.text("restart")),
        "AutoRemove": options.on("rm"),
        "VolumeDriver": options.text("volume-driver"),
        "VolumesFrom": options.items("volumes-from"),
        "Mounts": options.items("mount"),
        "Tmpfs": parse_tmpfs(options.items("tmpfs")),
        "CapAdd": added,
        "CapDrop": dropped,
        "Dns": options.items("dns"),
        "DnsOptions": options.items("dns-option"),
        "DnsSearch": options.items("dns-search"),
        "ExtraHosts": options.items("add-host"),
        "GroupAdd": options.items("group-add"),
        "OomScoreAdj": options.number("oom-score-adj"),
        "Privileged": options.on("privileged"),
        "PublishAllPorts": options.on("publish-all"),
        "ReadonlyRootfs": options.on("read-only"),
        "SecurityOpt": security,
        "StorageOpt": _storage(options),
        "ShmSize": options.number("shm-size"),
        "Sysctls": options.mapping("sysctl"),
        "Runtime": options.text("runtime"),
        "Isolation": options.text("isolation"),
        "Annotations": options.mapping("annotation"),
        "Devices": mappings,
        "DeviceCgroupRules": options.items("device-cgroup-rule"),
        "DeviceRequests": requests,
    }
    config = _filled(fields)
    if unmasked:
        config["MaskedPaths"] = config["ReadonlyPaths"] = []
    if options.given("init"):
        config["Init"] = options.on("init")
    return config


def _logging(options: Options) -> dict[str, Any]:
    driver, settings = options.text("log-driver"), options.mapping("log-opt")
    if driver == "none" and settings:
        raise ValueError("invalid logging opts for driver none")
    return _filled({"Type": driver, "Config": settings})


def _storage(options: Options) -> dict[str, str]:
    for value in options.items("storage-opt"):
        if "=" not in value:
            raise ValueError("invalid storage option")
    return options.mapping("storage-opt")

"""The parameters of ImageBuild, read and checked as Docker does before a build begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lading.api import registryauth
from lading.api.routes.registry import step_message
from lading.build.contracts import BuildOptions
from lading.engine.buildhost import BuildSettings
from lading.engine.model import HostConfig
from lading.engine.model.host import Ulimit
from lading.engine.model.wire import decode
from lading.errors import InvalidParameter, LadingError, NotImplementedYet
from lading.image import reference
from lading.image.registry.platforms import Platform
from lading.image.registry.settings import Credentials

if TYPE_CHECKING:
    from lading.api.call import Call

T = TypeVar("T")

TIMES_HEADER = "X-Lading-Times"
"""Request header of POST /build that asks for the times of messages."""

_INT64 = 1 << 63


def options_of(call: Call) -> BuildOptions:
    """Read what is to be built; raises InvalidParameter, and LadingError for a bad tag."""
    return BuildOptions(
        tags=tuple(_tag(name) for name in call.values("t") if name),
        target=call.text("target"),
        build_args=_mapping(call, "buildargs", "build args"),
        labels=_mapping(call, "labels", "labels"),
        no_cache=call.flag("nocache"),
        network=call.text("networkmode"),
        cache_from=_cache_from(call),
        timed=bool(call.request.headers.get(TIMES_HEADER)),
    )


def settings_of(call: Call) -> BuildSettings:
    """Read how it is to be built; raises InvalidParameter, NotImplementedYet, LadingError."""
    _check_unavailable(call)
    platform = call.text("platform")
    if platform:
        Platform.parse(platform)
    logins = registryauth.from_config_header(
        call.request.headers.get(registryauth.CONFIG_HEADER, "")
    )
    return BuildSettings(
        login=lambda host: logins.get(host, Credentials()),
        shown=step_message,
        limits=_limits(call),
        remove=call.flag("rm", default=True) if call.text("rm") else True,
        force_remove=call.flag("forcerm"),
        platform=platform,
        pull=call.flag("pull"),
    )


def _check_unavailable(call: Call) -> None:
    """Refuse what this builder does not have, in Docker's words where Docker refuses it."""
    version = call.text("version")
    if version == "2":
        raise NotImplementedYet(
            "BuildKit (version=2) is not part of Lading: set DOCKER_BUILDKIT=0, which asks for its "
            "own builder"
        )
    if version not in ("", "1"):
        raise InvalidParameter(f'invalid version "{version}"')
    if call.flag("squash"):
        raise InvalidParameter("squash is only supported with experimental mode")
    if call.text("securityopt"):
        raise InvalidParameter("security options are not supported on linux")
    isolation = call.text("isolation")
    if isolation.lower() not in ("", "default"):
        raise InvalidParameter(f'unsupported isolation: "{isolation}"')
    # Exporters are BuildKit's: Docker's classic builder reads them, too, and does without.
    _json(call, "outputs", list[dict[str, Any]], "invalid outputs specified")


def _limits(call: Call) -> HostConfig:
    """Read what each container of the build gets; its values are checked when one is made."""
    return HostConfig(
        memory=_number(call, "memory"),
        memory_swap=_number(call, "memswap"),
        cpu_shares=_number(call, "cpushares"),
        cpu_period=_number(call, "cpuperiod"),
        cpu_quota=_number(call, "cpuquota"),
        cpuset_cpus=call.text("cpusetcpus"),
        cpuset_mems=call.text("cpusetmems"),
        cgroup_parent=call.text("cgroupparent"),
        shm_size=_shm_size(call),
        extra_hosts=[entry for entry in call.values("extrahosts") if entry] or None,
        ulimits=_ulimits(call),
    )


def _number(call: Call, name: str) -> int:
    """Read a limit; what is no number says nothing, as in Docker."""
    try:
        value = int(call.text(name) or "0")
    except ValueError:
        return 0
    return value if -_INT64 <= value < _INT64 else 0


def _shm_size(call: Call) -> int:
    text = call.text("shmsize") or "0"
    try:
        return int(text)
    except ValueError:
        raise LadingError(f'invalid shmsize "{text}": it is a whole number of bytes') from None


def _ulimits(call: Call) -> list[Ulimit] | None:
    text = call.text("ulimits")
    try:
        return decode(text, list[Ulimit] | None) if text else None  # type: ignore[arg-type]
    except InvalidParameter as error:
        raise InvalidParameter(f"error reading ulimit settings: {error.message}") from None


def _tag(name: str) -> str:
    """Check a name for the image; Docker answers 500 to one that is malformed."""
    try:
        parsed = reference.parse(name)
    except InvalidParameter as error:
        raise LadingError(error.message) from None
    if parsed.digest:
        raise LadingError("build tag cannot contain a digest")
    return name


def _mapping(call: Call, name: str, shown: str) -> dict[str, str]:
    """Read a JSON object of strings; a null value counts as not given."""
    given = _json(call, name, dict[str, str | None], f"error reading {shown}") or {}
    return {key: value for key, value in given.items() if value is not None}


def _cache_from(call: Call) -> tuple[str, ...] | None:
    """Read the images whose steps may be used; None, for all, when none is named."""
    return tuple(_json(call, "cachefrom", list[str], "error reading cache-from") or ()) or None


def _json(call: Call, name: str, kind: type[T], failure: str) -> T | None:
    text = call.text(name)
    try:
        return msgspec.json.decode(text, type=kind | None) if text else None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidParameter(f"{failure}: {error}") from None

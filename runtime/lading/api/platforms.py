"""The parameters `platform` and `platforms`, in which operations on images take OCI's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.api.versions import Version

if TYPE_CHECKING:
    from lading.api.call import Call
    from lading.image.registry.platforms import Platform

PUSH_SINCE = Version(1, 46)
ARCHIVES_SINCE = Version(1, 48)
INSPECT_SINCE = Version(1, 49)
DELETE_SINCE = Version(1, 50)


def asked_for(call: Call, since: Version, key: str = "platform") -> list[Platform]:
    """Return the platforms that a parameter names; none for clients older than the parameter.

    Raises InvalidParameter for a value that is no platform.
    """
    from lading.image.registry.platforms import Platform

    if call.version < since:
        return []
    return [Platform.from_json(text) for text in call.values(key) if text]


def one_asked_for(call: Call, since: Version) -> Platform | None:
    """Return the platform that the parameter `platform` names; see `asked_for`."""
    return next(iter(asked_for(call, since)), None)

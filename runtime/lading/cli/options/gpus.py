"""`--gpus`, as a device request."""

from __future__ import annotations

from lading.cli.options.csvline import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_gpus(text: str) -> dict[str, Any]:
    """Read `all`, `2`, `device=0`, `"device=0,1"`, `all,capabilities=utility`.

    Raises ValueError in Docker's words.
    """
    request: dict[str, Any] = {"Driver": "", "Count": 0, "Capabilities": [], "Options": {}}
    seen: set[str] = set()
    for field in fields(text):
        key, equals, value = field.partition("=")
        if key in seen:
            raise ValueError(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not equals:
            seen.add("count")
            request["Count"] = _count(key)
        elif key == "count":
            request["Count"] = _count(value)
        elif key == "driver":
            request["Driver"] = value
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            pairs = (item.partition("=") for item in fields(value))
            request["Options"] = {name: content for name, _, content in pairs}
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and "DeviceIDs" not in request:
        request["Count"] = 1
    request["Capabilities"] = request["Capabilities"] or [["gpu"]]
    return request


def _count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None

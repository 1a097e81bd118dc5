"""`docker rename`."""

from __future__ import annotations

from lading.engine import names
from lading.engine.announce import announce
from lading.engine.networking import Networking
from lading.engine.registry import Entry, Registry
from lading.errors import InvalidParameter, LadingError


async def rename(entry: Entry, name: str, registry: Registry, networking: Networking) -> None:
    """Give a container another name, also on disk and among the names on its networks.

    Raises InvalidParameter for a bad name, Conflict for one in use.
    """
    if not name.removeprefix("/"):
        raise InvalidParameter("Neither old nor new names may be empty")
    async with entry.lock:
        record = entry.record
        old = record.name
        if name.removeprefix("/") == old:
            raise InvalidParameter("Renaming a container with the same name as its current name")
        try:
            fresh = names.check("/" + name.removeprefix("/"))
            registry.reserve(fresh, record.id)
        except LadingError as error:
            raise type(error)(f"Error when allocating new name: {error}") from None
        record.name = fresh
        try:
            networking.rename(record, old)
        except BaseException:
            record.name = old
            registry.release(fresh, record.id)
            raise
        registry.release(old, record.id)
    announce(networking.events, record, "rename", oldName=f"/{old}")

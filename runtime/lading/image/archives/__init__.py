"""`docker load`, `docker save` and `docker import`: images as tar streams."""

from __future__ import annotations

from lading.image.archives.importing import import_
from lading.image.archives.intake import LayerProgress
from lading.image.archives.loading import Loaded, LoadEvent, load
from lading.image.archives.saving import chosen, save

__all__ = ["LayerProgress", "LoadEvent", "Loaded", "chosen", "import_", "load", "save"]

"""`lading images --tree`: each image with its names, and below it the platforms it has."""

from __future__ import annotations

from lading.cli import tables
from lading.cli.listing import shown_id, view_of
from lading.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.command import Context
    from lading.cli.flags import Options

HEADER = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "IN USE"]


def show_tree(context: Context, query: dict[str, Any], options: Options) -> int:
    """List images as a tree, those without a name only where they are asked for."""
    found = context.client.get("/images/json", {**query, "manifests": True}) or []
    if not options.on("all") and not options.items("filter"):
        found = [image for image in found if image.get("RepoTags")]
    view = view_of(options)
    rows = [HEADER]
    for image in found:
        names = image.get("RepoTags") or ["<untagged>"]
        content = sum(m.get("Size", {}).get("Content", 0) for m in image.get("Manifests") or ())
        used = "yes" if image.get("Containers", -1) > 0 else ""
        rows += [[name, "", "", "", ""] for name in names[:-1]]
        rows.append(
            [
                names[-1],
                shown_id(image["Id"], view),
                human_size(image.get("Size", 0)),
                human_size(content),
                used,
            ]
        )
        rows += _platforms(image, options)
    context.out(tables.table(rows, [True, False, False, False, False], context.width()))
    return 0


def _platforms(image: dict[str, Any], options: Options) -> list[list[str]]:
    view = view_of(options)
    manifests = [m for m in image.get("Manifests") or () if m.get("Kind") == "image"]
    rows = []
    for at, manifest in enumerate(manifests):
        data = manifest.get("ImageData") or {}
        platform = data.get("Platform") or {}
        words = [platform.get(key) for key in ("os", "architecture", "variant")]
        name = "/".join(word for word in words if word) or "unknown"
        size = manifest.get("Size", {})
        branch = "└─ " if at == len(manifests) - 1 else "├─ "
        rows.append(
            [
                branch + name,
                shown_id(manifest.get("ID", ""), view),
                human_size(size.get("Total", 0)),
                human_size(size.get("Content", 0)),
                "yes" if data.get("Containers") else "",
            ]
        )
    return rows

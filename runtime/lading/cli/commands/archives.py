"""`lading import`, `lading load` and `lading save`."""

from __future__ import annotations

import os

from lading.cli import references
from lading.cli.command import STDIN, Command, Context
from lading.cli.failures import CliError
from lading.cli.flags import Flag, Options
from lading.cli.kinds import BOOL, LIST, STRING
from lading.cli.output import Output
from lading.cli.platforms import as_json
from lading.cli.progress import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 18
TAR = {"Content-Type": "application/x-tar"}


def read_file(path: str) -> Iterator[bytes]:
    """Read a file piece by piece, "-" for stdin; raises CliError if it cannot be opened."""
    if path == "-":
        return _pieces(STDIN, close=False)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CliError(f"open {path}: {(error.strerror or '').lower()}") from None
    return _pieces(fd, close=True)


def _pieces(fd: int, *, close: bool) -> Iterator[bytes]:
    try:
        while data := os.read(fd, CHUNK):
            yield data
    finally:
        if close:
            os.close(fd)


def import_(context: Context, options: Options) -> int:
    """Make an image of a tar archive of a file system."""
    source = options.args[0]
    query: dict[str, object] = {
        "message": options.text("message"),
        "changes": options.items("change"),
        "platform": options.text("platform"),
    }
    if len(options.args) > 1:
        name = references.parse(options.args[1]).with_default_tag()
        if name.digest:
            raise CliError("cannot import digest reference")
        query.update(repo=name.familiar, tag=name.tag)
    if source.startswith(("http://", "https://")):
        response = context.client.request("POST", "/images/create", {**query, "fromSrc": source})
    else:
        stream = read_file(source)
        response = context.client.request(
            "POST", "/images/create", {**query, "fromSrc": "-"}, stream=stream, headers=TAR
        )
    follow(context, response.values())
    return 0


def load(context: Context, options: Options) -> int:
    """Load images from an archive that `save` made."""
    path = options.text("input") or "-"
    if path == "-" and os.isatty(STDIN):
        raise CliError("requested load from stdin, but stdin is empty")
    quiet = options.on("quiet") or context.width() is None
    query: dict[str, object] = {"quiet": "1" if quiet else "0"}
    if platform := options.text("platform"):
        query["platform"] = as_json(platform)
    response = context.client.request(
        "POST", "/images/load", query, stream=read_file(path), headers=TAR
    )
    if "json" in response.headers.get("content-type", ""):
        follow(context, response.values())
    else:
        for data in response.parts():
            context.out(data)
    return 0


def save(context: Context, options: Options) -> int:
    """Write images as an archive."""
    query: dict[str, object] = {"names": options.args}
    if platform := options.text("platform"):
        query["platform"] = as_json(platform)
    with Output(context, options.text("output"), what="save image") as output:
        for data in context.client.request("GET", "/images/get", query).parts():
            output.write(data)
    return 0


COMMANDS = {
    "import": Command(
        "import",
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        "Import the contents from a tarball to create a filesystem image",
        import_,
        arguments=(1, 2),
        flags=(
            Flag("change", "c", LIST, "Dockerfile instruction to apply, such as 'CMD [\"sh\"]'"),
            Flag("message", "m", STRING, "What the image is"),
            Flag("platform", "", STRING, "Platform of the image: os/arch[/variant]"),
        ),
        about="The archive, plain or compressed, is a root file system; it becomes the image's "
        "only layer.",
        examples=(
            (
                "import -c 'CMD [\"bash\"]' root.tar.gz mine:latest",
                "with a command to run by default",
            ),
            ("export web | lading import - web:flat", "all layers of a container as one"),
        ),
    ),
    "load": Command(
        "load",
        "[OPTIONS]",
        "Load an image from a tar archive or STDIN",
        load,
        flags=(
            Flag("input", "i", STRING, "File to read, instead of stdin"),
            Flag("platform", "", STRING, "Platform to load: os[/arch[/variant]]"),
            Flag("quiet", "q", BOOL, "Do not show how it goes"),
        ),
        about="Reads what `lading save` or `docker save` wrote, in Docker's or the OCI layout, "
        "compressed or not.",
        examples=(("load -i web.tar", "from a file"),),
    ),
    "save": Command(
        "save",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        save,
        arguments=(1, None),
        flags=(
            Flag("output", "o", STRING, "File to write to, instead of stdout"),
            Flag("platform", "", STRING, "Platform to save: os[/arch[/variant]]"),
        ),
        about="All layers, configuration and names. Layers that images share are in the archive "
        "once.",
        examples=(("save -o web.tar web:1.2 web:1.3", "two images, one file"),),
    ),
}

"""Pull an image: for `lading pull`, and for a `run` of an image that is not here."""

from __future__ import annotations

from lading.cli import credentials, references
from lading.cli.progress import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.command import Context


def auth_header(context: Context, domain: str) -> dict[str, str]:
    """Make the header with the credentials for a registry."""
    auth = credentials.find(context.config, credentials.server_key(domain))
    return {"X-Registry-Auth": credentials.header(auth)}


def pull(
    context: Context,
    image: str,
    *,
    platform: str = "",
    quiet: bool = False,
    to_stderr: bool = False,
    all_tags: bool = False,
) -> None:
    """Pull an image and show how it goes; raises CliError if it cannot be had."""
    reference = references.parse(image)
    if not all_tags:
        reference = reference.with_default_tag()
    query = {"fromImage": reference.familiar, "tag": reference.tag, "platform": platform}
    if reference.digest:
        query["tag"] = reference.digest
    response = context.client.request(
        "POST", "/images/create", query, headers=auth_header(context, reference.domain)
    )
    follow(context, response.values(), quiet=quiet, to_stderr=to_stderr)

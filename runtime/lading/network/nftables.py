"""libnftables through ctypes: commands as JSON, all of one call in one transaction.

Source: libnftables(3), libnftables-json(5).
"""

from __future__ import annotations

import ctypes
from typing import Any

import msgspec

from lading.errors import LadingError, Unavailable

_JSON_OUTPUT = 1 << 4
Command = dict[str, Any]


class Nftables:
    """A connection to the packet filter of the network namespace that it was made in."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise Unavailable(
                "the library libnftables.so.1 is missing: install the package libnftables1"
            ) from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_free.argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
            getattr(library, name).restype = ctypes.c_char_p
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        self._library = library
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise Unavailable("libnftables cannot reach the kernel's packet filter")
        library.nft_ctx_output_set_flags(self._context, _JSON_OUTPUT)
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: list[Command]) -> list[Command]:
        """Carry out *commands*, all or none; give what they print, as a list of objects.

        Raises LadingError with nftables' own words.
        """
        text = msgspec.json.encode({"nftables": commands})
        status = self._library.nft_run_cmd_from_buffer(self._context, text)
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        said = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if status != 0:
            words = " ".join(said.decode("utf-8", "replace").split()) or f"status {status}"
            raise LadingError(f"the packet filter refused the rules: {words[:400]}")
        if not output.strip():
            return []
        answer: list[Command] = msgspec.json.decode(output)["nftables"]
        return answer

    def close(self) -> None:
        """Free the connection."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

"""Text in Go's quotes, for tables that need nothing else of the template language."""

from __future__ import annotations


def quoted(text: str) -> str:
    """Quote text as Go's strconv.Quote does."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from lading.cli.format.lexer import quote

    return quote(text)

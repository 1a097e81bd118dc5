"""Read the string and character constants of Go."""

from __future__ import annotations

SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
SIMPLE.update({"\\": "\\", "'": "'", '"': '"'})
HEX_LENGTH = {"x": 2, "u": 4, "U": 8}


def unquote(source: str) -> str | None:
    """Give the text that a quoted Go constant stands for; None if an escape in it is malformed."""
    if source.startswith("`"):
        return source[1:-1].replace("\r", "")
    mark, body = source[0], source[1:-1]
    out = bytearray()
    pos = 0
    while pos < len(body):
        if body[pos] != "\\":
            out += body[pos].encode("utf-8", "surrogatepass")
            pos += 1
            continue
        step = _escape(body, pos + 1, mark)
        if step is None:
            return None
        out += step[0]
        pos = step[1]
    return out.decode("utf-8", "replace")


def _escape(body: str, pos: int, mark: str) -> tuple[bytes, int] | None:
    """Read what follows a backslash: the bytes it stands for and where the text goes on."""
    kind = body[pos : pos + 1]
    if kind in SIMPLE and not (kind in "'\"" and kind != mark):
        return SIMPLE[kind].encode(), pos + 1
    try:
        if kind in HEX_LENGTH:
            end = pos + 1 + HEX_LENGTH[kind]
            digits = body[pos + 1 : end]
            if len(digits) != HEX_LENGTH[kind]:
                return None
            code = int(digits, 16)
            return (bytes([code]) if kind == "x" else chr(code).encode()), end
        if kind.isdigit():
            code = int(body[pos : pos + 3], 8)
            return (bytes([code]), pos + 3) if len(body[pos : pos + 3]) == 3 else None
    except (ValueError, OverflowError):
        return None
    return None

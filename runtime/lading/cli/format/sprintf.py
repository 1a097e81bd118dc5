"""Go's fmt verbs: what `printf` in a template does."""

from __future__ import annotations

from lading.cli.format.lexer import quote
from lading.cli.format.values import (
    SOME_ADDRESS,
    Pointer,
    float_text,
    is_nil,
    show,
    show_quoted,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FLAGS = "+-# 0"
INTEGER_VERBS = "bcdoOqxXUv"
FLOAT_VERBS = "beEfFgGxXv"
STRING_VERBS = "sqxXv"


class Spec:
    """One verb with its flags, width and precision, as in `%-10.3f`."""

    __slots__ = ("flags", "precision", "verb", "width")

    def __init__(self) -> None:
        self.flags = ""
        self.width: int | None = None
        self.precision: int | None = None
        self.verb = ""


def sprintf(template: str, args: Sequence[object]) -> str:
    """Format as fmt.Sprintf does, wrong uses (`%!d(string=x)`) included."""
    out: list[str] = []
    used = 0
    pos = 0
    while pos < len(template):
        percent = template.find("%", pos)
        if percent < 0:
            out.append(template[pos:])
            break
        out.append(template[pos:percent])
        spec, pos, used = _read_spec(template, percent + 1, args, used)
        if spec.verb == "":
            out.append("%!(NOVERB)")
        elif spec.verb == "%":
            out.append("%")
        elif used >= len(args):
            out.append(f"%!{spec.verb}(MISSING)")
        else:
            out.append(_format(spec, args[used]))
            used += 1
    if used < len(args):
        extra = ", ".join(_typed(arg) for arg in args[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def sprint(args: Sequence[object]) -> str:
    """Join as fmt.Sprint does: a space between two operands of which neither is a string."""
    out = ""
    for number, arg in enumerate(args):
        if number and not isinstance(arg, str) and not isinstance(args[number - 1], str):
            out += " "
        out += show(arg)
    return out


def _read_spec(template: str, pos: int, args: Sequence[object], used: int) -> tuple[Spec, int, int]:
    spec = Spec()
    while pos < len(template) and template[pos] in FLAGS:
        spec.flags += template[pos]
        pos += 1
    spec.width, pos, used = _read_number(template, pos, args, used)
    if spec.width is not None and spec.width < 0:
        spec.flags, spec.width = spec.flags + "-", -spec.width
    if template[pos : pos + 1] == ".":
        precision, pos, used = _read_number(template, pos + 1, args, used)
        spec.precision = precision or 0
    spec.verb = template[pos : pos + 1]
    return spec, pos + 1, used


def _read_number(
    template: str, pos: int, args: Sequence[object], used: int
) -> tuple[int | None, int, int]:
    if template[pos : pos + 1] == "*":
        value = args[used] if used < len(args) else None
        return (value if isinstance(value, int) else None), pos + 1, used + 1
    end = pos
    while end < len(template) and template[end].isdigit():
        end += 1
    return (int(template[pos:end]) if end > pos else None), end, used


def _typed(value: object) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={show(value)}"


def _format(spec: Spec, value: object) -> str:
    if spec.verb == "T":
        return _pad(spec, type_name(value))
    if spec.verb == "v" or is_nil(value) or isinstance(value, Pointer):
        return _format_any(spec, value)
    return _format_verb(spec, value)


def _format_any(spec: Spec, value: object) -> str:
    if isinstance(value, Pointer) and spec.verb in INTEGER_VERBS and spec.verb != "v":
        return _number(spec, 0 if value.target is None else int(SOME_ADDRESS, 16))
    if spec.verb not in "vT" and value is None:
        return f"%!{spec.verb}(<nil>)"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _pad(spec, show(value, names="+" in spec.flags))
    if isinstance(value, str):
        return _pad(spec, quote(value) if "#" in spec.flags else value)
    return _number(spec, value)


def _format_verb(spec: Spec, value: object) -> str:
    verb = spec.verb
    if isinstance(value, bool):
        return _pad(spec, show(value)) if verb == "t" else f"%!{verb}({_typed(value)})"
    if isinstance(value, int) and verb in INTEGER_VERBS:
        return _number(spec, value)
    if isinstance(value, float) and verb in FLOAT_VERBS:
        return _number(spec, value)
    if isinstance(value, str):
        return _text(spec, value) if verb in STRING_VERBS else f"%!{verb}({_typed(value)})"
    if isinstance(value, list):
        return "[" + " ".join(_format(spec, item) for item in value) + "]"
    if isinstance(value, int | float):
        return f"%!{verb}({_typed(value)})"
    return _pad(spec, show_quoted(value) if verb == "q" else show(value))


def _text(spec: Spec, value: str) -> str:
    if spec.verb in "xX":
        encoded = value.encode()
        digits = encoded.hex(" ") if " " in spec.flags else encoded.hex()
        return _pad(spec, digits.upper() if spec.verb == "X" else digits)
    if spec.precision is not None:
        value = value[: spec.precision]
    if spec.verb == "q":
        raw = "#" in spec.flags and "`" not in value
        return _pad(spec, f"`{value}`" if raw else quote(value))
    return _pad(spec, value)


def _number(spec: Spec, value: float) -> str:
    text = _integer(spec, value) if isinstance(value, int) else _float(spec, value)
    if spec.verb not in "cqU":
        sign = "+" if "+" in spec.flags and spec.verb != "v" else " " if " " in spec.flags else ""
        if sign and not text.startswith("-"):
            text = sign + text
    if "0" in spec.flags and "-" not in spec.flags and spec.width:
        sign = text[0] if text[0] in "+- " else ""
        return sign + text[len(sign) :].rjust(spec.width - len(sign), "0")
    return _pad(spec, text)


def _integer(spec: Spec, value: int) -> str:
    match spec.verb:
        case "d" | "v":
            digits = str(abs(value))
            if spec.precision is not None:
                digits = digits.rjust(spec.precision, "0")
            return ("-" if value < 0 else "") + digits
        case "c":
            return chr(value)
        case "q":
            return f"'{chr(value)}'"
        case "U":
            return f"U+{value:04X}"
        case "O":
            return f"0o{value:o}"
    prefix = {"x": "0x", "X": "0X", "b": "0b", "o": "0"}[spec.verb] if "#" in spec.flags else ""
    sign = "-" if value < 0 else ""
    return sign + prefix + format(abs(value), spec.verb)


def _float(spec: Spec, value: float) -> str:
    if spec.verb in "vgG":
        if spec.precision is None:
            text = float_text(value)
        else:
            text = _exponent(format(value, f".{spec.precision}g"))
        return text.upper() if spec.verb == "G" else text
    precision = 6 if spec.precision is None else spec.precision
    if spec.verb in "eE":
        return format(value, f".{precision}{spec.verb}")
    if spec.verb in "fF":
        return format(value, f".{precision}f")
    return value.hex()


def _exponent(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent):+03d}" if mark else mantissa


def _pad(spec: Spec, text: str) -> str:
    if spec.width is None:
        return text
    return text.ljust(spec.width) if "-" in spec.flags else text.rjust(spec.width)

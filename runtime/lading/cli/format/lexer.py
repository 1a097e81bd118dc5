"""Cut the text of a template into tokens.

The grammar is that of Go's text/template (https://pkg.go.dev/text/template): `{{` and `}}` as
delimiters, `-` next to them as trim markers, `/* … */` as comments. White space inside an action is
a token: it separates operands.
"""

from __future__ import annotations

KEYWORDS = frozenset(
    (
        "block",
        "break",
        "continue",
        "define",
        "else",
        "end",
        "if",
        "range",
        "nil",
        "template",
        "with",
    )
)
SPACES = " \t\r\n"
LEFT, RIGHT = "{{", "}}"
PUNCTUATION = {"|": "|", "(": "(", ")": ")", ",": ","}


class TemplateError(Exception):
    """The template is malformed or cannot be run.

    The message is the one Go's text/template gives.
    """


class Token:
    """One token: its kind, its text, where it starts (in characters) and on which line.

    Kinds: text, left, right, space, keyword, identifier, field, variable, number, character,
    string, raw, bool, dot, `|`, `(`, `)`, `,`, `:=`, `=`, character-other, eof.
    """

    __slots__ = ("kind", "line", "pos", "text")

    def __init__(self, kind: str, text: str, pos: int, line: int) -> None:
        self.kind = kind
        self.text = text
        self.pos = pos
        self.line = line

    def __str__(self) -> str:
        """Show the token as Go does in its messages."""
        if self.kind == "eof":
            return "EOF"
        if self.kind in ("keyword", "dot"):
            return f"<{self.text}>"
        quoted = quote(self.text[:10])
        return f"{quoted}..." if len(self.text) > 10 else quoted


def quote(text: str) -> str:
    """Quote text as Go's strconv.Quote does."""
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\a": "\\a"}
    escapes.update({"\b": "\\b", "\f": "\\f", "\v": "\\v"})
    return '"' + "".join(escapes.get(c) or _visible(c) for c in text) + '"'


def _visible(char: str) -> str:
    code = ord(char)
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_alphanumeric(char: str) -> bool:
    """Tell whether a character can be part of a name."""
    return char == "_" or char.isalpha() or char.isdigit()


class Lexer:
    """The state of cutting one text; `tokens()` is the whole result."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.parens = 0
        self.out: list[Token] = []

    def tokens(self) -> list[Token]:
        """Cut the whole text, ending in an eof token; raises TemplateError."""
        while self.pos < len(self.text):
            start = self.text.find(LEFT, self.pos)
            if start < 0:
                self._emit("text", self.pos, len(self.text))
                break
            self._text_before(start)
            self._action()
        self._emit("eof", len(self.text), len(self.text))
        return self.out

    def fail(self, message: str) -> TemplateError:
        """Make an error at the present line."""
        return TemplateError(f"template: :{self._line(self.pos)}: {message}")

    def _line(self, pos: int) -> int:
        return self.text.count("\n", 0, pos) + 1

    def _emit(self, kind: str, start: int, end: int) -> None:
        self.out.append(Token(kind, self.text[start:end], start, self._line(start)))
        self.pos = end

    def _text_before(self, start: int) -> None:
        end = start
        after = self.text[start + 2 : start + 4]
        if len(after) == 2 and after[0] == "-" and after[1] in SPACES:
            end = len(self.text[self.pos : start].rstrip(SPACES)) + self.pos
        if end > self.pos:
            self._emit("text", self.pos, end)
        self.pos = start

    def _action(self) -> None:
        start = self.pos
        inner = start + 2
        after = self.text[inner : inner + 2]
        if len(after) == 2 and after[0] == "-" and after[1] in SPACES:
            inner += 2
        if self.text.startswith("/*", inner):
            self._comment(inner)
            return
        self.out.append(Token("left", LEFT, start, self._line(start)))
        self.pos = inner
        self.parens = 0
        while not self._at_right():
            self._inside()
        if self.parens:
            raise self.fail("unclosed left paren")
        self._right()

    def _comment(self, start: int) -> None:
        end = self.text.find("*/", start)
        if end < 0:
            raise self.fail("unclosed comment")
        self.pos = end + 2
        if not self._at_right():
            raise self.fail("comment ends before closing delimiter")
        self._right(emit=False)

    def _trims(self, pos: int) -> bool:
        pair = self.text[pos : pos + 2]
        return (
            len(pair) == 2
            and pair[0] in SPACES
            and pair[1] == "-"
            and self.text.startswith(RIGHT, pos + 2)
        )

    def _at_right(self) -> bool:
        return self.text.startswith(RIGHT, self.pos) or self._trims(self.pos)

    def _right(self, *, emit: bool = True) -> None:
        trim = self._trims(self.pos)
        start = self.pos + (2 if trim else 0)
        if emit:
            self._emit("right", start, start + 2)
        self.pos = start + 2
        if trim:
            rest = self.text[self.pos :]
            self.pos += len(rest) - len(rest.lstrip(SPACES))

    def _inside(self) -> None:
        if self.pos >= len(self.text):
            raise self.fail("unclosed action")
        char = self.text[self.pos]
        if char in SPACES:
            self._space()
        elif char in PUNCTUATION:
            self._punctuation(char)
        elif char == "=":
            self._emit("=", self.pos, self.pos + 1)
        elif char == ":":
            if not self.text.startswith(":=", self.pos):
                raise self.fail("expected :=")
            self._emit(":=", self.pos, self.pos + 2)
        elif char in "\"'":
            self._quoted(char)
        elif char == "`":
            self._raw()
        else:
            self._word(char)

    def _space(self) -> None:
        end = self.pos
        while end < len(self.text) and self.text[end] in SPACES and not self._trims(end):
            end += 1
        self._emit("space", self.pos, end)

    def _punctuation(self, char: str) -> None:
        self.parens += {"(": 1, ")": -1}.get(char, 0)
        if self.parens < 0:
            raise self.fail("unexpected right paren")
        self._emit(PUNCTUATION[char], self.pos, self.pos + 1)

    def _quoted(self, mark: str) -> None:
        end = self.pos + 1
        while True:
            char = self.text[end : end + 1]
            if char in ("", "\n"):
                what = (
                    "unterminated quoted string"
                    if mark == '"'
                    else "unterminated character constant"
                )
                raise self.fail(what)
            end += 2 if char == "\\" else 1
            if char == mark:
                break
        self._emit("string" if mark == '"' else "character", self.pos, end)

    def _raw(self) -> None:
        end = self.text.find("`", self.pos + 1)
        if end < 0:
            raise self.fail("unterminated raw quoted string")
        self._emit("raw", self.pos, end + 1)

    def _word(self, char: str) -> None:
        follower = self.text[self.pos + 1 : self.pos + 2]
        if char == "$" or (char == "." and not follower.isdigit()):
            self._name(1, "variable" if char == "$" else "field")
        elif char.isdigit() or char in "+-.":
            self._number()
        elif is_alphanumeric(char):
            self._name(0, "identifier")
        elif char.isascii() and char.isprintable():
            self._emit("character-other", self.pos, self.pos + 1)
        else:
            raise self.fail(f"unrecognized character in action: {describe(char)}")

    def _name(self, prefix: int, kind: str) -> None:
        start, end = self.pos, self.pos + prefix
        while end < len(self.text) and is_alphanumeric(self.text[end]):
            end += 1
        self.pos = end
        word = self.text[start:end]
        if not self._at_terminator() and word != ".":
            raise self.fail(f"bad character {describe(self.text[end])}")
        self.pos = start
        if word == ".":
            kind = "dot"
        elif kind == "identifier" and word in KEYWORDS:
            kind = "keyword"
        elif kind == "identifier" and word in ("true", "false"):
            kind = "bool"
        self._emit(kind, start, end)

    def _at_terminator(self) -> bool:
        char = self.text[self.pos : self.pos + 1]
        return (
            char == ""
            or char in SPACES
            or char in ".,|:)("
            or self.text.startswith(RIGHT, self.pos)
        )

    def _number(self) -> None:
        end = self.pos + 1
        while end < len(self.text) and (is_alphanumeric(self.text[end]) or self.text[end] in ".+-"):
            if self.text[end] in "+-" and self.text[end - 1] not in "eEpP":
                break
            end += 1
        text = self.text[self.pos : end]
        if parse_number(text) is None:
            raise self.fail(f"bad number syntax: {quote(text)}")
        self._emit("number", self.pos, end)


def describe(char: str) -> str:
    """Show a character as Go's %#U does."""
    return f"U+{ord(char):04X} '{char}'" if char.isprintable() else f"U+{ord(char):04X}"


def parse_number(text: str) -> int | float | None:
    """Read a Go number: decimal, 0x, 0o, 0b, legacy octal, underscores, floats; None if it is none.

    What is written with a point or an exponent is a float, even where it is whole, as Go's untyped
    constants are.
    """
    body = text.lstrip("+-")
    if not body or len(text) - len(body) > 1:
        return None
    sign = -1 if text.startswith("-") else 1
    try:
        if len(body) > 1 and body[0] == "0" and body[1:].replace("_", "").isdigit():
            return sign * int(body.replace("_", ""), 8)
        return sign * int(body, 0)
    except ValueError:
        pass
    try:
        value = float.fromhex(body) if body[:2] in ("0x", "0X") else float(body)
    except (ValueError, OverflowError):
        return None
    if body[0].isalpha() or value in (float("inf"),):
        return None
    return sign * value

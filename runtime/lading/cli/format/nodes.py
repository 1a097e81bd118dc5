"""The tree of a parsed template; `str()` of a node is how Go's error messages cite it."""

from __future__ import annotations


class Node:
    """One part of a template.

    `pos` is the character it starts at, or 0 where no error ever cites it.
    """

    __slots__ = ("pos",)

    def __init__(self, pos: int = 0) -> None:
        self.pos = pos


class Text(Node):
    """Text outside of any action."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Literal(Node):
    """A constant: string, number, boolean or character."""

    __slots__ = ("source", "value")

    def __init__(self, pos: int, source: str, value: str | float | bool) -> None:
        super().__init__(pos)
        self.source = source
        self.value = value

    def __str__(self) -> str:
        return self.source


class Nil(Node):
    """The word nil."""

    __slots__ = ()

    def __str__(self) -> str:
        return "nil"


class Dot(Node):
    """The value that the template is at."""

    __slots__ = ()

    def __str__(self) -> str:
        return "."


class Field(Node):
    """A chain of names that starts at dot: `.State.Pid`."""

    __slots__ = ("names",)

    def __init__(self, pos: int, names: list[str]) -> None:
        super().__init__(pos)
        self.names = names

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class Variable(Node):
    """A variable and the names after it: `$x.Name`."""

    __slots__ = ("name", "names")

    def __init__(self, pos: int, name: str, names: list[str]) -> None:
        super().__init__(pos)
        self.name = name
        self.names = names

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.names)


class Function(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, pos: int, name: str) -> None:
        super().__init__(pos)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Chain(Node):
    """Names after a parenthesis or a function: `(index .Mounts 0).Source`."""

    __slots__ = ("names", "of")

    def __init__(self, pos: int, of: Node, names: list[str]) -> None:
        super().__init__(pos)
        self.of = of
        self.names = names

    def __str__(self) -> str:
        of = f"({self.of})" if isinstance(self.of, Pipe) else str(self.of)
        return of + "".join(f".{name}" for name in self.names)


class Command(Node):
    """One stage of a pipeline: an operand, or a function and its arguments."""

    __slots__ = ("args",)

    def __init__(self, pos: int, args: list[Node]) -> None:
        super().__init__(pos)
        self.args = args

    def __str__(self) -> str:
        return " ".join(f"({a})" if isinstance(a, Pipe) else str(a) for a in self.args)


class Pipe(Node):
    """Commands, each fed with the value before it, and the variables that get the result."""

    __slots__ = ("assigns", "commands", "variables")

    def __init__(
        self, pos: int, variables: list[str], commands: list[Command], *, assigns: bool
    ) -> None:
        super().__init__(pos)
        self.variables = variables
        self.commands = commands
        self.assigns = assigns

    def __str__(self) -> str:
        head = ""
        if self.variables:
            head = ", ".join(self.variables) + (" = " if self.assigns else " := ")
        return head + " | ".join(str(c) for c in self.commands)


class Action(Node):
    """A pipeline whose value is printed, unless it sets a variable."""

    __slots__ = ("pipe",)

    def __init__(self, pos: int, pipe: Pipe) -> None:
        super().__init__(pos)
        self.pipe = pipe


class Branch(Node):
    """An if, with or range with its two bodies."""

    __slots__ = ("body", "keyword", "otherwise", "pipe")

    def __init__(
        self, pos: int, keyword: str, pipe: Pipe, body: list[Node], otherwise: list[Node]
    ) -> None:
        super().__init__(pos)
        self.keyword = keyword
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise


class Jump(Node):
    """A break or a continue."""

    __slots__ = ("keyword",)

    def __init__(self, pos: int, keyword: str) -> None:
        super().__init__(pos)
        self.keyword = keyword


class Call(Node):
    """Run another template of the set: `{{template "name" .}}`."""

    __slots__ = ("name", "pipe", "quoted")

    def __init__(self, pos: int, name: str, quoted: str, pipe: Pipe | None) -> None:
        super().__init__(pos)
        self.name = name
        self.quoted = quoted
        self.pipe = pipe

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe else ""
        return "{{template " + self.quoted + argument + "}}"

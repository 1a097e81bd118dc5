"""Run the nodes of a template over a value.

Raises TemplateError with the messages of Go's text/template, position and cited node included.
"""

from __future__ import annotations

from lading.cli.format.functions import BUILTINS, DOCKER, Builtin
from lading.cli.format.lexer import TemplateError, quote
from lading.cli.format.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    Jump,
    Literal,
    Nil,
    Node,
    Pipe,
    Text,
    Variable,
)
from lading.cli.format.values import (
    Method,
    Moment,
    Number,
    Pointer,
    Row,
    Struct,
    indirect,
    print_value,
    sorted_items,
    truth,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.cli.format.parser import Tree

#: Stands for "no value came through the pipe".
MISSING = object()


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Given:
    """What a name or function is given: its arguments' nodes and the value out of the pipe."""

    __slots__ = ("args", "dot", "final")

    def __init__(self, dot: object, args: list[Node], final: object) -> None:
        self.dot = dot
        self.args = args
        self.final = final

    @property
    def count(self) -> int:
        return len(self.args) + (self.final is not MISSING)


def execute(
    tree: Tree,
    value: object,
    *,
    functions: dict[str, Builtin] | None = None,
    missing_is_error: bool = False,
    name: str = "",
) -> str:
    """Run a parsed template, called `name` in errors, over a value and give the text it makes.

    `missing_is_error` makes a key that a map lacks an error instead of "<no value>" (Go's
    missingkey=error).
    """
    run = _Run(tree, {**BUILTINS, **(DOCKER if functions is None else functions)}, missing_is_error)
    run.title = name
    run.template(name, tree.nodes, value)
    return "".join(run.out)


class _Run:
    def __init__(self, tree: Tree, functions: dict[str, Builtin], missing_is_error: bool) -> None:
        self.tree = tree
        self.functions = functions
        self.missing_is_error = missing_is_error
        self.out: list[str] = []
        self.variables: list[tuple[str, object]] = []
        self.title = self.name = ""
        self.node = Node()

    def template(self, name: str, nodes: list[Node], dot: object) -> None:
        outer = self.name, self.variables
        self.name, self.variables = name, [("$", dot)]
        self.walk(nodes, dot)
        self.name, self.variables = outer

    def fail(self, message: str) -> TemplateError:
        before = self.tree.source[: self.node.pos]
        line, column = before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
        where = f"executing {quote(self.name)} at <{self.node}>"
        return TemplateError(f"template: {self.title}:{line}:{column}: {where}: {message}")

    # Statements

    def walk(self, nodes: list[Node], dot: object) -> None:
        for node in nodes:
            match node:
                case Text():
                    self.out.append(node.text)
                case Action():
                    value = self.pipeline(node.pipe, dot)
                    if not node.pipe.variables:
                        self.out.append(print_value(value))
                case Branch(keyword="range"):
                    self.range(node, dot)
                case Branch():
                    self.branch(node, dot)
                case Jump():
                    raise _Break if node.keyword == "break" else _Continue
                case Call():
                    self.call_template(node, dot)

    def branch(self, node: Branch, dot: object) -> None:
        scope = len(self.variables)
        value = self.pipeline(node.pipe, dot)
        if truth(value):
            self.walk(node.body, value if node.keyword == "with" else dot)
        else:
            self.walk(node.otherwise, dot)
        del self.variables[scope:]

    def range(self, node: Branch, dot: object) -> None:
        scope = len(self.variables)
        value = indirect(self.pipeline(node.pipe, dot, declare=False))
        self.node = node.pipe
        pairs = list(self.pairs(value))
        if not pairs:
            self.walk(node.otherwise, dot)
        names = node.pipe.variables
        for key, element in pairs:
            values = [element] if len(names) == 1 else [key, element]
            for name, bound in zip(names, values, strict=False):
                self.bind(name, bound, assigns=node.pipe.assigns)
            try:
                self.walk(node.body, element)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self.variables[scope:]

    def pairs(self, value: object) -> Iterable[tuple[object, object]]:
        if isinstance(value, bool):
            raise self.fail(f"range can't iterate over {print_value(value)}")
        if isinstance(value, int):
            return ((number, number) for number in range(value))
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, dict):
            return sorted_items(value)
        if value is None:
            return ()
        raise self.fail(f"range can't iterate over {print_value(value)}")

    def call_template(self, node: Call, dot: object) -> None:
        self.node = node
        if node.name not in self.tree.defined:
            raise self.fail(f"template {quote(node.name)} not defined")
        value = self.pipeline(node.pipe, dot) if node.pipe else None
        self.template(node.name, self.tree.defined[node.name], value)

    # Expressions

    def bind(self, name: str, value: object, *, assigns: bool) -> None:
        if assigns:
            for at in range(len(self.variables) - 1, -1, -1):
                if self.variables[at][0] == name:
                    self.variables[at] = (name, value)
                    return
        self.variables.append((name, value))

    def pipeline(self, pipe: Pipe, dot: object, *, declare: bool = True) -> object:
        self.node = pipe
        value: object = MISSING
        for command in pipe.commands:
            value = self.command(command, dot, value)
        if declare:
            for name in pipe.variables:
                self.bind(name, value, assigns=pipe.assigns)
        return value

    def command(self, command: Command, dot: object, final: object) -> object:
        first = command.args[0]
        given = _Given(dot, command.args[1:], final)
        self.node = first
        match first:
            case Field():
                return self.names(dot, first.names, first, given)
            case Chain():
                return self.names(self.argument("any", first.of, dot), first.names, first, given)
            case Function():
                return self.function(command, first, given)
            case Variable() if first.names:
                return self.names(self.variable(first.name), first.names, first, given)
        if given.count:
            raise self.fail(f"can't give argument to non-function {first}")
        match first:
            case Variable():
                return self.variable(first.name)
            case Pipe():
                return self.pipeline(first, dot)
            case Dot():
                return dot
            case Literal():
                return first.value
        raise self.fail("nil is not a command")

    def variable(self, name: str) -> object:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.fail(f"undefined variable: {name}")

    def names(self, value: object, names: list[str], node: Node, given: _Given) -> object:
        """Follow a chain of names; only the last one can be a method that takes arguments."""
        nothing = _Given(given.dot, [], MISSING)
        for name in names[:-1]:
            value = self.field(value, name, node, nothing)
        return self.field(value, names[-1], node, given)

    def field(self, value: object, name: str, node: Node, given: _Given) -> object:
        self.node = node
        target = indirect(value)
        if isinstance(target, Row) and name in target.getters:
            return self.method(name, target.getters[name](), node, given)
        if isinstance(target, Struct):
            exists, found = target.field(name)
            if exists:
                if given.count:
                    raise self.fail(f"{name} has arguments but cannot be invoked as function")
                return found
        elif isinstance(target, dict):
            return self.entry(target, name, node, given)
        elif target is None:
            return self.field_of_nil(value, name)
        raise self.fail(f"can't evaluate field {name} in type {type_name(value)}")

    def field_of_nil(self, value: object, name: str) -> object:
        if isinstance(value, Pointer):
            raise self.fail(f"nil pointer evaluating {value.type.name}.{name}")
        if self.missing_is_error:
            raise self.fail(f"nil pointer evaluating interface {{}}.{name}")
        return None

    def entry(self, mapping: dict[str, object], name: str, node: Node, given: _Given) -> object:
        found = mapping.get(name)
        if isinstance(found, Method):
            return self.method(name, found, node, given)
        if given.count:
            raise self.fail(f"{name} is not a method but has arguments")
        if name not in mapping and self.missing_is_error:
            raise self.fail(f"map has no entry for key {quote(name)}")
        return found

    def method(self, name: str, found: object, node: Node, given: _Given) -> object:
        wanted = 1 if isinstance(found, Method) else 0
        if given.count != wanted:
            raise self.fail(f"wrong number of args for {name}: want {wanted} got {given.count}")
        if not isinstance(found, Method):
            return found
        if given.args:
            text = self.argument("string", given.args[0], given.dot)
        else:
            text = self.checked("string", given.final)
        self.node = node
        return found.call(str(text))

    def function(self, command: Command, node: Function, given: _Given) -> object:
        function = self.functions[node.name]
        if complaint := function.wants(given.count):
            raise self.fail(complaint)
        if node.name in ("and", "or"):
            return self.short_circuit(given, stop=node.name == "or")
        values = [
            self.argument(function.kind(at), arg, given.dot) for at, arg in enumerate(given.args)
        ]
        if given.final is not MISSING:
            values.append(self.checked(function.kind(len(values)), given.final))
        try:
            return function.call(*values)
        except TemplateError as error:
            self.node = command
            raise self.fail(f"error calling {node.name}: {error}") from None

    def short_circuit(self, given: _Given, *, stop: bool) -> object:
        value: object = None
        for arg in given.args:
            value = self.argument("any", arg, given.dot)
            if truth(value) == stop:
                return value
        return value if given.final is MISSING else given.final

    def argument(self, kind: str, node: Node, dot: object) -> object:
        """Give the value of an argument that has to be of a kind: any, string, int, []string."""
        self.node = node
        match node:
            case Dot():
                return self.checked(kind, dot)
            case Nil() if kind == "[]string":
                return []
            case Nil():
                if kind != "any":
                    raise self.fail(f"cannot assign nil to {kind}")
                return None
            case Literal():
                return self.constant(kind, node)
            case Pipe():
                return self.checked(kind, self.pipeline(node, dot))
        return self.checked(kind, self.command(Command(node.pos, [node]), dot, MISSING))

    def constant(self, kind: str, node: Literal) -> object:
        value = node.value
        if kind == "string" and not isinstance(value, str):
            raise self.fail(f"expected string; found {node}")
        if kind == "int":
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if isinstance(value, bool) or not isinstance(value, int):
                raise self.fail(f"expected integer; found {node}")
        if kind == "[]string":
            raise self.fail(f"can't handle {node} for arg of type {kind}")
        return value

    def checked(self, kind: str, value: object) -> object:
        """Pass a value that is of the kind; say what it is if it is not."""
        if kind == "any":
            return value
        target = indirect(value)
        if target is None:
            raise self.fail(f"invalid value; expected {kind}")
        if kind == "string":
            fits = isinstance(target, str) and not isinstance(target, Number | Moment)
        elif kind == "int":
            fits = isinstance(target, int) and not isinstance(target, bool)
        else:
            fits = type_name(target) in (kind, "strslice.StrSlice") or _all_text(target)
        if not fits:
            raise self.fail(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return target


def _all_text(value: object) -> bool:
    """Tell whether a value is what `split` makes, a list of strings that no JSON was decoded to."""
    return type(value) is list and all(type(item) is str for item in value)

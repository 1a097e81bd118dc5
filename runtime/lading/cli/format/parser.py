"""Make nodes of a template's tokens.

Raises TemplateError with the messages of Go's text/template/parse, which users of `--format` know.
"""

from __future__ import annotations

from lading.cli.format.lexer import Lexer, TemplateError, Token, parse_number, quote
from lading.cli.format.literals import unquote
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

EXECUTABLE = (Field, Variable, Function, Chain, Pipe)


class Tree:
    """A parsed template: its source, its own nodes and those of the templates it defines."""

    __slots__ = ("defined", "nodes", "source")

    def __init__(self, source: str, nodes: list[Node], defined: dict[str, list[Node]]) -> None:
        self.source = source
        self.nodes = nodes
        self.defined = defined


def parse(source: str, functions: Container[str]) -> Tree:
    """Parse a template that may call the named functions."""
    return _Parser(source, functions).tree()


class _Parser:
    def __init__(self, source: str, functions: Container[str]) -> None:
        self.source = source
        self.functions = functions
        self.tokens, self.failure = _lex(source)
        self.at = 0
        self.variables = ["$"]
        self.loops = 0
        self.defined: dict[str, list[Node]] = {}

    def tree(self) -> Tree:
        nodes: list[Node] = []
        while not self._peek("eof"):
            if self._starts("define"):
                self._definition()
                continue
            node, ending = self._item()
            if ending:
                raise self._fail(f"unexpected {{{{{ending}}}}}")
            if node:
                nodes.append(node)
        return Tree(self.source, nodes, self.defined)

    # Tokens

    def _peek(self, *kinds: str) -> bool:
        """Tell whether the next token is of one of these kinds.

        What the lexer refused is raised here.
        """
        return self._token().kind in kinds

    def _token(self) -> Token:
        if self.at >= len(self.tokens):
            assert self.failure
            raise self.failure
        return self.tokens[self.at]

    def _next(self) -> Token:
        token = self._token()
        self.at += 1
        return token

    def _skip_space(self) -> None:
        while self._peek("space"):
            self.at += 1

    def _next_solid(self) -> Token:
        self._skip_space()
        return self._next()

    def _starts(self, keyword: str) -> bool:
        """Tell whether an action that begins with this keyword comes next."""
        if not self._peek("left"):
            return False
        here = self.at
        self.at += 1
        self._skip_space()
        token = self._token()
        self.at = here
        return token.kind == "keyword" and token.text == keyword

    def _fail(self, message: str, token: Token | None = None) -> TemplateError:
        line = (token or self.tokens[min(self.at, len(self.tokens) - 1)]).line
        return TemplateError(f"template: :{line}: {message}")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        where = "" if token.kind == "eof" else f" in {context}"
        return self._fail(f"unexpected {token}{where}", token)

    # Lists of nodes

    def _item(self) -> tuple[Node | None, str]:
        """Read text or an action; for `end` and `else …` give the word instead of a node."""
        token = self._next()
        if token.kind == "text":
            return Text(token.text), ""
        if token.kind == "eof":
            raise self._fail("unexpected EOF", token)
        self._skip_space()
        word = self._token()
        if word.kind != "keyword" or word.text == "nil":
            return self._action(), ""
        self.at += 1
        return self._keyword(word)

    def _keyword(self, word: Token) -> tuple[Node | None, str]:
        match word.text:
            case "end":
                self._close("end")
                return None, "end"
            case "else":
                self._skip_space()
                if not self._peek("keyword"):
                    self._close("else")
                return None, "else"
            case "if" | "with" | "range":
                return self._branch(word), ""
            case "break" | "continue":
                self._close(f"{{{{{word.text}}}}}")
                if not self.loops:
                    raise self._fail(f"{{{{{word.text}}}}} outside {{{{range}}}}", word)
                return Jump(word.pos, word.text), ""
            case "template":
                return self._call(), ""
            case "block":
                return self._block(), ""
        raise self._fail(f"unexpected <{word.text}> in command", word)

    def _close(self, context: str) -> None:
        token = self._next_solid()
        if token.kind != "right":
            raise self._unexpected(token, context)

    def _body(self) -> tuple[list[Node], str]:
        """Read nodes up to the `end` or `else` of the present control structure."""
        nodes: list[Node] = []
        while True:
            if self._peek("eof"):
                raise self._fail("unexpected EOF")
            node, ending = self._item()
            if ending:
                return nodes, ending
            if node:
                nodes.append(node)

    def _action(self) -> Node:
        pos = self._token().pos
        return Action(pos, self._pipeline("command", "right"))

    def _branch(self, word: Token) -> Node:
        keyword = word.text
        scope = len(self.variables)
        pipe = self._pipeline(keyword, "right")
        self.loops += keyword == "range"
        body, ending = self._body()
        self.loops -= keyword == "range"
        otherwise: list[Node] = []
        if ending == "else":
            otherwise = self._otherwise(keyword)
        del self.variables[scope:]
        return Branch(word.pos, keyword, pipe, body, otherwise)

    def _otherwise(self, keyword: str) -> list[Node]:
        """Read what follows `else`; `else if` and `else with` share the outer `end`."""
        before = self.tokens[self.at - 1]
        if before.kind != "right":
            word = self._next_solid()
            if word.kind == "keyword" and word.text == keyword and keyword in ("if", "with"):
                return [self._branch(word)]
            raise self._unexpected(word, "else")
        nodes, ending = self._body()
        if ending == "else":
            raise self._fail("expected end; found {{else}}")
        return nodes

    def _name_of_template(self, context: str) -> Token:
        token = self._next_solid()
        if token.kind not in ("string", "raw"):
            raise self._unexpected(token, context)
        return token

    def _call(self) -> Node:
        name = self._name_of_template("template clause")
        self._skip_space()
        pipe = None
        if self._peek("right"):
            self.at += 1
        else:
            pipe = self._pipeline("template clause", "right")
        return Call(name.pos, self._text_of(name), name.text, pipe)

    def _definition(self) -> None:
        self.at += 1
        self._next_solid()
        name = self._name_of_template("define clause")
        self._close("define clause")
        self._define(name)

    def _define(self, name: Token) -> None:
        outer, self.variables = self.variables, ["$"]
        body, ending = self._body()
        self.variables = outer
        if ending != "end":
            raise self._fail("unexpected {{else}} in define clause")
        self.defined[self._text_of(name)] = body

    def _block(self) -> Node:
        name = self._name_of_template("block clause")
        pipe = self._pipeline("block clause", "right")
        self._define(name)
        return Call(name.pos, self._text_of(name), name.text, pipe)

    def _text_of(self, token: Token) -> str:
        text = unquote(token.text)
        if text is None:
            raise self._fail("invalid syntax", token)
        return text

    # Pipelines

    def _pipeline(self, context: str, closing: str) -> Pipe:
        self._skip_space()
        pos = self._token().pos
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._next_solid()
            if token.kind == closing:
                self._check_stages(commands, context, token)
                return Pipe(pos, variables, commands, assigns=assigns)
            if token.kind in _OPERAND_KINDS or (token.kind, token.text) == ("keyword", "nil"):
                self.at -= 1
                commands.append(self._command())
            else:
                raise self._unexpected(token, context)

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """Read `$x :=`, `$x =` or, for a range, `$i, $e :=`; none of them is there most often."""
        names: list[str] = []
        while self._peek("variable"):
            here = self.at
            name = self._next().text
            self._skip_space()
            operator = self._token()
            if operator.kind in (":=", "="):
                self.at += 1
                return self._declare([*names, name], operator)
            if operator.kind == "," and context == "range" and not names:
                self.at += 1
                self._skip_space()
                names.append(name)
                if not self._peek("variable"):
                    raise self._fail("range can only initialize variables")
                continue
            if operator.kind == "," and context == "range":
                raise self._fail("too many declarations in range")
            self.at = here
            break
        return [], False

    def _declare(self, names: list[str], operator: Token) -> tuple[list[str], bool]:
        if operator.kind == "=":
            for name in names:
                self._known(name, operator)
            return names, True
        self.variables += names
        return names, False

    def _known(self, name: str, token: Token) -> None:
        if name not in self.variables:
            raise self._fail(f"undefined variable {quote(name)}", token)

    def _check_stages(self, commands: list[Command], context: str, token: Token) -> None:
        if not commands:
            raise self._fail(f"missing value for {context}", token)
        for number, command in enumerate(commands[1:], start=2):
            if not isinstance(command.args[0], EXECUTABLE):
                raise self._fail(f"non executable command in pipeline stage {number}", token)

    def _command(self) -> Command:
        self._skip_space()
        args: list[Node] = []
        pos = self._token().pos
        while True:
            self._skip_space()
            operand = self._operand()
            if operand:
                args.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self.at -= 1
            elif token.kind != "|":
                raise self._unexpected(token, "operand")
            break
        if not args:
            raise self._fail("empty command")
        return Command(pos, args)

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or not self._peek("field"):
            return node
        pos = self._token().pos
        names: list[str] = []
        while self._peek("field"):
            names.append(self._next().text[1:])
        if isinstance(node, Field):
            return Field(pos, node.names + names)
        if isinstance(node, Variable):
            return Variable(pos, node.name, node.names + names)
        if isinstance(node, Literal | Nil | Dot):
            raise self._fail(f"unexpected . after term {quote(str(node))}")
        return Chain(pos, node, names)

    def _term(self) -> Node | None:
        token = self._next_solid()
        match token.kind:
            case "identifier":
                if token.text not in self.functions:
                    raise self._fail(f"function {quote(token.text)} not defined", token)
                return Function(token.pos, token.text)
            case "dot":
                return Dot(token.pos)
            case "variable":
                self._known(token.text, token)
                return Variable(token.pos, token.text, [])
            case "field":
                return Field(token.pos, [token.text[1:]])
            case "(":
                return self._pipeline("parenthesized pipeline", ")")
            case "keyword" if token.text == "nil":
                return Nil(token.pos)
        if token.kind in ("bool", "number", "string", "raw", "character"):
            return self._literal(token)
        self.at -= 1
        return None

    def _literal(self, token: Token) -> Node:
        if token.kind == "bool":
            return Literal(token.pos, token.text, token.text == "true")
        if token.kind == "number":
            number = parse_number(token.text)
            assert number is not None
            return Literal(token.pos, token.text, number)
        text = self._text_of(token)
        if token.kind == "character":
            if len(text) != 1:
                raise self._fail(f"malformed character constant: {token.text}", token)
            return Literal(token.pos, token.text, ord(text))
        return Literal(token.pos, token.text, text)


_OPERAND_KINDS = frozenset(
    ["bool", "character", "dot", "field", "identifier", "number", "string", "raw", "variable", "("]
)


def _lex(source: str) -> tuple[list[Token], TemplateError | None]:
    """Cut as far as it goes: what the parser finds wrong before that point is said first."""
    lexer = Lexer(source)
    try:
        return lexer.tokens(), None
    except TemplateError as error:
        return lexer.out, error

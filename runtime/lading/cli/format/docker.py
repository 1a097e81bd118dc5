"""Templates as Docker's commands use them: for rows of a listing, and for what `inspect` gets."""

from __future__ import annotations

from lading.cli import fastjson, tables
from lading.cli.format.evaluate import execute
from lading.cli.format.functions import BUILTINS, DOCKER, HEADER
from lading.cli.format.lexer import TemplateError
from lading.cli.format.parser import Tree, parse
from lading.cli.format.schema import type_of
from lading.cli.format.values import Method, Number, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

FUNCTIONS = frozenset((*BUILTINS, *DOCKER))


def compile_template(source: str) -> Tree:
    """Parse a template that may use Docker's functions; raises TemplateError."""
    return parse(source, FUNCTIONS)


def execute_rows(template: str, headers: dict[str, str], rows: Sequence[Row]) -> str:
    """Run a template once for each row; `table …` puts a header above and aligns the columns.

    Raises TemplateError, with what Docker says before Go's message.
    """
    is_table = template.startswith("table")
    source = template.removeprefix("table") if is_table else template
    source = source.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    try:
        tree = compile_template(source)
        lines = [execute(tree, row) for row in rows]
    except TemplateError as error:
        raise TemplateError(f"template parsing error: {error}") from None
    text = "".join(f"{line}\n" for line in lines)
    if not is_table:
        return text
    return tables.align(f"{_header(tree, headers)}\n{text}")


def uses(template: str, row: Row) -> set[str]:
    """Run a template over a row for nothing but to learn which of its values the template asks for.

    Raises TemplateError if it asks for what is not there.
    """
    asked: set[str] = set()

    def watch(name: str) -> Callable[[], object]:
        def get() -> object:
            asked.add(name)
            return row.getters[name]()

        return get

    watched = Row(row.type_name, {name: watch(name) for name in row.getters})
    try:
        tree = compile_template(template.removeprefix("table").strip(" "))
    except TemplateError as error:
        raise TemplateError(f"failed to parse template: {error}") from None
    try:
        execute(tree, watched)
    except TemplateError as error:
        raise TemplateError(f"failed to execute template: {error}") from None
    return asked


def _header(tree: Tree, headers: dict[str, str]) -> str:
    named: dict[str, object] = dict(headers)
    named["Label"] = Method(_label_header)
    try:
        return execute(tree, named, functions=HEADER)
    except TemplateError:
        return ""


def _label_header(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def execute_typed(template: str, type_name: str, data: Any, *, name: str = "") -> str:
    """Run a template over data as a Go type sees it; raises TemplateError."""
    value = type_of(type_name).decode(data)
    return execute(compile_template(template), value, name=name)


def execute_on_object(tree: Tree, type_name: str, raw: bytes | str) -> str:
    """Run a template over what `inspect` got, as the Go type or, if that fails, as plain JSON.

    Raises TemplateError.
    """
    if type_name:
        try:
            return execute(tree, type_of(type_name).decode(fastjson.loads(raw)))
        except TemplateError:
            pass
    plain: Any = fastjson.loads(raw, numbers=Number)
    try:
        return execute(tree, plain, missing_is_error=True)
    except TemplateError as error:
        raise TemplateError(f"template parsing error: {error}") from None

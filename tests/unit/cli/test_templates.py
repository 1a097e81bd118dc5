"""The template language beside what Docker's command line answered (data/templates.json)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.format.docker import compile_template, execute_on_object, execute_rows, uses
from lading.cli.format.lexer import Lexer, TemplateError, parse_number, quote
from lading.cli.format.literals import unquote
from lading.cli.format.schema import plain, type_of
from lading.cli.format.values import Method, Moment, Row, float_text, show

from .conftest import DATA

RECORDED = json.loads((DATA / "templates.json").read_text())


@pytest.mark.parametrize(
    ("which", "source", "out", "err", "status"),
    RECORDED["cases"],
    ids=range(len(RECORDED["cases"])),
)
def test_as_docker_inspect(which: str, source: str, out: str, err: str, status: int) -> None:
    assert inspected(which, source) == (out, err.rstrip("\n"), status)


def inspected(which: str, source: str) -> tuple[str, str, int]:
    """Do what `inspect -f` does: its stdout, stderr and status."""
    try:
        tree = compile_template(source)
    except TemplateError as error:
        return "", f"template parsing error: {error}", 64
    try:
        made = execute_on_object(tree, "container.InspectResponse", json.dumps(RECORDED[which]))
    except TemplateError as error:
        return "\n", str(error), 1
    return made + "\n", "", 0


def refusal(do: Callable[[], object]) -> str:
    """Give the words of a refusal, "" if there is none."""
    try:
        do()
    except (TemplateError, ValueError) as error:
        return str(error)
    return ""


def row() -> Row:
    labels = {"a": "b"}
    return Row(
        "*formatter.Context",
        {
            "ID": lambda: "abc",
            "Names": lambda: "<web>",
            "Label": lambda: Method(lambda name: labels.get(name, "")),
        },
    )


HEADERS = {"ID": "CONTAINER ID", "Names": "NAMES"}


def test_rows_of_a_listing() -> None:
    assert execute_rows("{{.ID}}: {{.Names}}", HEADERS, [row(), row()]) == "abc: <web>\n" * 2
    assert execute_rows("{{json .}}", HEADERS, [row()]) == (
        '{"ID":"abc","Names":"\\u003cweb\\u003e"}\n'
    )
    assert execute_rows("{{json .Names}}", HEADERS, [row()]) == '"<web>"\n'
    assert execute_rows(r"{{.ID}}\t{{.Names}}\n", HEADERS, [row()]) == "abc\t<web>\n\n"


def test_rows_as_a_table() -> None:
    made = execute_rows('table {{.ID}}\\t{{upper .Names}}\\t{{.Label "a"}}', HEADERS, [row()])
    assert made == "CONTAINER ID   NAMES     a\nabc            <WEB>     b\n"
    assert execute_rows("table {{.ID}}", HEADERS, []) == "CONTAINER ID\n"
    assert execute_rows('table {{.Label "com.x-y_z"}}', HEADERS, []) == "x y z\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{.Foo}}", "can't evaluate field Foo in type *formatter.Context"),
        ("{{.Label}}", "wrong number of args for Label: want 1 got 0"),
        ("{{.ID 3}}", "wrong number of args for ID: want 0 got 1"),
        ("{{.Label 3}}", "expected string; found 3"),
    ],
)
def test_wrong_templates_of_rows(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=r"^template parsing error: ") as caught:
        execute_rows(template, HEADERS, [row()])
    assert message in str(caught.value)


def test_what_a_template_uses() -> None:
    assert uses('{{.ID}} {{.Label "x"}}', row()) == {"ID", "Label"}
    assert uses("table {{len .Names}}", row()) == {"Names"}


@given(st.text())
def test_quoting_and_reading_back(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert unquote(quote(text)) == text


@given(st.text(alphabet='{}.-$ab"`\\|()=:, \n\t09/*', max_size=30))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    assert (refusal(lambda: compile_template(text)) or "template: :").startswith("template: :")


@given(st.text(alphabet="{}ab -", max_size=20))
def test_tokens_keep_the_text_outside_of_actions(text: str) -> None:
    if "{{" not in text:
        assert [t.text for t in Lexer(text).tokens()] == ([text, ""] if text else [""])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_print_to_what_reads_back(value: float) -> None:
    assert float(float_text(value)) == value


@given(st.integers())
def test_numbers(value: int) -> None:
    assert parse_number(str(value)) == value
    assert parse_number(hex(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["Id", "Name", "State", "HostConfig", "Config"]), JSON))
def test_whatever_a_daemon_answers_can_be_shown(data: dict[str, Any]) -> None:
    made = type_of("container.InspectResponse").decode(data)
    assert show(made).startswith("{")
    name = data.get("Name")
    assert json.loads(json.dumps(plain(made)))["Name"] == (name if isinstance(name, str) else "")


def test_moments_print_as_go_does() -> None:
    assert Moment("2024-01-01T00:00:00.120Z").shown() == "2024-01-01 00:00:00.12 +0000 UTC"
    assert Moment("2024-01-01T00:00:00+01:00").shown() == "2024-01-01 00:00:00 +0100 +0100"
    assert Moment("").shown() == "0001-01-01 00:00:00 +0000 UTC"

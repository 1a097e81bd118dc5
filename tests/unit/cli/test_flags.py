from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli import registry
from lading.cli.command import Command
from lading.cli.failures import UsageError
from lading.cli.flags import Flag, HelpAsked, parse
from lading.cli.help import command_help, group_help, load, overview
from lading.cli.kinds import BOOL, INT, LIST, SIZE, STRING, STRINGS
from lading.cli.main import GLOBAL_FLAGS
from lading.cli.nearest import distance, nearest

BAD = 'invalid argument "{}" for "{}" flag: {}: parsing "{}": invalid syntax'
FLAGS = (
    Flag("all", "a", BOOL, "all"),
    Flag("tty", "t", BOOL, "tty"),
    Flag("yes", "", BOOL, "yes", default=True),
    Flag("name", "n", STRING, "name", aliases=("nom",)),
    Flag("count", "c", INT, "count", default=-1),
    Flag("memory", "m", SIZE, "memory"),
    Flag("env", "e", LIST, "env"),
    Flag("subnet", "", STRINGS, "subnet"),
)


def test_spellings() -> None:
    options = parse(
        FLAGS, ["-at", "--name=x", "-c5", "-e", "A=1", "-e=B", "-eC", "a", "--yes=0", "b"]
    )
    assert options.on("all")
    assert options.on("tty")
    assert not options.on("yes")
    assert options.text("name") == "x"
    assert options.number("count") == 5
    assert options.items("env") == ["A=1", "B", "C"]
    assert options.args == ["a", "b"]
    assert parse(FLAGS, ["--nom", "y"]).text("name") == "y"
    assert parse(FLAGS, ["-n="]).text("name") == "="
    assert parse(FLAGS, ["--subnet", "a,b", "--subnet", '"c,d"']).items("subnet") == [
        "a",
        "b",
        "c,d",
    ]


def test_defaults_and_what_was_given() -> None:
    options = parse(FLAGS, ["--name", ""])
    assert options.on("yes")
    assert options.number("count") == -1
    assert options.given("name")
    assert not options.given("env")
    assert options.items("env") == []


def test_where_options_end() -> None:
    assert parse(FLAGS, ["x", "-a"]).on("all")
    assert parse(FLAGS, ["x", "-a"], interspersed=False).args == ["x", "-a"]
    assert parse(FLAGS, ["--", "-a", "x"]).args == ["-a", "x"]
    assert parse(FLAGS, ["-"]).args == ["-"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-atZq"], "unknown shorthand flag: 'Z' in -Zq"),
        (["--name"], "flag needs an argument: --name"),
        (["-an"], "flag needs an argument: 'n' in -an"),
        (["---x"], "bad flag syntax: ---x"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["--all=maybe"],
            BAD.format("maybe", "-a, --all", "strconv.ParseBool", "maybe"),
        ),
        (
            ["--count", "x"],
            BAD.format("x", "-c, --count", "strconv.ParseInt", "x"),
        ),
        (["-m", "1x"], 'invalid argument "1x" for "-m, --memory" flag: invalid suffix: \'x\''),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, words)
    assert caught.value.message == message
    assert caught.value.status == 125


def test_help_is_asked_for() -> None:
    for words in (["--help"], ["-h"], ["-a", "--help"]):
        with pytest.raises(HelpAsked):
            parse(FLAGS, words)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, ["--memroy", "5"])
    assert "Did you mean --memory?" in caught.value.hint


@given(st.lists(st.text()))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        options = parse(FLAGS, words)
    except (UsageError, HelpAsked):
        return
    assert len(options.args) <= len(words)


@given(st.text(max_size=8), st.text(max_size=8))
def test_distance_is_one(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert nearest(one, [one, "something else"]) == one


def every_command() -> list[tuple[str, str, Command]]:
    found = {(m, n) for section in registry.SECTIONS.values() for n, m in section.items()}
    for _, commands in registry.GROUPS.values():
        found |= {tuple(target.split(":")) for target in commands.values()}  # type: ignore[misc]
    return [(module, name, load(module, name)) for module, name in sorted(found)]


@pytest.mark.parametrize(
    ("module", "name", "command"), every_command(), ids=[name for _, name, _ in every_command()]
)
def test_every_command_explains_itself(module: str, name: str, command: Command) -> None:
    names = [flag.name for flag in command.flags]
    shorts = [flag.short for flag in command.flags if flag.short]
    assert len(set(names)) == len(names)
    assert len(set(shorts)) == len(shorts)
    shown = command_help(command, name, registry.spellings(module, name))
    assert shown.startswith(f"Usage:  lading {name}")
    for flag in command.flags:
        assert bool(re.search(rf"--{flag.name}\b(?!-)", shown)) != flag.hidden
    for line, _ in command.examples:
        assert f"  lading {line}" in shown


def test_overviews_name_everything() -> None:
    shown = overview(GLOBAL_FLAGS)
    for word in registry.all_words():
        assert f"  {word} " in shown
    for group in registry.GROUPS:
        assert f"Usage:  lading {group} COMMAND" in group_help(group)


def test_commands_are_found() -> None:
    assert registry.find(["ps", "-a"]) == ("ps", "ps", 1)
    assert registry.find(["container", "list"]) == ("ps", "ps", 2)
    assert registry.find(["container"]) is None
    assert registry.find(["nope"]) is None
    assert "lading container ls" in registry.spellings("ps", "ps")

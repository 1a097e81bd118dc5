from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.build import instructions as ins
from lading.build.dockerfile import parse
from lading.build.errors import DockerfileError
from lading.errors import InvalidParameter, LadingError


def only(text: str) -> ins.Instruction:
    (instruction,) = parse(text).instructions
    return instruction


def test_continuations_are_joined_and_comments_in_them_vanish() -> None:
    run = only("RUN echo a \\\n  # a comment\n\n  && echo b\n")
    assert isinstance(run, ins.Run)
    assert run.command == ins.Command(("echo a   && echo b",), by_shell=True)


def test_the_escape_directive_changes_the_continuation() -> None:
    dockerfile = parse("# escape=`\nRUN dir C:\\ `\n  D:\\\n")
    (run,) = dockerfile.instructions
    assert isinstance(run, ins.Run)
    assert run.command.args == ("dir C:\\   D:\\",)
    assert dockerfile.escape == "`"


def test_a_directive_below_a_comment_is_a_comment() -> None:
    assert parse("# hello\n# escape=`\nFROM a\n").escape == "\\"


def test_a_heredoc_of_run_is_its_script() -> None:
    run = parse("FROM a\nRUN <<EOF\necho one\necho two\nEOF\nUSER me\n").instructions[1]
    assert isinstance(run, ins.Run)
    assert run.heredocs[0].content == "echo one\necho two\n"
    assert run.heredocs[0].expand


def test_a_quoted_heredoc_is_literal_and_a_dashed_one_loses_tabs() -> None:
    copy = only("COPY <<-'A' <<\"B\" /x/\n\t$one\nA\ntwo\nB\n")
    assert isinstance(copy, ins.Copy)
    assert [(d.name, d.content, d.expand) for d in copy.heredocs] == [
        ("A", "$one\n", False),
        ("B", "two\n", False),
    ]


def test_copy_takes_its_flags_and_both_forms() -> None:
    copy = only("COPY --from=build --chown=1:2 --chmod=755 --link a b /c/")
    assert isinstance(copy, ins.Copy)
    assert (copy.from_, copy.chown, copy.chmod, copy.link) == ("build", "1:2", "755", True)
    assert (copy.sources, copy.destination) == (("a", "b"), "/c/")
    listed = only('COPY ["a b", "/c d/"]')
    assert isinstance(listed, ins.Copy)
    assert (listed.sources, listed.destination) == (("a b",), "/c d/")


def test_run_mounts_are_pairs() -> None:
    run = only("RUN --mount=type=cache,target=/c,ro --mount=type=tmpfs,target=/t --network=none x")
    assert isinstance(run, ins.Run)
    assert run.mounts[0].options == (("type", "cache"), ("target", "/c"), ("ro", "true"))
    assert len(run.mounts) == 2
    assert run.network == "none"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ENV a b c", (("a", "b c"),)),
        ("ENV a=b c=d", (("a", "b"), ("c", "d"))),
        ('ENV a="b c" d=e\\ f', (("a", '"b c"'), ("d", "e\\ f"))),
        ("ENV a=", (("a", ""),)),
    ],
)
def test_env_has_two_forms(text: str, values: tuple[tuple[str, str], ...]) -> None:
    env = only(text)
    assert isinstance(env, ins.Env)
    assert env.values == values


def test_healthcheck_times_are_nanoseconds() -> None:
    check = only("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f /")
    assert isinstance(check, ins.Healthcheck)
    assert (check.interval, check.timeout, check.retries) == (90 * 10**9, 5 * 10**8, 3)
    assert check.command == ins.Command(("curl -f /",), by_shell=True)
    none = only("HEALTHCHECK NONE")
    assert isinstance(none, ins.Healthcheck)
    assert none.command is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("FROM a\nRUNN x", 2, "unknown instruction: RUNN (did you mean RUN?)"),
        ("FROM a b", 1, "FROM requires either one or three arguments"),
        ("FROM a AS 1x", 1, "invalid name for build stage"),
        ("COPY a", 1, "COPY requires at least two arguments"),
        ("COPY --form=x a b", 1, "unknown flag: --form (did you mean from?)"),
        ("COPY --from=x --from=y a b", 1, "duplicate flag specified: --from"),
        ("ENV a=b c", 1, "can't find = in"),
        ("ENV =b", 1, "names can not be blank"),
        ("SHELL sh -c", 1, "JSON form"),
        ("RUN <<EOF\nx", 1, "the end mark EOF is missing"),
        ("HEALTHCHECK CDM x", 1, "Unknown type"),
        ("HEALTHCHECK --interval=1us CMD x", 1, "cannot be less than 1ms"),
        ("HEALTHCHECK --interval=soon CMD x", 1, "is no duration"),
        ("ONBUILD ONBUILD RUN x", 1, "Chaining ONBUILD"),
        ("ONBUILD FROM x", 1, "isn't allowed as an ONBUILD trigger"),
        ("# escape=\\\n# escape=`\nFROM a", 2, "only one escape parser directive"),
        ("RUN --network=lan x", 1, "it takes default, none or host"),
    ],
)
def test_mistakes_name_their_line(text: str, line: int, words: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert caught.value.line == line
    assert words in caught.value.message
    assert f"line {line}:" in caught.value.message


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n"])
def test_a_file_without_instructions_has_no_line_to_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="failed to parse Dockerfile: file with no instr"):
        parse(text)


@given(st.text())
def test_any_text_parses_or_is_refused_in_one_sentence(text: str) -> None:
    with contextlib.suppress(LadingError):
        assert parse(text).instructions


KEYWORDS = st.sampled_from(["FROM", "RUN", "COPY", "ENV", "LABEL", "ARG", "HEALTHCHECK", "ONBUILD"])


@given(st.lists(st.tuples(KEYWORDS, st.text(alphabet="ab =\"'\\$-<>[]{}\n", max_size=30))))
def test_near_dockerfiles_parse_or_are_refused(parts: list[tuple[str, str]]) -> None:
    try:
        parsed = parse("\n".join(f"{keyword} {rest}" for keyword, rest in parts))
    except LadingError:
        return
    lines = [instruction.line for instruction in parsed.instructions]
    assert lines == sorted(lines)

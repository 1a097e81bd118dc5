from __future__ import annotations

import pytest

from lading.build.configure import Configurator, apply_changes
from lading.build.dockerfile import parse, parse_instruction
from lading.build.lines import LogicalLine
from lading.errors import InvalidParameter
from lading.image.model import Config


def configured(text: str, base: Config | None = None) -> Config:
    configurator = Configurator(base or Config())
    for instruction in parse(text).instructions:
        configurator.apply(instruction, configurator.variables())
    return configurator.config


def test_env_is_expanded_and_replaced_in_place() -> None:
    config = configured("ENV a=1 b=2\nENV c=$a-${d:-3}\nENV a=9")
    assert config.env == ["a=9", "b=2", "c=1-3"]


def test_one_env_line_sees_the_values_from_before_it() -> None:
    assert configured("ENV abc=hello\nENV abc=bye def=$abc").env == ["abc=bye", "def=hello"]


def test_commands_in_both_forms() -> None:
    assert configured("CMD echo hi").cmd == ["/bin/sh", "-c", "echo hi"]
    assert configured('CMD ["echo", "hi"]').cmd == ["echo", "hi"]
    assert configured('SHELL ["/bin/bash", "-ec"]\nCMD x').cmd == ["/bin/bash", "-ec", "x"]


def test_an_entrypoint_drops_an_inherited_command_but_not_its_own() -> None:
    base = Config(cmd=["inherited"])
    assert configured('ENTRYPOINT ["e"]', base).cmd is None
    assert configured('CMD ["mine"]\nENTRYPOINT ["e"]', base).cmd == ["mine"]


def test_workdirs_are_joined() -> None:
    assert configured("ENV d=c\nWORKDIR /a\nWORKDIR b/../$d").working_dir == "/a/c"


def test_ports_are_counted_out() -> None:
    ports = configured("EXPOSE 80 90-91/UDP").exposed_ports
    assert ports == {"80/tcp": {}, "90/udp": {}, "91/udp": {}}


def test_volumes_labels_user_and_signal() -> None:
    config = configured('VOLUME ["/a b"]\nVOLUME /c /d\nLABEL k="v w"\nUSER me:us\nSTOPSIGNAL QUIT')
    assert config.volumes == {"/a b": {}, "/c": {}, "/d": {}}
    assert config.labels == {"k": "v w"}
    assert (config.user, config.stop_signal) == ("me:us", "QUIT")


def test_healthchecks() -> None:
    none = configured("HEALTHCHECK NONE").healthcheck
    assert none is not None
    assert none.test == ["NONE"]
    shell = configured("HEALTHCHECK --retries=2 CMD curl /").healthcheck
    assert shell is not None
    assert (shell.test, shell.retries) == (["CMD-SHELL", "curl /"], 2)


def test_a_healthcheck_keeps_what_the_one_before_said_and_it_does_not() -> None:
    made = Configurator(Config())
    first, second, none = (
        made.apply(parse_instruction(LogicalLine(1, text)), {})
        for text in (
            "HEALTHCHECK --interval=90s --start-interval=200ms CMD a b",
            'HEALTHCHECK --interval=1.5s --retries=3 CMD ["c"]',
            "HEALTHCHECK NONE",
        )
    )
    assert first == "HEALTHCHECK &{[CMD-SHELL a b] 1m30s 0s 0s 200ms 0}"
    assert second == "HEALTHCHECK &{[CMD c] 1.5s 0s 0s 0s 3}"
    assert none == "HEALTHCHECK &{[NONE] 0s 0s 0s 0s 0}"
    check = made.config.healthcheck
    assert check is not None
    assert (check.test, check.interval, check.retries) == (["NONE"], 1_500_000_000, 3)
    assert check.start_interval == 200_000_000
    assert made.notes == [
        "overriding previous HEALTHCHECK: [CMD-SHELL a b]",
        "overriding previous HEALTHCHECK: [CMD c]",
    ]


def test_the_base_is_left_alone() -> None:
    base = Config(env=["a=1"], labels={"k": "v"})
    configured("ENV a=2\nLABEL k=w\nONBUILD RUN x", base)
    assert base == Config(env=["a=1"], labels={"k": "v"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EXPOSE 70000", "invalid containerPort"),
        ("EXPOSE x", "invalid containerPort"),
        ("EXPOSE 9-1", "invalid containerPort"),
        ("STOPSIGNAL SIGSOUP", "Invalid signal: SIGSOUP"),
        ("ENV a='b", "matching single-quote"),
        ("WORKDIR $nothing", "requires a path"),
    ],
)
def test_mistakes_are_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        configured(text)
    assert words in caught.value.message


def test_changes_of_a_commit() -> None:
    config = apply_changes(Config(), ['CMD ["sh"]', "ENV a=b", "env c=$a"])
    assert (config.cmd, config.env) == (["sh"], ["a=b", "c=b"])
    with pytest.raises(InvalidParameter, match="RUN is not a valid change command"):
        apply_changes(Config(), ["RUN x"])

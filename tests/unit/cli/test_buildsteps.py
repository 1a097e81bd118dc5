"""A build's messages as lines on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from lading.cli.buildsteps import Steps

ID = "0123456789ab"


class Bars:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def show(self, message: dict[str, Any]) -> None:
        self._log.append(f"<{message['status']}>")

    def close(self) -> None:
        self._log.append("<end>")


def shown(*messages: dict[str, Any] | str, width: int = 40) -> str:
    """What stands on the terminal; every message comes a second after the one before."""
    log: list[str] = []
    ticks = iter(range(1000))
    steps = Steps(log.append, width, lambda: Bars(log), lambda: float(next(ticks)))
    for message in messages:
        steps.show({"stream": message} if isinstance(message, str) else message)
    steps.close()
    return "".join(log)


def test_a_line_for_each_step() -> None:
    text = shown(
        "Step 1/3 : FROM x",
        "\n",
        f" ---> {ID}\n",
        "Step 2/3 : ENV a=b",
        "\n",
        " ---> Using cache\n",
        f" ---> {ID}\n",
        {"aux": {"ID": "sha256:1"}},
        "Step 3/3 : CMD y",
        "\n",
        f" ---> {ID}\n",
        f"Successfully built {ID}\n",
        "Successfully tagged a:latest\n",
    )
    assert text == (
        "[1/3] FROM x                     2.00 s\n"
        "[2/3] ENV a=b                    cached\n"
        "[3/3] CMD y                      2.00 s\n"
        f"Built {ID} in 12.00 s: 3 steps, 1 cached\n"
        "Tagged a:latest\n"
    )


def test_what_a_command_says_stands_below_its_step() -> None:
    text = shown(
        "Step 1/2 : RUN y",
        "\n",
        f" ---> Running in {ID}\n",
        "one\ntw",
        "o\n",
        "\n",
        "\x1b[91mthree\n\x1b[0m",
        "10%\r20%",
        f" ---> Removed intermediate container {ID}\n",
        f" ---> {ID}\n",
        "Step 2/2 : CMD z",
    )
    assert text == (
        "[1/2] RUN y\n"
        "      one\n      two\n\n      \x1b[91mthree\n\x1b[0m      10%\r      20%\n"
        "                                 9.00 s\n"
        "[2/2] CMD z\n"
    )


def test_a_step_that_fails_tells_of_its_container() -> None:
    text = shown("Step 1/1 : RUN y", "\n", f" ---> Running in {ID}\n", "why")
    assert text == f"[1/1] RUN y\n      why\n      its container {ID} is left as it ended\n"
    removed = f" ---> Removed intermediate container {ID}\n"
    text = shown("Step 1/1 : RUN y", f" ---> Running in {ID}\n", removed)
    assert text == "[1/1] RUN y\n"


def test_a_pull_shows_its_bars_and_the_step_goes_on() -> None:
    text = shown(
        "Step 1/1 : FROM x",
        "\n",
        {"status": "Pulling fs layer", "id": "a"},
        {"status": "Pull complete", "id": "a"},
        f" ---> {ID}\n",
        f"Successfully built {ID}\n",
    )
    assert text.startswith("[1/1] FROM x\n<Pulling fs layer><Pull complete><end>")
    assert text.count("\n") == 3


def test_the_times_of_messages_count() -> None:
    def at(text: str, seconds: float) -> dict[str, Any]:
        return {"stream": text, "timeNano": int(seconds * 1e9)}

    # The second stage ran at the same time as the first one, and for longer.
    text = shown(
        at("Step 1/2 : RUN a", 100.0),
        at(f" ---> {ID}\n", 101.5),
        at("Step 2/2 : RUN b", 100.0),
        at(f" ---> {ID}\n", 190.0),
        at(f"Successfully built {ID}\n", 190.0),
    )
    assert text.splitlines()[0].endswith(" 1.50 s")
    assert text.splitlines()[1].endswith(" 1 min 30 s")


@pytest.mark.parametrize("words", ["RUN a very long line that does not fit", "RUN a\n  b"])
def test_a_step_has_one_line(words: str) -> None:
    text = shown(f"Step 1/1 : {words}", "\n", f" ---> {ID}\n", "Successfully built x\n")
    first, second, rest = text.split("\n")
    assert len(first) < 40
    assert second.startswith("Built")
    assert not rest


def test_what_is_no_step_is_shown_as_it_is() -> None:
    assert shown("[Warning] look\n") == "[Warning] look\n"

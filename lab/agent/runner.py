"""The warm runner: one pytest session with its engine up, that runs scenarios when asked.

Under emulation Python, pytest and an engine take a minute to start. They are started once, before
a machine is saved; every clone of it only runs a scenario.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from lab.agent.agent import RUNNER, receive, send
from lab.agent.frames import pack, unpack
from scenarios.harness.outcomes import Outcomes, scenario_of


class Warm:
    """A plugin that takes the place of pytest's loop over what was collected."""

    def __init__(self, first: str) -> None:
        self._first = first

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the first scenario, which brings the engine up, and then those asked for."""
        by_name: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            by_name.setdefault(scenario_of(item.nodeid), []).append(item)
        outcomes = session.config.pluginmanager.get_plugin("lading-outcomes")
        assert isinstance(outcomes, Outcomes)
        document = self._run(session, by_name[self._first], outcomes)
        ended = document["scenarios"][self._first]
        if ended["outcome"] != "passed":
            pytest.exit(f"the first scenario {ended['outcome']}: {ended['complaint']}", 1)
        self._serve(session, by_name, outcomes)
        return True

    def _run(
        self, session: pytest.Session, items: list[pytest.Item], outcomes: Outcomes
    ) -> dict[str, Any]:
        outcomes.scenarios.clear()
        for item in items:
            # With another item to come the session's fixtures, the engine among them, stay.
            others = (one for one in session.items if one is not item)
            runtestprotocol(item, nextitem=next(others), log=True)
        return dict(outcomes.document())

    def _serve(
        self,
        session: pytest.Session,
        by_name: Mapping[str, list[pytest.Item]],
        outcomes: Outcomes,
    ) -> None:
        path = Path(RUNNER)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".new")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(str(partial))
            server.listen()
            partial.rename(path)
            while True:
                line, _address = server.accept()
                with line:
                    request = unpack(lambda count: receive(line.fileno(), count))  # noqa: B023
                    items = by_name.get(request["scenario"])
                    document = self._run(session, items, outcomes) if items else {"scenarios": {}}
                    send(line.fileno(), pack(document))


def main() -> None:
    """`python -m lab.agent.runner FIRST-SCENARIO [pytest options]`."""
    first, *options = sys.argv[1:]
    words = ["scenarios", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-q", *options]
    sys.exit(int(pytest.main(words, plugins=[Warm(first)])))


if __name__ == "__main__":
    main()

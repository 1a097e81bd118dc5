"""Machines at work: several at once, each cell prepared once, each scenario on a fresh one."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.cells import Cell
from lab.matrix.lanes import Lane
from lab.matrix.model import ERROR, NOT_RUN, SKIPPED, Job, Machine, Result
from lab.shell import LabError

_PATIENCE = 3
"""So many machines of a cell in a row may die before the cell is given up."""

_LEFT_OUT = "left out: the time of the run was over"

Tell = Callable[[Machine | Result], None]
Begin = Callable[[str, str], None]


@dataclass(slots=True)
class _Line:
    """A cell's jobs: waiting, running, and how its machines fare."""

    cell: Cell
    waiting: deque[str]
    state: str = "new"
    running: int = 0
    deaths: int = 0
    problem: str = ""
    machine: Machine | None = field(default=None)


class Floor:
    """The place where workers take jobs: whose turn it is, and what became of it.

    `tell` hears of every machine and result, one at a time; `begin` of what starts, with the
    cell and the scenario ("" for the preparation). With `within` seconds no scenario starts after
    them: those are skipped.
    """

    def __init__(
        self,
        lane: Lane,
        engine: str,
        jobs: Iterable[Job],
        at_once: int,
        tell: Tell,
        begin: Begin = lambda _cell, _what: None,
        within: float = 0.0,
    ) -> None:
        self._until = time.monotonic() + within if within else math.inf
        self._lane, self._engine, self._at_once = lane, engine, at_once
        self._tell, self._begin = tell, begin
        self._change = threading.Condition()
        self._stopped = self._overdue = False
        self._failure: BaseException | None = None
        self._lines: dict[str, _Line] = {}
        for job in jobs:
            line = self._lines.setdefault(job.cell.name, _Line(job.cell, deque()))
            line.waiting.append(job.scenario)

    def run(self) -> None:
        """Do all jobs. When interrupted, end every machine first and then raise that."""
        workers = [
            threading.Thread(target=self._work, name=f"lading-matrix-{number}", daemon=True)
            for number in range(self._at_once)
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(0.5)
                    self._end_preparations()
        except BaseException:
            with self._change:
                self._stopped = True
                self._change.notify_all()
            self._lane.close()
            for worker in workers:
                worker.join(60)
            raise
        finally:
            self._lane.close()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                line, scenario = task
                if scenario:
                    self._scenario(line, scenario)
                else:
                    self._prepare(line)
        except BaseException as error:  # noqa: BLE001  the main thread raises it
            with self._change:
                self._failure, self._stopped = error, True
                self._change.notify_all()

    def _next(self) -> tuple[_Line, str] | None:
        """A cell to prepare, as long as few jobs are ready, or else a job; None at the end."""
        with self._change:
            while not self._stopped:
                if time.monotonic() > self._until:
                    self._skip_waiting()
                ready = [one for one in self._lines.values() if one.state == "ready"]
                waiting = sum(len(one.waiting) for one in ready)
                fresh = next((one for one in self._lines.values() if one.state == "new"), None)
                if fresh is not None and waiting < self._at_once * 2:
                    fresh.state = "preparing"
                    return fresh, ""
                line = next((one for one in ready if one.waiting), None)
                if line is not None:
                    line.running += 1
                    return line, line.waiting.popleft()
                if not any(one.state == "preparing" for one in self._lines.values()):
                    return None
                self._change.wait()
        return None

    def _skip_waiting(self) -> None:
        for line in self._lines.values():
            line.state = "ready" if line.state == "new" else line.state
            self._drop(line, SKIPPED, _LEFT_OUT)

    def _end_preparations(self) -> None:
        """After the time of the run, end what is still being made ready for nothing."""
        if time.monotonic() <= self._until or self._overdue:
            return
        with self._change:
            preparing = any(line.state == "preparing" for line in self._lines.values())
            running = any(line.running for line in self._lines.values())
            if preparing and not running:
                self._overdue = True
                self._skip_waiting()
        if self._overdue:
            self._lane.close()

    def _prepare(self, line: _Line) -> None:
        started = time.monotonic()
        self._begin(line.cell.name, "")
        try:
            machine = self._lane.prepare(line.cell, self._engine)
        except LabError as error:
            problem = _LEFT_OUT if self._overdue else str(error)
            machine = Machine(line.cell.name, problem=problem)
        machine.took = time.monotonic() - started
        with self._change:
            if self._stopped:
                return
            line.machine = machine
            line.state = "ready"
            if machine.problem:
                self._give_up(line, machine.problem)
            self._tell(machine)
            self._change.notify_all()

    def _scenario(self, line: _Line, scenario: str) -> None:
        started = time.monotonic()
        name = line.cell.name
        self._begin(name, scenario)
        died = ""
        try:
            result, document = self._lane.run(line.cell, scenario, self._engine)
        except LabError as error:
            died = str(error)
            result, document = Result(name, scenario, ERROR, complaint=died), {}
        result.took = time.monotonic() - started
        with self._change:
            line.running -= 1
            if self._stopped:
                return
            line.deaths = line.deaths + 1 if died else 0
            self._learn(line, document)
            self._tell(result)
            if line.deaths >= _PATIENCE and line.waiting:
                self._give_up(line, f"{_PATIENCE} machines in a row died; the last: {died}")
            over = not line.waiting and not line.running
            self._change.notify_all()
        if over:
            self._lane.release(line.cell)

    def _learn(self, line: _Line, document: object) -> None:
        machine = line.machine
        if machine is not None and isinstance(document, dict) and document and not machine.version:
            machine.learn(document)
            self._tell(machine)

    def _give_up(self, line: _Line, reason: str) -> None:
        """Leave a cell's jobs undone, with the reason; the others go on."""
        line.problem = reason
        self._drop(line, NOT_RUN, reason)

    def _drop(self, line: _Line, outcome: str, reason: str) -> None:
        while line.waiting:
            scenario = line.waiting.popleft()
            self._tell(Result(line.cell.name, scenario, outcome, complaint=reason))

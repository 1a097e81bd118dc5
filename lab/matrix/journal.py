"""What a run has done so far, on disk line by line: where the next one goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from lab.files import write_whole
from lab.matrix.model import Machine, Result, Run
from lab.paths import RESULTS


def default_path() -> Path:
    """Where the matrix keeps it."""
    return RESULTS / "matrix" / "journal.jsonl"


class Journal:
    """An append-only file: a header, a line for each machine and each result, and an end.

    A line is on the disk before anything else happens; one that was cut off does not count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def resume(self, key: Mapping[str, object], run: Run) -> bool:
        """Take over an unfinished run of the same plan; whether there was one.

        The file is ready to be written afterwards either way.
        """
        lines = self._lines()
        known = json.loads(json.dumps(key))
        if lines and lines[0].get("plan") == known and "end" not in lines[-1]:
            for line in lines[1:]:
                self._take(line, run)
            run.started = lines[0]["started"]
            run.estimate = lines[0]["estimate"]
            self._rewrite(lines)
            return True
        return False

    def begin(self, key: Mapping[str, object], run: Run) -> None:
        """Start anew."""
        self._rewrite([{"plan": key, "started": run.started, "estimate": run.estimate}])

    def add(self, entry: Machine | Result) -> None:
        """Note a machine or a result."""
        kind = "machine" if isinstance(entry, Machine) else "result"
        self._append({kind: entry.document()})

    def spent(self, seconds: float, *, finished: bool) -> None:
        """Note the seconds that this part of the run took, and whether it was the last."""
        self._append({"end" if finished else "spent": seconds})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        found: list[dict[str, Any]] = []
        for line in text.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    @staticmethod
    def _take(line: Mapping[str, Any], run: Run) -> None:
        if "result" in line:
            result = Result(**line["result"])
            run.results[result.key] = result
        elif "machine" in line:
            machine = Machine(**line["machine"])
            run.machines[machine.cell] = machine
        else:
            run.took += line.get("spent", 0.0)

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self._file = open(self.path, "a")  # noqa: SIM115

    def _append(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

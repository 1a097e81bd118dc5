"""A matrix as a short Markdown summary: what a merge request shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.matrix.plan import clock
from lab.report.junit import explanation

_MOST = 20


def summary(document: Mapping[str, Any]) -> str:
    """A verdict, a line for each cell, and what is not well, no more than twenty of it."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    same, compared = document["parity"]["same"], document["parity"]["compared"]
    verdict = "passed" if document["passed"] else "FAILED"
    yield f"## Lading's matrix: {verdict}"
    yield ""
    yield (
        f"{len(document['scenarios'])} scenarios in {len(document['cells'])} cells, "
        f"{percent(same, compared)} as Docker has them ({same} of {compared} compared), "
        f"in {clock(document['took'])}."
    )
    yield ""
    shown = [
        name
        for name in document["statuses"]
        if any(square["status"] == name for square in document["squares"])
    ]
    heads = [
        f"{document['statuses'][name]['sign']} {document['statuses'][name]['word']}"
        for name in shown
    ]
    yield "| " + " | ".join(["cell", "engine compared with", "parity", *heads]) + " |"
    yield "|" + "---|" * (3 + len(shown))
    for cell in document["cells"]:
        mine = [one["status"] for one in document["squares"] if one["cell"] == cell["name"]]
        parity = percent(cell["parity"]["same"], cell["parity"]["compared"])
        figures = [str(mine.count(name)) for name in shown]
        words = [f"{cell['name']} ({cell['title']})", f"Docker {cell['engine']}", parity, *figures]
        yield "| " + " | ".join(words) + " |"
    yield from _problems(document)


def percent(part: int, whole: int) -> str:
    """A share as people read it; 100 % is all, and nothing less."""
    if not whole:
        return "nothing compared"
    if part == whole:
        return "100 %"
    return f"{min(99.9, 100 * part / whole):.1f} %"


def notes_of(document: Mapping[str, Any]) -> list[str]:
    """What is to be said of cells: of their references, then of what kept them from running."""
    notes = [f"{cell['name']}: {cell['note']}" for cell in document["cells"] if cell["note"]]
    notes += [
        f"{cell['name']}: {cell['machine']['problem']}"
        for cell in document["cells"]
        if cell["machine"]["problem"]
    ]
    return notes


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    notes = notes_of(document)
    notes += [
        f"`scenarios/divergences/{rule['file']}` matches no difference any more: remove it."
        for rule in document["stale"]
    ]
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)
    statuses = document["statuses"]
    bad = [
        one
        for one in document["squares"]
        if not statuses[one["status"]]["fine"] and one["status"] != "not_run"
    ]
    if not bad:
        return
    yield ""
    for square in bad[:_MOST]:
        lines = explanation(square).splitlines() or [statuses[square["status"]]["word"]]
        yield (
            f"- {statuses[square['status']]['sign']} **{square['cell']}** "
            f"`{square['scenario']}`: {_short(lines[0])}"
        )
    if len(bad) > _MOST:
        yield f"- and {len(bad) - _MOST} more: see the report."


def _short(text: str) -> str:
    return text if len(text) <= 240 else f"{text[:239]}…"

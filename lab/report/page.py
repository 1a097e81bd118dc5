"""The report as one HTML page that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.matrix.plan import clock
from lab.report.markdown import notes_of, percent

_HERE = Path(__file__).parent
_PLACE = re.compile(r"@@([a-z]+)@@")


def page(document: Mapping[str, Any]) -> str:
    """The page. The table stands without JavaScript; details open by it."""
    # A script's text ends at the first `</script`, whatever is around it.
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    verdict = "passed" if document["passed"] else "failed"
    parts = {
        "title": f"Lading: the matrix of {document['started'][:16].replace('T', ' ')}",
        "verdict": verdict,
        "headline": _headline(document),
        "legend": "".join(_legend(document)),
        "notes": "".join(_notes(document)),
        "table": "".join(_table(document)),
        "style": (_HERE / "report.css").read_text(),
        "script": (_HERE / "report.js").read_text(),
        "data": data,
    }
    for name in ("title", "headline", "verdict"):
        parts[name] = html.escape(parts[name])
    # All at once: what is put in may look like a place to put something.
    return _PLACE.sub(lambda found: parts[found[1]], (_HERE / "report.html").read_text())


def _headline(document: Mapping[str, Any]) -> str:
    same, compared = document["parity"]["same"], document["parity"]["compared"]
    return (
        f"{len(document['scenarios'])} scenarios × {len(document['cells'])} cells on "  # noqa: RUF001
        f"{document['driver']} machines, {document['at_once']} at once; "
        f"{percent(same, compared)} of {compared} compared are as Docker has them; "
        f"took {clock(document['took'])}, estimated {clock(document['estimate'])}."
    )


def _legend(document: Mapping[str, Any]) -> Iterator[str]:
    counts = [square["status"] for square in document["squares"]]
    for name, status in document["statuses"].items():
        if name in counts:
            word = html.escape(f"{status['word']}: {counts.count(name)}")
            yield (
                f'<button type="button" data-filter="{name}" aria-pressed="false">'
                f'<b class="sign {name}">{status["sign"]}</b> {word}</button>'
            )


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    notes = notes_of(document)
    notes += [f"No longer differs: scenarios/divergences/{r['file']}" for r in document["stale"]]
    if notes:
        yield "<ul class=notes>"
        yield from (f"<li>{html.escape(note)}</li>" for note in notes)
        yield "</ul>"


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    squares = {
        (one["scenario"], one["cell"]): (number, one)
        for number, one in enumerate(document["squares"])
    }
    yield "<thead><tr><th scope=col>scenario</th>"
    for number, cell in enumerate(document["cells"]):
        parity = percent(cell["parity"]["same"], cell["parity"]["compared"])
        yield (
            f'<th scope=col><button type="button" data-cell="{number}" '
            f'title="{html.escape(cell["title"])}"><span>{html.escape(cell["name"])}</span>'
            f"<small>{parity}</small></button></th>"
        )
    yield "</tr></thead>"
    folder = ""
    width = len(document["cells"]) + 1
    for scenario in document["scenarios"]:
        top = scenario.partition("/")[0]
        if top != folder:
            folder = top
            yield f'<tbody><tr class=group><th scope=rowgroup colspan="{width}">{folder}</th></tr>'
        yield from _row(document, scenario, squares)


def _row(
    document: Mapping[str, Any],
    scenario: str,
    squares: Mapping[tuple[str, str], tuple[int, Mapping[str, Any]]],
) -> Iterator[str]:
    name = scenario.partition("::")[2].removeprefix("test_").replace("_", " ")
    yield f'<tr><th scope=row title="{html.escape(scenario)}">{html.escape(name)}</th>'
    for cell in document["cells"]:
        number, square = squares[scenario, cell["name"]]
        status = document["statuses"][square["status"]]
        label = html.escape(f"{name} on {cell['name']}: {status['word']}")
        yield (
            f'<td><button type="button" class="sign {square["status"]}" data-square="{number}" '
            f'aria-label="{label}" title="{label}">{status["sign"]}</button></td>'
        )
    yield "</tr>"

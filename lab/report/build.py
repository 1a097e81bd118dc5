"""All reports of a matrix, out of the document that `lab.matrix.judge` makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.files import write_whole
from lab.report.junit import junit
from lab.report.markdown import summary
from lab.report.page import page


def build(document: Mapping[str, Any], directory: Path) -> None:
    """Write `matrix.json`, `report.html`, `junit.xml` and `summary.md`, each whole or not."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("matrix.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n"),
        ("report.html", page(document)),
        ("junit.xml", junit(document)),
        ("summary.md", summary(document)),
    ):
        write_whole(directory / name, text)

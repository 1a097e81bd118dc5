"""A matrix as JUnit XML: a suite for each cell, a case for each scenario."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""What XML 1.0 has no way to write."""


def junit(document: Mapping[str, Any]) -> str:
    """The XML; a difference nobody meant is a failure, a machine that died an error."""
    root = ElementTree.Element("testsuites", name="lading matrix")
    for cell in document["cells"]:
        squares = [one for one in document["squares"] if one["cell"] == cell["name"]]
        suite = ElementTree.SubElement(root, "testsuite", name=cell["name"])
        cases = [_case(suite, square) for square in squares]
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(sum(case.find(kind) is not None for case in cases)))
        suite.set("tests", str(len(cases)))
        suite.set("time", f"{sum(square['took'] for square in squares):.2f}")
    _stale(root, document)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def explanation(square: Mapping[str, Any]) -> str:
    """Why a square is not well, for people: each difference in a line, then the complaint."""
    lines = [
        f"{one['fact']}: Docker has {json.dumps(one['reference'])}, "
        f"{json.dumps(one['subject'])} was seen"
        for one in square["differences"]
        if not one["divergence"]
    ]
    parts = [*lines, square["complaint"].strip()]
    if square["kept"]:
        parts.append(f"The machine's logs: {square['kept']}")
    if square["again"]:
        parts.append(f"Again: {square['again']}")
    return "\n".join(part for part in parts if part)


def _case(suite: ElementTree.Element, square: Mapping[str, Any]) -> ElementTree.Element:
    folder, _, name = square["scenario"].partition("::")
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{square['cell']}.{folder.removesuffix('.py').replace('/', '.')}",
        name=name,
        time=f"{square['took']:.2f}",
    )
    kinds = {
        "differs": "failure",
        "failed": "failure",
        "error": "error",
        "not_run": "error",
        "skipped": "skipped",
    }
    if kind := kinds.get(square["status"]):
        why = _UNPRINTABLE.sub("?", explanation(square))
        first = why.splitlines()[0] if why else square["status"]
        ElementTree.SubElement(case, kind, message=first[:300]).text = why
    return case


def _stale(root: ElementTree.Element, document: Mapping[str, Any]) -> None:
    if not document["stale"]:
        return
    count = str(len(document["stale"]))
    suite = ElementTree.SubElement(
        root, "testsuite", name="divergences", tests=count, failures=count, errors="0", skipped="0"
    )
    for rule in document["stale"]:
        case = ElementTree.SubElement(suite, "testcase", classname="divergences", name=rule["file"])
        message = f"scenarios/divergences/{rule['file']} matches no difference any more: remove it"
        ElementTree.SubElement(case, "failure", message=message)

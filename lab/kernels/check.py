"""`invoke kernel.check`: what a kernel offers a container engine, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from lab.kernels.config import KernelConfig
from lab.kernels.options import OPTIONS, Need, Option


@dataclass(frozen=True, slots=True)
class Finding:
    """One option in one kernel; `state` is `built in`, `module` or `missing`."""

    title: str
    need: str
    symbols: str
    state: str
    cost: str

    @property
    def fine(self) -> bool:
        """Whether the kernel has it."""
        return self.state != "missing"


def check(config: KernelConfig) -> list[Finding]:
    """Every option that a kernel of this version can have, in the order of OPTIONS."""
    return [_finding(config, option) for option in OPTIONS if option.applies_to(config.version)]


def usable(findings: list[Finding]) -> bool:
    """Whether containers can run at all."""
    return all(finding.fine for finding in findings if finding.need == Need.REQUIRED.value)


def as_json(config: KernelConfig, findings: list[Finding]) -> str:
    """A document for programs: {source, version, usable, findings}."""
    document = {
        "source": config.source,
        "version": ".".join(map(str, config.version)),
        "usable": usable(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(document, indent=2)


def as_table(config: KernelConfig, findings: list[Finding]) -> Iterator[str]:
    """Lines for people, grouped by need; what is missing says what it costs."""
    yield f"Kernel {'.'.join(map(str, config.version))}, configuration from {config.source}"
    width = max(len(finding.title) for finding in findings)
    for need in Need:
        group = [finding for finding in findings if finding.need == need.value]
        if not group:
            continue
        yield ""
        yield need.value
        for finding in group:
            mark = "✓" if finding.fine else "✗"
            note = finding.state if finding.fine else f"missing: {finding.cost}"
            yield f"  {mark} {finding.title:<{width}}  {note}"
    yield ""
    verdict = "can" if usable(findings) else "can NOT"
    yield f"This kernel {verdict} run containers."


def _finding(config: KernelConfig, option: Option) -> Finding:
    states = {config.state(symbol) for symbol in option.symbols}
    state = "built in" if "y" in states else "module" if "m" in states else "missing"
    symbols = " or ".join(f"CONFIG_{symbol}" for symbol in option.symbols)
    return Finding(option.title, option.need.value, symbols, state, option.cost)

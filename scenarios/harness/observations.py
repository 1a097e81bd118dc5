"""What scenarios observe, made comparable, and how two engines' observations differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from lab.files import write_whole

Value: TypeAlias = str | int | float | bool | list["Value"] | dict[str, "Value"] | None

_VOLATILE = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short-id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
)


def normalised(value: object) -> Value:
    """A value as it can be compared: identities and times replaced, sets sorted."""
    if isinstance(value, str):
        for pattern, word in _VOLATILE:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, Mapping):
        return {str(key): normalised(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, set | frozenset):
        return sorted((normalised(one) for one in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [normalised(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} can not be observed: {value!r}")


@dataclass(slots=True)
class Observations:
    """Everything that one engine's run observed: scenario → name → value.

    `version` is the engine's, `kernel` the release, `cgroups` v1, v2 or hybrid, `image` the ID of
    the base image; `outcomes` has the scenarios that did not pass there, as `failed` or `skipped`.
    """

    engine: str
    version: str = ""
    kernel: str = ""
    cgroups: str = ""
    image: str = ""
    scenarios: dict[str, dict[str, Value]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    def known(self) -> set[str]:
        """The scenarios about which this says anything."""
        return self.scenarios.keys() | self.outcomes.keys()

    def add(self, scenario: str, name: str, value: object) -> None:
        """Record one fact."""
        self.scenarios.setdefault(scenario, {})[name] = normalised(value)

    def save(self, path: Path) -> None:
        """Write them as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "engine": self.engine,
            "version": self.version,
            "kernel": self.kernel,
            "cgroups": self.cgroups,
            "image": self.image,
            "scenarios": self.scenarios,
            **({"outcomes": self.outcomes} if self.outcomes else {}),
        }
        write_whole(path, json.dumps(document, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> Observations:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact on which two engines differ; `<none>` where an engine did not observe it."""

    scenario: str
    name: str
    reference: Value
    subject: Value

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.name}: the reference has {json.dumps(self.reference)}, "
            f"the subject {json.dumps(self.subject)}"
        )


def differences(reference: Observations, subject: Observations) -> Iterator[Difference]:
    """The facts of scenarios that both engines ran, where they are not equal."""
    for scenario in sorted(reference.scenarios.keys() & subject.scenarios.keys()):
        theirs, ours = reference.scenarios[scenario], subject.scenarios[scenario]
        for name in sorted(theirs.keys() | ours.keys()):
            left, right = theirs.get(name, "<none>"), ours.get(name, "<none>")
            if left != right:
                yield Difference(scenario, name, left, right)

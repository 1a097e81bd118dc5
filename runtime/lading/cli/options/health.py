"""The health check's options."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.flags import Options

TIMES = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
}


def healthcheck(options: Options) -> dict[str, Any] | None:
    """Make the health check that was asked for, None for the image's own; raises ValueError."""
    names = ("health-cmd", "health-retries", *TIMES)
    asked = any(options.value(name) for name in names)
    if options.on("no-healthcheck"):
        if asked:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not asked:
        return None
    check: dict[str, Any] = {}
    if command := options.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", command]
    for name, field in TIMES.items():
        if (value := options.number(name)) < 0:
            raise ValueError(f"--{name} cannot be negative")
        if value:
            check[field] = value
    retries = options.number("health-retries")
    if retries < 0:
        raise ValueError("--health-retries cannot be negative")
    if retries:
        check["Retries"] = retries
    return check

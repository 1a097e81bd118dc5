"""What all tests share: how properties are tested."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Tests assert no timing, and a machine that is busy with others' work is no failure.
settings.register_profile("lading", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lading")

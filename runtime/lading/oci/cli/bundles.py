"""Commands about bundles and this runtime: spec, plan, features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import Conflict, LadingError
from lading.oci.cli.output import print_json

if TYPE_CHECKING:
    import argparse


def run_spec(options: argparse.Namespace) -> int:
    """Write config.json into the bundle; one that is there stays."""
    import msgspec

    from lading.oci import defaults, spec

    path = Path(options.bundle) / "config.json"
    text = msgspec.json.format(spec.encode(defaults.spec()), indent=2)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(text + b"\n")
    except FileExistsError:
        raise Conflict(f"{path} exists, remove it first") from None
    except OSError as error:
        raise LadingError(f"cannot write {path}: {error.strerror}") from error
    return 0


def run_plan(options: argparse.Namespace) -> int:
    """Print the plan for the bundle; nothing is executed."""
    from lading.kernel import cgroups
    from lading.oci import spec
    from lading.oci.plan import plan

    bundle = Path(options.bundle)
    found = cgroups.detect()
    steps = plan(
        spec.load(bundle),
        container_id=options.id,
        bundle=os.path.realpath(bundle),
        hierarchy=found if found.mounts or found.unified else None,
    )
    print(steps.describe())
    return 0


def run_features(options: argparse.Namespace) -> int:  # noqa: ARG001
    """Print the features document."""
    from lading.oci import features

    print_json(features.document())
    return 0

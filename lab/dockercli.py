"""The `docker` command line that scenarios and benchmarks use: the reference's own."""

from __future__ import annotations

import shutil
from functools import cache

from lab.reference import NEWEST, tree_of
from lab.shell import LabError
from lab.trees import ensure

_LIBRARIES = ("lib", "usr/lib", "lib64", "usr/lib64")


@cache
def words() -> list[str]:
    """The words that start the newest reference's `docker`, out of its tree.

    The tree's program runs with the tree's own loader and libraries, so that every machine has
    the same version of it, whatever it has installed itself. Raises LabError: the tree can not
    be made.
    """
    tree = ensure(tree_of(NEWEST))
    loaders = sorted(tree.glob("lib64/ld-linux-*.so.*")) or sorted(tree.glob("lib/ld-linux-*.so.*"))
    if not loaders:
        raise LabError(f"the tree {tree} has no program loader: remove it, and it is made again")
    paths = [str(tree / name) for name in _LIBRARIES]
    paths += [str(path) for name in _LIBRARIES[:2] for path in (tree / name).glob("*-linux-gnu")]
    return [str(loaders[0]), "--library-path", ":".join(paths), str(tree / "usr/bin/docker")]


def any_words() -> list[str]:
    """This machine's own `docker`, or the reference's where it has none."""
    own = shutil.which("docker")
    return [own] if own else words()

"""Images are listed by filters, pruned, and counted on the disk."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject
from scenarios.images.tars import tar


def names(engine: Subject, *filters: str) -> list[str]:
    """List names; those that other scenarios gave busybox by digest are left out."""
    words = [word for term in filters for word in ("--filter", term)]
    out = engine.succeed("images", *words, "--format", "{{.Repository}}:{{.Tag}}")
    return sorted(name for name in out.split() if not name.endswith("busybox:<none>"))


def prepared(engine: Subject) -> None:
    """Make one image with a label and three names, one without, and one without a name."""
    first = tar({"x": b"1" * 1000})
    engine.succeed("import", "--change", "LABEL lading.test=1", "-", "lading-test/a:1", stdin=first)
    engine.succeed("tag", "lading-test/a:1", "lading-test/a:2")
    engine.succeed("tag", "lading-test/a:1", "lading-test/b:1")
    engine.succeed("import", "-", "lading-test/c:1", stdin=tar({"x": b"2" * 2000}))
    engine.succeed("import", "-", stdin=tar({"x": b"3" * 3000}))


def test_filters(engine: Subject, observe: Observe) -> None:
    prepared(engine)
    for terms in (
        ("dangling=true",),
        ("dangling=false",),
        ("label=lading.test",),
        ("label=lading.test=2",),
        ("before=lading-test/a:1",),
        ("since=busybox",),
        ("until=24h",),
        ("until=24h", "until=1s"),
        ("reference=lading-test/*",),
        ("reference=*/*:1",),
        ("reference=lading-test/a", "reference=busy*"),
    ):
        observe(" ".join(terms), names(engine, *terms))


def test_faulty_filters(engine: Subject, observe: Observe) -> None:
    for term in ("nope=1", "label!=a", "dangling=maybe", "before=lading-test-none"):
        observe(term, engine.fail("images", "--filter", term).err)
    for term in ("until=never", "reference=["):
        assert engine.fail("images", "--filter", term).code == 1


def test_a_tree(engine: Subject, observe: Observe) -> None:
    prepared(engine)
    for words in ((), ("--all",)):
        lines = engine.succeed("images", "--tree", *words).splitlines()
        shown = [[word for word in line.split() if not _is_id(word)] for line in lines]
        # Images of the same second have no order.
        observe(" ".join(["tree", *words]), sorted(shown))


def _is_id(word: str) -> bool:
    return len(word) == 12 and all(digit in "0123456789abcdef" for digit in word)


def test_prune_takes_what_has_no_name(engine: Subject, observe: Observe) -> None:
    prepared(engine)
    out = engine.succeed("image", "prune", "--force")
    assert out.count("deleted: ") == 2
    observe("space", out.splitlines()[-1])
    observe("left", names(engine))


def test_prune_all_leaves_an_image_in_use_its_last_name(engine: Subject, observe: Observe) -> None:
    prepared(engine)
    engine.succeed("create", "--name", "lading-test-user", "lading-test/a:2", "/x")
    out = engine.succeed("image", "prune", "--all", "--force", "--filter", "label=lading.test")
    observe("out", sorted(out.splitlines()))
    observe("left", names(engine, "reference=lading-test/*"))
    engine.succeed("rm", "lading-test-user")
    out = engine.succeed("image", "prune", "--all", "--force", "--filter", "label=lading.test")
    observe("space", out.splitlines()[-1])
    observe("then", names(engine, "reference=lading-test/*"))


def test_prune_tells_what_came_free(engine: Subject, observe: Observe) -> None:
    """A layer that another image has does not come free."""
    shared = tar({"x": b"1" * 1000})
    engine.succeed("import", "-", "lading-test/kept:1", stdin=shared)
    engine.succeed("import", "--message", "other", "-", stdin=shared)
    out = engine.succeed("image", "prune", "--force")
    observe("space", out.splitlines()[-1])


def test_disk_usage(engine: Subject, observe: Observe) -> None:
    prepared(engine)
    engine.succeed("create", "--name", "lading-test-user", "lading-test/c:1", "/x")
    overview = engine.succeed("system", "df").splitlines()
    # The last row, of the build's cache, tells what the scenarios of builds before this one left.
    observe("overview", overview[:-1])
    assert overview[-1].startswith("Build Cache")
    usage = engine.client.df()
    observe("layers", usage["LayersSize"])
    counted = ("RepoTags", "Size", "SharedSize", "Containers")
    shown = [[image[key] for key in counted] for image in usage["Images"]]
    observe("images", sorted(shown, key=str))


def test_an_image_removed_by_force_frees_its_layers_with_its_container(engine: Subject) -> None:
    engine.succeed("import", "-", "lading-test/forced:1", stdin=tar({"x": b"4" * 4000}))
    before = engine.client.df()["LayersSize"]
    engine.succeed("create", "--name", "lading-test-user", "lading-test/forced:1", "/x")
    engine.succeed("rmi", "--force", "lading-test/forced:1")
    engine.succeed("rm", "lading-test-user")
    assert engine.client.df()["LayersSize"] == before - 4000

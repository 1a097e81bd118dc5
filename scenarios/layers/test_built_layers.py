"""The layers that a build makes: each holds what its instruction changed, and nothing else."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.building import MTIME, Builder, Entry, Files, names, pack, symlink
from scenarios.harness.subject import Subject

_FILES: Files = {"d/a": "a", "d/b": "b", "top": "top"}


def _head(digest: str) -> str:
    """Enough of a digest to compare it between engines, which replace whole ones."""
    return digest.removeprefix("sha256:")[:24]


def test_each_instruction_has_its_layer(builder: Builder, observe: Observe) -> None:
    builder.build(
        "FROM busybox\nENV a=1\nRUN mkdir /made && echo 1 > /made/one && echo x >> /etc/group\n"
        "CMD true\nCOPY d /copied\nWORKDIR /work/deep\nUSER nobody\nADD top /work/\n",
        _FILES,
        tag="lading-test:layers",
    )
    found = [names(layer) for layer in builder.layers("lading-test:layers")]
    assert found == [
        ["etc/", "etc/group", "made/", "made/one"],
        ["copied/", "copied/a", "copied/b"],
        ["work/", "work/deep/"],
        ["work/", "work/top"],
    ]
    observe("found", found)


def test_members_have_their_modes_owners_and_times(builder: Builder, observe: Observe) -> None:
    builder.build("FROM busybox\nCOPY --chown=nobody:5 d/a /a\n", _FILES, tag="lading-test:member")
    ((member,),) = builder.layers("lading-test:member")
    assert (member.name, member.uid, member.gid) == ("a", 65534, 5)
    assert (member.mode, member.mtime, member.size) == (0o644, MTIME, 1)
    observe("names", [member.uname, member.gname])


def test_equal_files_are_an_equal_layer(builder: Builder, observe: Observe) -> None:
    one = builder.build("FROM busybox\nCOPY top /top\n", _FILES)
    other = builder.build("FROM busybox\nENV a=1\nCOPY top /top\n", _FILES)
    layers = [builder.inspect(built)["RootFS"]["Layers"] for built in (one, other)]
    assert layers[0] == layers[1]
    assert one.image != other.image
    observe("diff id", _head(layers[0][-1]))


def test_an_equal_layer_on_another_base_is_the_same(builder: Builder, observe: Observe) -> None:
    plain = builder.build("FROM busybox\nCOPY top /top\n", _FILES)
    above = builder.build("FROM busybox\nRUN echo x > /x\nCOPY top /top\n", _FILES)
    alone = builder.build("FROM scratch\nCOPY top /top\n", _FILES)
    tops = [builder.inspect(one)["RootFS"]["Layers"][-1] for one in (plain, above, alone)]
    assert len(set(tops)) == 1
    observe("diff id", _head(tops[0]))


def test_the_digest_of_a_tree_is_dockers(builder: Builder, observe: Observe) -> None:
    tree: Files = {
        **{f"d/sub/{number}": f"{number}" * 100 for number in range(20)},
        "d/" + "long" * 50: "a name that fills more than a header",
        "d/link": symlink("sub/1"),
        "d/program": Entry(b"x", mode=0o4755, uid=70_000, gid=3_000_000),
    }
    built = builder.build("FROM busybox\nADD tree.tar /\n", {"tree.tar": pack(tree)})
    observe("diff id", _head(builder.inspect(built)["RootFS"]["Layers"][-1]))


def test_a_removed_file_is_a_whiteout_in_its_layer(builder: Builder, observe: Observe) -> None:
    builder.build(
        "FROM busybox\nCOPY d /d\nRUN rm /d/a\nRUN rm -r /d && mkdir /d && echo c > /d/c\n",
        _FILES,
        tag="lading-test:whiteouts",
    )
    found = [names(layer) for layer in builder.layers("lading-test:whiteouts")]
    assert found[1] == ["d/", "d/.wh.a"]
    assert "d/.wh..wh..opq" in found[2]
    observe("found", found)


def test_a_moved_directory_is_there_once(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nCOPY d /d\nRUN mv /d /e\nRUN mv /e/a /e/z\n", _FILES, tag="lading-test:mv"
    )
    assert builder.shell(built, "find /d /e 2> /dev/null | sort") == ["/e", "/e/b", "/e/z"]
    observe("found", [names(layer) for layer in builder.layers("lading-test:mv")])


def test_a_changed_mode_copies_the_file(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nCOPY d /d\nRUN chmod 700 /d/a && chown 5:6 /d/b && touch -d @5 /d\n",
        _FILES,
        tag="lading-test:chmod",
    )
    change = builder.layers("lading-test:chmod")[1]
    members = {one.name: [one.mode, one.uid, one.gid, one.size] for one in change}
    assert members["d/a"] == [0o700, 0, 0, 1]
    assert builder.run(built, "cat", "/d/a", "/d/b") == "ab"
    observe("members", members)


def test_sizes_in_the_history_are_the_layers(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nCOPY d /d\nRUN head -c 5000 /dev/zero > /z\nRUN rm /z\nENV a=1\n", _FILES
    )
    sizes = [entry["Size"] for entry in builder.history(built)]
    assert sizes == [0, 0, 5000, 2]
    observe("size", builder.inspect(built)["Size"])


def test_images_share_what_they_are_built_on(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    base = "FROM busybox\nRUN head -c 100000 /dev/zero > /z\n"
    builder.build(base, tag="lading-test:base")
    for name in ("a", "b"):
        builder.build(
            f"FROM lading-test:base\nRUN echo {name} > /{name}\n", tag=f"lading-test:{name}"
        )
    layers = {
        name: engine.client.images.get(f"lading-test:{name}").attrs["RootFS"]["Layers"]
        for name in ("base", "a", "b")
    }
    assert layers["a"][:-1] == layers["b"][:-1] == layers["base"]
    stored = engine.client.api.df()["LayersSize"]
    whole = sum(image.attrs["Size"] for image in engine.client.images.list())
    assert stored < whole / 2
    observe("stored", stored)


def test_a_built_image_outlives_the_name_of_its_base(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    builder.build("FROM busybox\nRUN echo base > /base\n", tag="lading-test:base")
    child = builder.build("FROM lading-test:base\nRUN echo child > /child\n", tag="lading-test:c")
    output = engine.succeed("rmi", "lading-test:base")
    assert output == "Untagged: lading-test:base"
    assert builder.run(child, "cat", "/base", "/child") == "base\nchild"
    observe("output", output)


def test_a_built_image_is_the_same_after_save_and_load(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    built = builder.build("FROM busybox\nCOPY d /d\nRUN rm /d/a\n", _FILES, tag="lading-test:move")
    before = [names(layer) for layer in builder.layers("lading-test:move")]
    archive = b"".join(engine.client.images.get("lading-test:move").save(named=True))
    engine.client.images.remove("lading-test:move")
    (loaded,) = engine.client.images.load(archive)
    assert loaded.id == built.image
    assert [names(layer) for layer in builder.layers("lading-test:move")] == before
    observe("history", builder.history(built))
    observe("parent", loaded.attrs["Parent"])


def test_a_long_line_of_layers(builder: Builder, observe: Observe) -> None:
    copies = "".join(f"COPY top /n{number}\n" for number in range(60))
    built = builder.build(f"FROM busybox\n{copies}", _FILES)
    assert len(builder.shell(built, "ls -d /n*")) == 60
    observe("layers", len(builder.inspect(built)["RootFS"]["Layers"]))

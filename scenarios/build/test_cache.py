"""What is built again: the order of instructions, their text, and what is in the files decide."""

from __future__ import annotations

from dataclasses import replace

from scenarios.conftest import Observe
from scenarios.harness.building import Builder, Entry, Files, directory
from scenarios.harness.subject import Subject

_CAREFUL = """
FROM busybox
WORKDIR /app
COPY requirements.txt .
RUN cat requirements.txt > installed
COPY . .
CMD ["cat", "main"]
"""
_CARELESS = """
FROM busybox
COPY . .
RUN cat requirements.txt > installed
"""
_FILES: Files = {"requirements.txt": "one\n", "main": "first\n"}
_COPY = "FROM busybox\nRUN true\nCOPY data /data/\n"


def test_all_of_it_comes_out_of_the_cache_the_second_time(
    builder: Builder, observe: Observe
) -> None:
    first, second = (builder.build(_CAREFUL, _FILES) for _ in range(2))
    assert first.rebuilt == _CAREFUL.strip().splitlines()[1:]
    assert second.rebuilt == []
    assert second.image == first.image
    observe("output", second.lines)


def test_a_changed_source_leaves_what_was_installed_before_it(
    builder: Builder, observe: Observe
) -> None:
    builder.build(_CAREFUL, _FILES)
    changed = builder.build(_CAREFUL, {**_FILES, "main": "second\n"})
    assert changed.rebuilt == ["COPY . .", 'CMD ["cat", "main"]']
    assert builder.run(changed, "cat", "main", "installed") == "second\none"
    observe("output", changed.lines)


def test_a_changed_requirement_installs_again(builder: Builder, observe: Observe) -> None:
    builder.build(_CAREFUL, _FILES)
    changed = builder.build(_CAREFUL, {**_FILES, "requirements.txt": "two\n"})
    assert changed.rebuilt[0] == "COPY requirements.txt ."
    assert builder.run(changed, "cat", "installed") == "two"
    observe("rebuilt", changed.rebuilt)


def test_all_sources_copied_first_install_again_for_any_change(
    builder: Builder, observe: Observe
) -> None:
    builder.build(_CARELESS, _FILES)
    changed = builder.build(_CARELESS, {**_FILES, "main": "second\n"})
    assert changed.rebuilt == ["COPY . .", "RUN cat requirements.txt > installed"]
    observe("rebuilt", changed.rebuilt)


def test_a_touched_file_is_the_same_file(builder: Builder, observe: Observe) -> None:
    before = Entry(b"data", mtime=1_500_000_000)
    first = builder.build(_COPY, {"data/file": before})
    second = builder.build(_COPY, {"data/file": replace(before, mtime=1_550_000_000)})
    assert second.rebuilt == []
    assert second.image == first.image
    # What was copied first keeps its time.
    assert builder.run(second, "stat", "-c", "%Y", "/data/file") == "1500000000"
    observe("rebuilt", second.rebuilt)


def test_another_content_mode_or_name_is_another_file(builder: Builder, observe: Observe) -> None:
    first = builder.build(_COPY, {"data/file": Entry(b"data")})
    changes: dict[str, Files] = {
        "content": {"data/file": Entry(b"DATA")},
        "mode": {"data/file": Entry(b"data", mode=0o755)},
        "name": {"data/other": Entry(b"data")},
        "one more": {"data/file": Entry(b"data"), "data/more": Entry(b"")},
        "a folder more": {"data/file": Entry(b"data"), "data/folder": directory()},
        "a folder's mode": {"data": directory(0o700), "data/file": Entry(b"data")},
    }
    for name, files in changes.items():
        changed = builder.build(_COPY, files)
        assert changed.rebuilt == ["COPY data /data/"], name
        assert changed.image != first.image
        observe(name, changed.rebuilt)
    assert builder.build(_COPY, {"data/file": Entry(b"data")}).image == first.image


def test_the_owner_in_the_context_is_not_kept(builder: Builder, observe: Observe) -> None:
    builder.build(_COPY, {"data/file": Entry(b"data", uid=0)})
    changed = builder.build(_COPY, {"data/file": Entry(b"data", uid=1000, gid=1000)})
    assert builder.run(changed, "stat", "-c", "%u:%g", "/data/file") == "0:0"
    observe("rebuilt", changed.rebuilt)


def test_files_that_are_not_copied_do_not_count(builder: Builder, observe: Observe) -> None:
    first = builder.build(_COPY, {"data/file": "1", "elsewhere": "1"})
    second = builder.build(_COPY, {"data/file": "1", "elsewhere": "2"})
    assert second.image == first.image
    observe("rebuilt", second.rebuilt)


def test_a_command_is_known_by_its_text_alone(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /random\n"
    first, second = (builder.build(dockerfile) for _ in range(2))
    assert first.image == second.image
    other = builder.build(dockerfile.replace("RUN cat", "RUN  cat"))
    observe("rebuilt with one more space", other.rebuilt)
    observe("rebuilt as a comment comes", builder.build(f"# new\n{dockerfile}").rebuilt)


def test_no_cache_runs_everything_again(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nENV a=1\nRUN cat /proc/sys/kernel/random/uuid > /random\n"
    first = builder.build(dockerfile)
    second = builder.build(dockerfile, nocache=True)
    assert second.rebuilt == dockerfile.splitlines()[1:]
    assert builder.run(first, "cat", "/random") != builder.run(second, "cat", "/random")
    # What was built without the cache is in it.
    observe("rebuilt", builder.build(dockerfile).rebuilt)


def test_a_change_of_the_environment_rebuilds_what_follows(
    builder: Builder, observe: Observe
) -> None:
    dockerfile = "FROM busybox\nRUN echo early\nENV mode={}\nRUN echo $mode > /mode\n"
    builder.build(dockerfile.format("one"))
    changed = builder.build(dockerfile.format("two"))
    assert changed.rebuilt == ["ENV mode=two", "RUN echo $mode > /mode"]
    assert builder.run(changed, "cat", "/mode") == "two"
    observe("output", changed.lines)


def test_the_same_command_on_another_parent_runs(builder: Builder, observe: Observe) -> None:
    builder.build("FROM busybox\nRUN echo one > /a\nRUN cat /a > /b\n")
    other = builder.build("FROM busybox\nRUN echo two > /a\nRUN cat /a > /b\n")
    assert other.rebuilt == ["RUN echo two > /a", "RUN cat /a > /b"]
    assert builder.run(other, "cat", "/b") == "two"
    observe("rebuilt", other.rebuilt)


def test_a_failed_step_keeps_the_steps_before_it(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\nRUN echo early > /early\nRUN exit 3\n")
    repaired = builder.build("FROM busybox\nRUN echo early > /early\nRUN exit 0\n")
    assert failed.rebuilt == ["RUN echo early > /early", "RUN exit 3"]
    assert repaired.rebuilt == ["RUN exit 0"]
    observe("output", repaired.lines)


def test_the_cache_goes_with_its_image(builder: Builder, engine: Subject, observe: Observe) -> None:
    dockerfile = "FROM busybox\nRUN echo x > /x\nRUN echo y > /y\n"
    built = builder.build(dockerfile, tag="lading-test:cached")
    engine.client.images.remove("lading-test:cached")
    again = builder.build(dockerfile)
    assert again.rebuilt == ["RUN echo x > /x", "RUN echo y > /y"]
    assert again.image != built.image
    observe("rebuilt", again.rebuilt)


def test_a_loaded_image_is_a_cache_when_it_is_named(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    dockerfile = "FROM busybox\nENV a=1\nRUN echo x > /x\nCOPY f /f\nCMD echo\n"
    files: Files = {"f": "f"}
    built = builder.build(dockerfile, files, tag="lading-test:from")
    archive = b"".join(engine.client.images.get("lading-test:from").save(named=True))
    engine.client.images.remove("lading-test:from")
    engine.client.images.load(archive)
    named = builder.build(dockerfile, files, cache_from=["lading-test:from"])
    assert named.rebuilt == []
    assert named.image == built.image
    changed = builder.build(dockerfile, {"f": "g"}, cache_from=["lading-test:from"])
    assert changed.rebuilt == ["COPY f /f", "CMD echo"]
    observe("output", named.lines)


def test_a_loaded_image_is_no_cache_unless_it_is_named(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    dockerfile = "FROM busybox\nRUN echo x > /x\n"
    builder.build(dockerfile, tag="lading-test:from")
    archive = b"".join(engine.client.images.get("lading-test:from").save(named=True))
    engine.client.images.remove("lading-test:from")
    engine.client.images.load(archive)
    observe("rebuilt", builder.build(dockerfile).rebuilt)


def test_an_unknown_cache_image_is_no_fault(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nRUN echo x > /x\n"
    first = builder.build(dockerfile, cache_from=["lading-test:unknown"])
    assert first.rebuilt == ["RUN echo x > /x"]
    # Only images that are named are asked, and not what was built here.
    observe("rebuilt", builder.build(dockerfile, cache_from=["lading-test:unknown"]).rebuilt)


def test_files_from_a_stage_count_by_their_content(builder: Builder, observe: Observe) -> None:
    dockerfile = (
        "FROM busybox AS made\nCOPY source .\nRUN cut -c1 source > made\n"
        "FROM busybox\nCOPY --from=made made /made\nRUN cat /made\n"
    )
    builder.build(dockerfile, {"source": "abc"})
    changed = builder.build(dockerfile, {"source": "bcd"})
    observe("other result", changed.rebuilt)
    same = builder.build(dockerfile, {"source": "bxy"})
    observe("same result", same.rebuilt)
    assert builder.run(same, "cat", "/made") == "b"

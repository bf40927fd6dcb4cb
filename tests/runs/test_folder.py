"""The run folder: the manifest, the reasons why a stage has to run, the lock, lines that survive a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.errors import DataError, RunLockedError
from sqlwright.records import Question
from sqlwright.runs.folder import RunFolder, append_records, hash_path, hash_values, read_appended, write_text

INPUTS = {"train.rank": "16", "questions": "aaaa"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a run whose stage `work` is done, with the outputs out.txt and out/."""
    made = RunFolder(tmp_path)
    made.begin("work", INPUTS)
    (tmp_path / "out.txt").write_text("one", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("two", encoding="utf-8")
    made.done("work", [tmp_path / "out.txt", tmp_path / "out"], {"lines": 1})
    return RunFolder(tmp_path)


def test_a_stage_that_is_done_is_up_to_date(folder: RunFolder) -> None:
    assert folder.changed("work", INPUTS) == []
    assert folder.facts("work") == {"lines": 1}
    assert folder.facts("other") == {}


def test_a_stage_that_never_ran(folder: RunFolder) -> None:
    assert folder.changed("other", INPUTS) == ["it has not run yet"]


@pytest.mark.parametrize(
    ("inputs", "reasons"),
    [
        (INPUTS | {"train.rank": "8"}, ["train.rank changed (16 → 8)"]),
        (INPUTS | {"new": "1"}, ["new changed ( → 1)"]),
        ({"questions": "aaaa"}, ["train.rank is gone"]),
        (INPUTS | {"questions": "b" * 64}, ["questions changed"]),
        (
            {"train.rank": "8", "other": "1"},
            ["train.rank changed (16 → 8)", "other changed ( → 1)", "questions is gone"],
        ),
    ],
)
def test_every_input_that_changed_is_named(folder: RunFolder, inputs: dict[str, str], reasons: list[str]) -> None:
    assert folder.changed("work", inputs) == reasons


def test_outputs_that_were_edited_or_lost_are_named(folder: RunFolder) -> None:
    (folder.path / "out" / "a").write_text("other", encoding="utf-8")
    assert folder.changed("work", INPUTS) == ["out was edited"]
    (folder.path / "out.txt").unlink()
    assert folder.changed("work", INPUTS) == ["out.txt is missing", "out was edited"]
    (folder.path / "out" / "a").write_text("two", encoding="utf-8")
    (folder.path / "out.txt").write_text("one", encoding="utf-8")
    assert folder.changed("work", INPUTS) == [], "the content counts, not the time"
    (folder.path / "out" / "b").write_text("more", encoding="utf-8")
    assert folder.changed("work", INPUTS) == ["out was edited"]


def test_a_stage_goes_on_only_under_the_same_inputs(folder: RunFolder) -> None:
    assert not folder.begin("work", INPUTS), "it was done: this is a new beginning"
    assert folder.changed("work", INPUTS) == ["it was interrupted"]
    assert RunFolder(folder.path).begin("work", INPUTS)
    assert not folder.begin("work", INPUTS | {"train.rank": "8"})
    assert folder.begin("work", INPUTS | {"train.rank": "8"})


def test_the_manifest_is_written_before_the_work(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin("work", INPUTS)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["stages"]["work"] == {"status": "begun", "inputs": INPUTS, "outputs": {}}
    assert manifest["version"] == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"stages": {}}', '{"stages": [], "version": 1}', '{"stages": {}, "version": 99}', "\x00"],
)
def test_something_else_in_place_of_a_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json: expected the manifest of a run"):
        RunFolder(tmp_path)


HOLD = """
import sys, time
from pathlib import Path
from sqlwright.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_ends_however_it_ends(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match=f"number {holder.pid}") as caught, RunFolder(tmp_path).locked():
            pass
        assert caught.value.exit_code == 7
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with RunFolder(tmp_path).locked():
        assert (tmp_path / ".lock").read_text(encoding="utf-8") == str(os.getpid())
        with pytest.raises(RunLockedError, match=str(os.getpid())), RunFolder(tmp_path).locked():
            pass
    with RunFolder(tmp_path).locked():
        pass


def test_the_lock_reads_what_the_one_before_left(tmp_path: Path) -> None:
    mine = RunFolder(tmp_path)
    with RunFolder(tmp_path).locked():
        RunFolder(tmp_path).begin("work", INPUTS)
    with mine.locked():
        assert mine.changed("work", INPUTS) == ["it was interrupted"]


questions = st.lists(st.builds(Question, id=st.text("abc", min_size=1), database=st.just("d"), text=st.just("ü\n")))


@given(kept=questions, cut=st.integers(1, 60))
def test_a_torn_last_line_is_dropped_and_said(
    tmp_path_factory: pytest.TempPathFactory, kept: list[Question], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    path.unlink(missing_ok=True)
    append_records(path, kept)
    assert [line["id"] for line in read_appended(path)[0]] == [one.id for one in kept]
    append_records(path, [Question("last", "d", "tört")])
    path.write_bytes(path.read_bytes()[: -1 - cut])
    lines, torn = read_appended(path)
    assert [line["id"] for line in lines] == [one.id for one in kept]
    assert torn


def test_reading_nothing(tmp_path: Path) -> None:
    assert read_appended(tmp_path / "absent.jsonl") == ([], False)


def test_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "one"


def test_hashes_depend_on_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1", encoding="utf-8")
    first = hash_path(tmp_path / "a")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert hash_path(tmp_path / "a") != first
    (tmp_path / "a" / "y").rename(tmp_path / "a" / "x")
    assert hash_path(tmp_path / "a") == first
    assert hash_values({"a": 1, "b": 2}) == hash_values({"b": 2, "a": 1}) != hash_values({"a": 1})

"""A llama-server of the user's own: named, found, refused, ended; and the same answers as xllamacpp's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

from sqlwright.errors import ModelError
from sqlwright.models import llama_server
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.llama_server import PROGRAM, build_of, own_program

PREFIX = "<|im_start|>user\nCREATE TABLE singer (id INTEGER, name TEXT, country TEXT, age INTEGER);\n\n"
SUFFIXES = [f"Question: {text}<|im_end|>\n<|im_start|>assistant\n" for text in ("How many singers?", "Who is oldest?")]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Path:
    if os.environ.get(PROGRAM) == "xllamacpp":  # set by conftest.py
        monkeypatch.delenv(PROGRAM)
    program = own_program()
    if program is None:
        pytest.skip(f"needs a llama-server: make llama-server, or {PROGRAM}")
    monkeypatch.setenv(PROGRAM, str(program))
    return program


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_variable_comes_first_then_what_make_has_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRAM, raising=False)
    beside = tmp_path / "sqlwright-llama-server"
    monkeypatch.setattr(llama_server, "_BESIDE", beside)
    assert own_program() is None
    script(beside, "exit 0")
    assert own_program() == beside
    named = script(tmp_path / "named", "exit 0")
    monkeypatch.setenv(PROGRAM, str(named))
    assert own_program() == named
    monkeypatch.setenv(PROGRAM, "xllamacpp")
    assert own_program() is None
    monkeypatch.setenv(PROGRAM, str(tmp_path / "absent"))
    with pytest.raises(ModelError, match=r"expected the path of llama.cpp's llama-server, found .*absent"):
        own_program()


def test_another_build_is_told_apart(tmp_path: Path) -> None:
    program = script(tmp_path / "server", "exit 0")
    before = build_of(program)
    os.utime(program, ns=(1, 1))
    assert build_of(program) != before


def test_a_program_that_does_not_come_up(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv(PROGRAM, str(script(tmp_path / "wrong", "echo invalid argument: --fit >&2; exit 1")))
    with pytest.raises(ModelError, match=r"wrong could not load it \(invalid argument: --fit\)"):
        GgufEngine(tiny_model, context=64)
    assert not list(scratch.iterdir())


def test_the_server_ends_with_the_process_that_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    slow = script(tmp_path / "slow", f'echo $$ > "{note}"; exec sleep 600')
    code = "import sys; from pathlib import Path; from sqlwright.models.llama_server import LlamaServer; "
    code += "LlamaServer(Path(sys.argv[1]), Path('model.gguf'), [], Path(sys.argv[2]))"
    starter = subprocess.Popen([sys.executable, "-c", code, str(slow), str(tmp_path)])
    until(lambda: note.is_file() and note.read_text().strip() != "")
    pid = int(note.read_text())
    assert running(pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    until(lambda: not running(pid))


def test_it_answers_as_xllamacpp_does(server: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with GgufEngine(tiny_model, context=256, parallel=3) as engine:
        found = engine.answer(PREFIX, SUFFIXES, 12)
        drawn = engine.draw(SUFFIXES[1], 12, 3, 0.8)
        assert engine.answer(PREFIX, SUFFIXES, 12)[0].tokens == found[0].tokens
        folder = engine._folder
        assert (folder / "server.sock").is_socket()
    assert not folder.exists()
    monkeypatch.setenv(PROGRAM, "xllamacpp")
    with GgufEngine(tiny_model, context=256, parallel=3) as engine:
        other = engine.answer(PREFIX, SUFFIXES, 12)
    assert len(drawn) == 3
    for one, same in zip(found, other, strict=True):
        # Other instructions round otherwise: the first token is the same, later ones may tip.
        assert one.tokens[0] == same.tokens[0]
        assert one.log_probabilities[0] == pytest.approx(same.log_probabilities[0], abs=0.2)


def test_a_grammar_needs_a_build_that_reads_it(server: Path, tiny_model: Path) -> None:
    with GgufEngine(tiny_model, context=256) as engine:
        try:
            (found,) = engine.answer(PREFIX, SUFFIXES[:1], 12, grammar='%llguidance {}\nstart: "SELECT 1"\n')
        except ModelError as error:
            assert f"set {PROGRAM}=xllamacpp" in str(error)
        else:
            assert found.text == "SELECT 1"


def test_a_model_that_is_cut_short_is_refused(server: Path, tiny_model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with tiny_model.open("rb") as file:
        cut.write_bytes(file.read(20_000_000))
    with pytest.raises(ModelError, match="could not load it"):
        GgufEngine(cut)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)

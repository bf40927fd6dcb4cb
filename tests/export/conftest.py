"""The tiny model in torch, and PEFT adapters for it with random matrices that matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def random_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEFT folder for the tiny model whose random matrices change its answers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("peft")
    from sqlwright.models.weights import load_model
    from sqlwright.training.lora import add_lora, trainable

    model = add_lora(load_model(tiny_model, torch.float32), 8, 16.0, "all-linear", seed=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in trainable(model).items():
            # Queries and keys get the larger part: their rows are the ones that export has to put in order.
            attends = ".q_proj." in name or ".k_proj." in name
            weight.normal_(0, 0.05 if attends else 0.002)
    folder = tmp_path_factory.mktemp("random-adapter")
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture
def damaged(random_adapter: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the adapter with other settings or other tensors."""
    import json
    import shutil

    from safetensors.numpy import load_file, save_file

    def copy(settings: dict[str, object] | None = None, rename: tuple[str, str] = ("", ""), rows: int = 0) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(random_adapter, folder)
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        (folder / "adapter_config.json").write_text(json.dumps(config | (settings or {})), encoding="utf-8")
        path = folder / "adapter_model.safetensors"
        tensors = {name.replace(*rename) if rename[0] else name: value for name, value in load_file(path).items()}
        if rows:
            name = next(name for name in tensors if "lora_B" in name)
            tensors[name] = tensors[name][:-rows].copy()
        save_file(tensors, path)
        return folder

    return copy

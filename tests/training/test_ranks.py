"""Two processes on the CPU train as one: the same losses and weights, one set of files, one stop for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.errors import RecipeError  # noqa: E402
from sqlwright.training.packing import Encoded  # noqa: E402
from sqlwright.training.ranks import Ranks, join, wanted_sharding  # noqa: E402

needs("peft")

from together import learn  # noqa: E402


def values(folder: Path, name: str) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line[name] for line in map(json.loads, lines) if name in line]


def losses(folder: Path) -> list[float]:
    return values(folder, "loss")


@pytest.mark.parametrize(("kind", "sharing"), [("lora", ""), ("lora", "layers"), ("full", "layers")])
def test_two_processes_learn_what_one_does_however_often_they_are_stopped(
    kind: str, sharing: str, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    learn(tmp_path / "one", kind=kind)
    folder = tmp_path / "two"
    folder.mkdir()
    script = Path(__file__).with_name("together.py")
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    words = [str(folder), kind, *filter(None, [sharing])]
    subprocess.run([sys.executable, str(script), *words], env=environment, timeout=240, check=True)
    exits = json.loads((folder / "exits.json").read_text(encoding="utf-8"))
    assert sorted(exits["stopped"]) == [130, 143], "one was told so, and the other stopped with it"
    assert 3 <= exits["steps"] < len(losses(tmp_path / "one"))
    assert exits["continued"] == [0, 0]
    assert losses(folder) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    for name in ("validation_loss", "gradient_norm"):
        assert values(folder, name) == pytest.approx(values(tmp_path / "one", name), rel=1e-3), name
    one, two = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("one", "two"))
    assert set(one) == set(two)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-4)


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 5))
def test_every_group_is_one_ranks(sizes: list[int], world: int) -> None:
    groups = [[Encoded(str(number), "db", (1,), (2,) * size, 0)] for number, size in enumerate(sizes)]
    dealt = [Ranks(rank, world).deal(groups) for rank in range(world)]
    assert Counter(group[0].id for own in dealt for group in own) == Counter(group[0].id for group in groups)
    loads = [sum(1 + len(group[0].branch) for group in own) for own in dealt]
    assert max(loads, default=0) - min(loads, default=0) <= max((1 + size for size in sizes), default=0)


def test_alone_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == Ranks()
    assert Ranks().add_up([], 1.0, 2.0) == [1.0, 2.0]
    assert Ranks().tell("word") == "word"


CONFIGURATIONS = Path(__file__).resolve().parents[2] / "recipes" / "accelerate"


def launched(monkeypatch: pytest.MonkeyPatch, path: Path, *more: str) -> dict[str, str]:
    """Return the environment that `accelerate launch` gives its processes for a configuration."""
    launch = pytest.importorskip("accelerate.commands.launch")
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    words = ["--config_file", str(path), *more, "--no_python", "sqlwright", "run", "recipe.toml"]
    given, _, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))
    if given.use_deepspeed:
        given.deepspeed_fields_from_accelerate_config = ""  # which accelerate sets when it starts the processes
        with_stage: dict[str, str] = prepare_deepspeed_cmd_env(given)[1]
        return with_stage
    found: dict[str, str] = prepare_multi_gpu_env(given)
    return found


ZERO = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}
SHIPPED = {"ddp": "", "fsdp2": "layers", "fsdp2-kept": "kept layers", "zero2": "kept layers", "zero3": "layers"}


@pytest.mark.parametrize(("name", "expected"), SHIPPED.items())
def test_the_configurations_that_ship_do_what_they_say(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wanted_sharding(launched(monkeypatch, CONFIGURATIONS / f"{name}.yaml")) == expected


def test_every_configuration_that_ships_is_tested() -> None:
    assert {path.stem for path in CONFIGURATIONS.iterdir()} == set(SHIPPED)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (ZERO | {"ACCELERATE_DEEPSPEED_CONFIG_FILE": "ds.json"}, "without deepspeed_config_file .write zero_stage"),
        (ZERO | {"ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "cpu"}, "without offload_param_device"),
        (ZERO | {"ACCELERATE_GRADIENT_CLIPPING": "1.0"}, r"without gradient_clipping .set train\.max_gradient_norm"),
        (ZERO | {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, r"set train\.questions_per_step"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "4"}, "zero_stage 0 to 3, found 4"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "expected fsdp_version 2, found 1"),
        (
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "without fsdp_offload_params",
        ),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "without distributed_type MEGATRON_LM"),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, r'expected mixed_precision "no", found "bf16"; .*model\.dtype'),
    ],
)
def test_a_configuration_that_would_have_no_effect_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        wanted_sharding(environment)

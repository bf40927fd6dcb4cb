"""Several processes that train as one, on GPUs or CPUs: `torchrun --nproc-per-node 2 --no-python sqlwright run RECIPE`.

Every process takes its share of the groups of each step, so that packs stay whole; gradients are summed before the
step. Each has the whole model, or a share of its layers (`shards`), which an `accelerate` configuration with FSDP or
DeepSpeed's ZeRO asks for. Rank 0 does everything else; the others wait until there is something to train. Whoever
starts the processes (torchrun, accelerate, Ray, Slurm) sets `RANK`, `WORLD_SIZE` and the address of rank 0; all of them
need the run folder.

Not covered: DeepSpeed's own code, whose ZeRO stages FSDP2 does; prediction by several processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlwright.errors import RecipeError
from sqlwright.training.packing import Encoded, group_size

if TYPE_CHECKING:
    import torch

# The others wait for rank 0 as long as it predicts and scores.
_PATIENCE = timedelta(days=7)
Sharding = Literal["", "layers", "kept layers"]
_ZERO: dict[str, Sharding] = {"0": "", "1": "kept layers", "2": "kept layers", "3": "layers"}


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together; alone, nothing of this does anything."""

    rank: int = 0
    world: int = 1
    beside: int = 1
    """How many of them share this machine, and its cores."""
    sharding: Sharding = ""
    """Whether the layers' weights are shared out, and kept from the forward pass to the backward pass."""

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes files and says what is done."""
        return self.rank == 0

    def deal(self, groups: Sequence[list[Encoded]]) -> list[list[Encoded]]:
        """Return the groups of a step that are this rank's."""
        return self.deal_all(groups)[self.rank]

    def deal_all(self, groups: Sequence[list[Encoded]]) -> list[list[list[Encoded]]]:
        """Return the groups of a step by rank: the longest ones first, each to who has least so far."""
        loads = [0] * self.world
        own: list[list[int]] = [[] for _ in loads]
        sizes = [group_size(group) for group in groups]
        for place in sorted(range(len(groups)), key=lambda place: -sizes[place]):
            rank = loads.index(min(loads))
            loads[rank] += sizes[place]
            own[rank].append(place)
        return [[groups[place] for place in sorted(places)] for places in own]

    def add_up(self, weights: Iterable[torch.Tensor], *values: float) -> list[float]:
        """Sum the gradients of `weights` over all ranks, in place, and return the sums of `values`.

        Those of weights that are shared out are sums already.
        """
        if self.world == 1:
            return list(values)
        import torch
        from torch import distributed

        from sqlwright.training.shards import is_share

        every = list(weights)
        device = every[0].device
        given = [weight for weight in every if not is_share(weight)]
        for weight in given:
            if weight.grad is None:  # fewer groups than ranks
                weight.grad = torch.zeros_like(weight)
        parts = [weight.grad.reshape(-1).float() for weight in given if weight.grad is not None]
        flat = torch.cat([*parts, torch.tensor(values, dtype=torch.float32, device=device)])
        distributed.all_reduce(flat)
        start = 0
        for weight in given:
            assert weight.grad is not None
            weight.grad.copy_(flat[start : start + weight.numel()].view_as(weight))
            start += weight.numel()
        return [float(value) for value in flat[start:]]

    def wait(self) -> None:
        """Return when all ranks have come here."""
        if self.world > 1:
            from torch import distributed

            distributed.barrier()

    def tell(self, word: str = "") -> str:
        """Return what rank 0 tells, to all ranks."""
        if self.world == 1:
            return word
        from torch import distributed

        said: list[Any] = [word]
        distributed.broadcast_object_list(said, src=0)
        return str(said[0])


def join() -> Ranks:
    """Return this process's place among those that were started together, connected to them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "RANK" not in os.environ:
        return Ranks()
    sharding = wanted_sharding(os.environ)
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_PATIENCE)
    return Ranks(distributed.get_rank(), world, int(os.environ.get("LOCAL_WORLD_SIZE", "1")), sharding)


def wanted_sharding(environment: Mapping[str, str]) -> Sharding:
    """Return what `accelerate launch` asks for by its configuration, which it writes into the environment.

    DeepSpeed's ZeRO is shared out as FSDP2 is: stage 3 drops a layer's weights between the passes, 1 and 2 keep them.
    Raises `RecipeError` for what isn't done here, so that no configuration is without effect.
    """

    def asked(name: str) -> str:
        value = environment.get(name, "").lower()
        return "" if value in ("", "false", "no", "0", "none") else value

    sharded, zero = asked("ACCELERATE_USE_FSDP"), asked("ACCELERATE_USE_DEEPSPEED")
    others = {
        "ACCELERATE_USE_MEGATRON_LM": "distributed_type MEGATRON_LM",
        "ACCELERATE_USE_PARALLELISM_CONFIG": "parallelism_config",
    }
    if sharded:
        others |= {
            "FSDP_OFFLOAD_PARAMS": "fsdp_offload_params",
            "FSDP_ACTIVATION_CHECKPOINTING": "fsdp_activation_checkpointing (set train.activation_checkpointing)",
        }
        if environment.get("FSDP_VERSION") != "2":
            raise RecipeError(
                f"accelerate: expected fsdp_version 2, found {environment.get('FSDP_VERSION', 'none')}. "
                "Take recipes/accelerate/fsdp2.yaml."
            )
    if zero:
        others |= {
            "ACCELERATE_DEEPSPEED_CONFIG_FILE": "deepspeed_config_file (write zero_stage instead)",
            "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "offload_optimizer_device",
            "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "offload_param_device",
            "ACCELERATE_GRADIENT_CLIPPING": "gradient_clipping (set train.max_gradient_norm)",
        }
        if asked("ACCELERATE_GRADIENT_ACCUMULATION_STEPS") not in ("", "1"):
            others["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] = (
                "gradient_accumulation_steps (set train.questions_per_step)"
            )
    for name, setting in others.items():
        if asked(name):
            raise RecipeError(f"accelerate: expected a configuration without {setting}, which isn't done here.")
    precision = asked("ACCELERATE_MIXED_PRECISION")
    if precision:
        raise RecipeError(
            f'accelerate: expected mixed_precision "no", found "{precision}"; the number format is model.dtype.'
        )
    if zero:
        stage = environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
        if stage not in _ZERO:
            raise RecipeError(f"accelerate: expected zero_stage 0 to 3, found {stage}.")
        return _ZERO[stage]
    if not sharded:
        return ""
    return "layers" if asked("FSDP_RESHARD_AFTER_FORWARD") else "kept layers"

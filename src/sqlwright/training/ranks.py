"""Several processes that train as one, on GPUs or CPUs: `torchrun --nproc-per-node 2 --no-python sqlwright run RECIPE`.

Every process has the whole model and takes its share of the groups of each step, so that packs stay whole; gradients
are summed before the step. Rank 0 does everything else; the others wait until there is something to train. Whoever
starts the processes (torchrun, accelerate, Ray, Slurm) sets `RANK`, `WORLD_SIZE` and the address of rank 0; all of them
need the run folder.

Not covered: models that don't fit into one device (FSDP, ZeRO), prediction by several processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlwright.training.packing import Encoded, group_size

if TYPE_CHECKING:
    import torch

# The others wait for rank 0 as long as it predicts and scores.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together; alone, nothing of this does anything."""

    rank: int = 0
    world: int = 1
    beside: int = 1
    """How many of them share this machine, and its cores."""

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes files and says what is done."""
        return self.rank == 0

    def deal(self, groups: Sequence[list[Encoded]]) -> list[list[Encoded]]:
        """Return the groups of a step that are this rank's: the longest ones first, each to who has least so far."""
        if self.world == 1:
            return list(groups)
        loads = [0] * self.world
        own = []
        sizes = [group_size(group) for group in groups]
        for place in sorted(range(len(groups)), key=lambda place: -sizes[place]):
            rank = loads.index(min(loads))
            loads[rank] += sizes[place]
            if rank == self.rank:
                own.append(place)
        return [groups[place] for place in sorted(own)]

    def add_up(self, weights: Iterable[torch.Tensor], *values: float) -> list[float]:
        """Sum the gradients of `weights` over all ranks, in place, and return the sums of `values`."""
        if self.world == 1:
            return list(values)
        import torch
        from torch import distributed

        given = list(weights)
        device = given[0].device
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
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_PATIENCE)
    return Ranks(distributed.get_rank(), world, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

"""Models that don't fit into one device: each rank keeps its share of every layer's weights (FSDP2, as ZeRO-3 does).

A layer's weights are gathered when it is computed, forward and back, and dropped again. Embeddings, head, final norm
and LoRA matrices are whole on every rank: they are small beside the layers, the head is used outside of the model's own
pass, and an adapter is then written by rank 0 as ever. Weights that learn (`freeze`, `full`) are shared out with their
gradients and AdamW's moments, and gathered for a checkpoint and at the end, which every rank needs the memory for.

Not covered: DoRA, weights of bitsandbytes, moving shares to the CPU, sharing embeddings out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Weights = Mapping[str, torch.Tensor]


def share_out(model: Any, device: str, *, drop: bool = True) -> None:
    """Leave this rank its share of the layers of a transformers or PEFT model, and move the rest of it to `device`.

    The model may be on the CPU: a layer comes to the device alone. `drop` says whether a layer's weights are dropped
    between forward and backward pass, too (FSDP's reshard_after_forward); all ranks call this alike.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    body = (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model
    layers = body.layers if hasattr(body, "layers") else body.h
    mesh = init_device_mesh(device, (get_world_size(),))
    inside = {weight for layer in layers for weight in layer.parameters()}
    adapters = {weight for name, weight in model.named_parameters() if "lora_" in name}
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=drop, ignored_params=adapters)
    fully_shard(body, mesh=mesh, ignored_params=set(body.parameters()) - inside | adapters)
    for module in body.modules():
        if isinstance(module, FSDPModule):  # sums, as `Ranks.add_up` makes them, where FSDP would take means
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    model.to(device)


def is_share(weight: torch.Tensor) -> bool:
    """Return whether this is one rank's share of a weight (a DTensor, which takes seconds to import)."""
    return hasattr(weight, "full_tensor")


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Return all of a weight on the CPU; of a shared one all ranks have to ask at once."""
    found: torch.Tensor = weight.detach()
    if is_share(found):
        share: Any = found
        found = share.full_tensor()
    return found.cpu()


def put(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return `values` as `weight` is: this rank's share of them, or all."""
    if not is_share(weight):
        return values
    from torch.distributed.tensor import distribute_tensor

    place: Any = weight
    return distribute_tensor(values.to(place.device), place.device_mesh, place.placements)


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state of an optimizer with all of every moment, as an optimizer without shares has it."""
    state: dict[str, Any] = optimizer.state_dict()
    return state | {
        "state": {number: {name: whole(value) for name, value in own.items()} for number, own in state["state"].items()}
    }


def put_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimizer what `whole_state` returned, each rank its share."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    own = {
        number: {
            name: put(value, weights[number]) if value.shape == weights[number].shape else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
    }
    optimizer.load_state_dict(state | {"state": own})


def gradient_norm(weights: list[torch.Tensor]) -> torch.Tensor:
    """Return the norm of the gradients of all weights, shared or not, and over all ranks."""
    kinds = [[w.grad for w in weights if w.grad is not None and is_share(w) == shared] for shared in (False, True)]
    norms = [whole(torch.nn.utils.get_total_norm(own)) for own in kinds if own]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))

"""LoRA through PEFT, with a forward and backward that touch the large activations once.

PEFT makes the matrices, names them and reads and writes the adapter folder; `LoraLinear` replaces only the arithmetic:
`y = x Wᵀ + b`, then `(x Aᵀ) Bᵀ · scale` is added in place, and the same in the gradient. Results are PEFT's own. A
quantised W is dequantised for the forward pass, dropped, and dequantised again for the gradient.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import linear

from sqlwright.errors import RecipeError
from sqlwright.models.quantised import dense_weight
from sqlwright.training.targets import target_modules


class LoraLinear(torch.autograd.Function):
    """A frozen linear layer with a low-rank update, `x` [..., in] to [..., out]; gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        layer: Any,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Return the output of the frozen linear `layer` with its update, and keep what the gradient needs."""
        flat = x.reshape(-1, x.shape[-1])
        weight = dense_weight(layer, x.dtype)
        y = linear(flat, weight, layer.bias)
        low = flat @ a.to(x.dtype).T
        y.addmm_(low, b.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(flat, weight if weight is layer.weight else None, a, b, low)
        ctx.layer, ctx.scale = layer, scale
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, A and B; a quantised weight is dequantised again."""
        x, weight, a, b, low = ctx.saved_tensors
        shape = grads[0].shape
        grad = grads[0].reshape(-1, shape[-1])
        grad_low = (grad @ b.to(grad.dtype)) * ctx.scale
        grad_b = (grad.T @ low).to(b.dtype) * ctx.scale
        grad_a = (grad_low.T @ x).to(a.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            weight = dense_weight(ctx.layer, grad.dtype) if weight is None else weight
            grad_x = torch.addmm(grad_low @ a.to(grad.dtype), grad, weight).view(*shape[:-1], -1)
        return grad_x, None, grad_a, grad_b, None


def add_lora(model: Any, rank: int, alpha: float, targets: str, seed: int, layers: int = 0, kind: str = "lora") -> Any:
    """Return `model` as a PEFT model with fresh LoRA matrices (float32; A drawn by `seed`, B zero).

    With `layers`, only the last so many layers get them; what lies below then has no gradients to compute. `rslora`
    (arXiv 2312.03732) and `dora` (arXiv 2402.09353) are PEFT's; any other kind is plain LoRA.
    """
    from peft import LoraConfig, get_peft_model

    count = model.config.num_hidden_layers
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=target_modules(model, targets),
        layers_to_transform=list(range(count - layers, count)) if 0 < layers < count else None,
        use_rslora=kind == "rslora",
        use_dora=kind == "dora",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = get_peft_model(model, config, autocast_adapter_dtype=True)
    use_fast_lora(wrapped)
    return wrapped


def start_from(model: Any, alpha: float, matrices: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Give the LoRA matrices of a PEFT model the values of `matrices` (A and B by the name of the weight they update).

    What the model has beside them (weights, ranks) stays as it was drawn, with nothing to add yet: it computes what the
    given matrices, scaled by `alpha` / their rank, compute. Raises `RecipeError` where it has less than they.
    """
    from peft.tuners.lora import LoraLayer

    own = {
        f"{name.removeprefix('base_model.model.')}.weight": module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    rank = max(len(a) for a, _ in matrices.values())
    if not matrices.keys() <= own.keys() or rank > model.peft_config["default"].r:
        layers = len({found[1] for name in matrices if (found := re.search(r"\.(\d+)\.", name))})
        raise RecipeError(
            "train: expected room for the matrices of the adapter that training starts from. It has "
            f"rank = {rank}, layers = {layers} and matrices for "
            f"{', '.join(sorted({name.split('.')[-2] for name in matrices}))}: set the same in [train], or more."
        )
    with torch.no_grad():
        for name, (a, b) in matrices.items():
            # A GGUF adapter is scaled by alpha / rank, whatever it was trained as.
            scale = alpha / len(a) / own[name].scaling["default"]
            own[name].lora_A["default"].weight[: len(a)].copy_(a)
            own[name].lora_B["default"].weight[:, : len(a)].copy_(b * scale)


def read_lora(model: Any, folder: Path) -> Any:
    """Return `model` as a PEFT model with the adapter of `folder` (safetensors only), frozen."""
    from peft import PeftModel

    wrapped = PeftModel.from_pretrained(model, str(folder), is_trainable=False, use_safetensors=True)
    use_fast_lora(wrapped)
    return wrapped.eval()


def use_fast_lora(model: Any) -> None:
    """Give every plain LoRA linear layer of a PEFT model, quantised or not, the arithmetic of `LoraLinear`."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer) and isinstance(module.get_base_layer(), torch.nn.Linear):
            name = module.active_adapters[0]
            plain = len(module.active_adapters) == 1 and not module.use_dora.get(name, False)
            if plain and isinstance(module.lora_dropout[name], torch.nn.Identity):
                module.forward = types.MethodType(_forward, module)


def trainable(model: Any) -> dict[str, torch.Tensor]:
    """Return the parameters that learn, by name, in a stable order."""
    return {name: weight for name, weight in sorted(model.named_parameters()) if weight.requires_grad}


def _forward(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    name = self.active_adapters[0]
    result: torch.Tensor = LoraLinear.apply(  # type: ignore[no-untyped-call]
        x,
        self.base_layer,
        self.lora_A[name].weight,
        self.lora_B[name].weight,
        self.scaling[name],
    )
    return result

"""The loss of a pack: cross-entropy on target tokens, the LM head only where there is one, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sqlwright.models.attention import hidden_states
from sqlwright.models.head import Head
from sqlwright.training.packing import Pack

# Rows of logits that exist at once: 256 rows of a vocabulary of 152,000 take 156 MB in float32.
ROWS_AT_ONCE = 256


class HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of the logits of `hidden` [N, D] by `weight` [V, D] against labels [N].

    `head` says what there is to the head beside its weight. Gradients for `hidden`, and for `weight` where it learns,
    are computed on the way forward, chunk by chunk, so that logits never exist as a whole.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, head: Head | None = None
    ) -> torch.Tensor:
        """Return the summed loss (float32 scalar), and keep the gradients."""
        head = head or Head(weight)
        needed, learns = ctx.needs_input_grad[:2]
        total = hidden.new_zeros((), dtype=torch.float32)
        grads = []
        grad_weight = torch.zeros_like(weight) if learns else None
        for start in range(0, len(labels), ROWS_AT_ONCE):
            rows = hidden[start : start + ROWS_AT_ONCE]
            wanted = labels[start : start + ROWS_AT_ONCE, None]
            logits = head.logits(rows).float()
            log_sum = torch.logsumexp(logits, dim=-1, keepdim=True)
            total += (log_sum - logits.gather(1, wanted)).sum()
            if needed or learns:
                share = (logits - log_sum).exp_() if head.softcap else logits.sub_(log_sum).exp_()
                share.scatter_add_(1, wanted, share.new_full(wanted.shape, -1.0))
                share = head.before_cap(logits, share).to(rows.dtype)
                grads.append(share @ weight)
                if grad_weight is not None:
                    grad_weight.addmm_(share.T, rows)
        ctx.save_for_backward(torch.cat(grads) if grads else None, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        """Return the gradients for `hidden` and `weight`, computed on the way forward."""
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grads[0].to(grad_hidden.dtype)
        return grad_hidden * scale, None if grad_weight is None else grad_weight * scale, None, None


class TokenLogs(torch.autograd.Function):
    """Log-probabilities [N] of labels [N] under the head's logits of hidden states [N, D], each with its own gradient.

    What becomes of them is not known on the way forward, so the logits are computed again on the way back, by chunks.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, labels: torch.Tensor, head: Head) -> torch.Tensor:
        """Return the log-probabilities (natural log, float32), and keep what the gradient needs."""
        ctx.save_for_backward(hidden, labels)
        ctx.head = head
        logs = []
        for start in range(0, len(labels), ROWS_AT_ONCE):
            logits = head.logits(hidden[start : start + ROWS_AT_ONCE]).float()
            wanted = labels[start : start + ROWS_AT_ONCE, None]
            logs.append(logits.gather(1, wanted)[:, 0] - torch.logsumexp(logits, dim=-1))
        return torch.cat(logs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient for `hidden`."""
        hidden, labels = ctx.saved_tensors
        head = ctx.head
        found = []
        for start in range(0, len(labels), ROWS_AT_ONCE):
            rows = hidden[start : start + ROWS_AT_ONCE]
            wanted = labels[start : start + ROWS_AT_ONCE, None]
            logits = head.logits(rows).float()
            share = logits.softmax(-1).neg_()
            share.scatter_add_(1, wanted, share.new_ones(wanted.shape))
            share = head.before_cap(logits, share.mul_(grads[0][start : start + ROWS_AT_ONCE, None]))
            found.append(share.to(rows.dtype) @ head.weight)
        return torch.cat(found), None, None


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model says of the target tokens of a pack: log-probabilities [N] and whether each is the likeliest."""

    log_probabilities: torch.Tensor
    likeliest: torch.Tensor


def pack_loss(model: Any, batch: Pack) -> torch.Tensor:
    """Return the summed loss (natural log, a float32 scalar) over the target tokens of the pack."""
    head = _head(model)
    loss: torch.Tensor = HeadLoss.apply(  # type: ignore[no-untyped-call]
        _hidden(model, batch), head.weight, batch.labels, head
    )
    return loss


def token_logs(model: Any, batch: Pack) -> torch.Tensor:
    """Return the log-probability [N] of each target token of the pack (natural log, float32), with gradients."""
    logs: torch.Tensor = TokenLogs.apply(  # type: ignore[no-untyped-call]
        _hidden(model, batch), batch.labels, _head(model)
    )
    return logs


@torch.no_grad()
def score_targets(model: Any, batch: Pack) -> Scored:
    """Return log-probability and argmax agreement of each target token, as if the pack's answers were decoded.

    If the likeliest token agrees at every position of an answer, that answer is the model's greedy one.
    """
    hidden, head = _hidden(model, batch), _head(model)
    logs, best = [], []
    for start in range(0, len(batch.labels), ROWS_AT_ONCE):
        logits = head.logits(hidden[start : start + ROWS_AT_ONCE]).float().log_softmax(-1)
        wanted = batch.labels[start : start + ROWS_AT_ONCE, None]
        logs.append(logits.gather(1, wanted)[:, 0])
        best.append(logits.argmax(-1) == wanted[:, 0])
    return Scored(torch.cat(logs), torch.cat(best))


def _hidden(model: Any, batch: Pack) -> torch.Tensor:
    """Return the last hidden states [N, D] at the positions that predict a target token."""
    body = _causal(model).base_model
    return hidden_states(body, batch.input_ids, batch.position_ids, batch.rows, batch.groups)


def _head(model: Any) -> Head:
    return Head.of(_causal(model))


def _causal(model: Any) -> Any:
    """Return the transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model

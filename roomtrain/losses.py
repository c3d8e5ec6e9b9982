"""Contrastive losses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from roomtrain.errors import RoomtrainError


def supcon(embeddings: Tensor, labels: Tensor, *, temperature: float, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """Return the supervised contrastive loss of a batch: pull together what has one label, push apart the rest.

    Khosla et al. (2020), eq. 2: the mean over the positives stands outside of the logarithm. With z the embeddings, τ the
    temperature, A(i) all others than i and P(i) those of them with the label of i, anchor i has the loss

        ℓ_i = -1/|P(i)| Σ_{p ∈ P(i)} log( exp(⟨z_i, z_p⟩/τ) / Σ_{a ∈ A(i)} exp(⟨z_i, z_a⟩/τ) )

    and the batch the sum of them, as Götz et al. (2023), eq. 2, write it; ``reduction="mean"`` gives their mean, whose value
    can be compared between batches of different sizes. Anchors that are alone with their label have no positives and are left
    out of either. It is computed in float32 also where autocast is on: at τ = 0.01 the logits reach ±100, and 8 bits of a
    bfloat16 mantissa would leave them in steps of 0.5.

    Args:
        embeddings: z of length 1, so that inner products are cosines.
        labels: whole numbers; equal ones are one class.
        temperature: τ, above 0.
        reduction: over the anchors.

    Shape:
        embeddings (batch, dim), labels (batch,) → ()

    Raises:
        RoomtrainError: shapes that do not fit, or a temperature that is not above 0.
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        given = f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
        raise RoomtrainError(f"supcon takes embeddings (batch, dim) and labels (batch,), not {given}.")
    if not temperature > 0:
        raise RoomtrainError(f"temperature = {temperature}: it must be above 0 (the paper takes 0.01, 0.1 and 1).")
    if reduction not in ("sum", "mean"):
        raise RoomtrainError(f"reduction = {reduction!r}: 'sum' or 'mean'.")
    with torch.autocast(embeddings.device.type, enabled=False):
        z = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        logits = z @ z.T / temperature
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        positive = (labels[:, None] == labels[None, :]) & ~itself
        # logsumexp takes the largest logit out first; without it exp(100) overflows float32.
        others = torch.logsumexp(logits.masked_fill(itself, -torch.inf), dim=1, keepdim=True)
        n_positive = positive.sum(dim=1)
        loss = (others - logits).masked_fill(~positive, 0.0).sum(dim=1) / n_positive.clamp(min=1)
        total = loss.sum()
        return total if reduction == "sum" else total / (n_positive > 0).sum().clamp(min=1)

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


def inverse_contrastive(
    embeddings: Tensor, classes: Tensor, *, alpha: float, beta: float = 1.0, pairs: Literal["all", "balanced"] = "all"
) -> Tensor:
    """Return the inverse contrastive loss of a batch: push apart what has one class, pull together what has not.

    Akash et al. (2021), as Schmidt and Peters (2023), eqs. 1, 3 and 4, write it: with d the Euclidean distance of two embeddings, a
    pair of one class costs exp((α - d)/β), any other pair d². An embedding that tells nothing of the class pays little. With "all"
    it is the mean over the pairs of two different samples. With "balanced" every sample weighs one over the size of its class, and
    pairs of one of C classes C - 1 times as much as others, so that both kinds count alike however classes are distributed: the
    weights of Akash et al., brought to a sum of 1 (they count a sample's pair with itself too, which has no gradient).

    Computed in float32 also where autocast is on. d = √(Σ² + 1e-8) has a gradient where two embeddings are one.

    Args:
        embeddings: z, of any length.
        classes: whole numbers.
        alpha: α, the threshold.
        beta: β, above 0: the smaller, the steeper.
        pairs: how pairs are weighted.

    Shape:
        embeddings (batch, dim), classes (batch,) → ()

    Raises:
        RoomtrainError: shapes that do not fit, fewer than two samples, or β that is not above 0.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2 or classes.shape != embeddings.shape[:1]:
        given = f"{tuple(embeddings.shape)} and {tuple(classes.shape)}"
        raise RoomtrainError(f"inverse_contrastive takes 2 or more embeddings (batch, dim) and classes (batch,), not {given}.")
    if not beta > 0:
        raise RoomtrainError(f"beta = {beta}: it must be above 0 (the paper takes 1).")
    with torch.autocast(embeddings.device.type, enabled=False):
        z = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        squared = (z[:, None] - z[None]).square().sum(dim=2)  # not by inner products, whose rounding hides near neighbours
        same = classes[:, None] == classes[None]
        cost = torch.where(same, torch.exp((alpha - (squared + 1e-8).sqrt()) / beta), squared)
        weight = (~torch.eye(len(z), dtype=torch.bool, device=z.device)).to(z.dtype)
        if pairs == "balanced":
            share = 1.0 / same.sum(dim=1).to(z.dtype)
            # Summed over the batch, the shares are the number of classes.
            weight = weight * share[:, None] * share[None] * torch.where(same, share.sum() - 1.0, 1.0)
        # A batch of one class has no weight left where classes are balanced.
        return (cost * weight).sum() / weight.sum().clamp(min=torch.finfo(z.dtype).tiny)

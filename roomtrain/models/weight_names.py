"""Names of the weights of spectrogram transformers: what others call them, and what :mod:`roomtrain.models.vit` and timm do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from roomtrain.models.weight_files import Unusable

PASST = "PaSST"
DEIT = "DeiT"
AST_RELEASE = "AST"
AST_HUGGING_FACE = "AST of Hugging Face"

_HEADS = ("head.", "head_dist.", "mlp_head.", "classifier.")  # of classes that are not ours
_HF = "audio_spectrogram_transformer."
_HF_TOP = {
    "embeddings.cls_token": "cls_token",
    "embeddings.distillation_token": "dist_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm": "norm",
}
_HF_BLOCK = {
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
_HF_QKV = ("query", "key", "value")


def renamed(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Return what a file holds, one of the kinds above, and its tensors under timm's names, without the heads of classes.

    Raises:
        Unusable: names of another model.
    """
    bare = {name.removeprefix(_HF): tensor for name, tensor in tensors.items()}
    if "embeddings.distillation_token" in bare:
        return AST_HUGGING_FACE, _without_heads(_from_hugging_face(bare))
    bare = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    if "v.pos_embed" in bare:
        return AST_RELEASE, _without_heads({name.removeprefix("v."): tensor for name, tensor in bare.items()})
    if "time_new_pos_embed" in tensors:
        return PASST, _without_heads(tensors)
    if "pos_embed" in tensors and "dist_token" in tensors:
        return DEIT, _without_heads(tensors)
    raise Unusable(f"its weights are named otherwise ({', '.join(sorted(tensors)[:3])}, …)")


def _without_heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_HEADS)}


def _from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}
    joined: dict[str, list[Tensor | None]] = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        if name in _HF_TOP or stem in _HF_TOP:
            kept[_HF_TOP[name] if name in _HF_TOP else f"{_HF_TOP[stem]}.{kind}"] = tensor
            continue
        if not stem.startswith("encoder.layer."):
            kept[name] = tensor
            continue
        number, _, layer = stem.removeprefix("encoder.layer.").partition(".")
        which = layer.removeprefix("attention.attention.")
        if which != layer and which in _HF_QKV:
            parts = joined.setdefault(f"blocks.{number}.attn.qkv.{kind}", [None] * len(_HF_QKV))
            parts[_HF_QKV.index(which)] = tensor
        else:
            kept[f"blocks.{number}.{_HF_BLOCK.get(layer, layer)}.{kind}"] = tensor
    for name, parts in joined.items():
        found = [part for part in parts if part is not None]
        if len(found) < len(parts) or len({part.shape for part in found}) > 1:
            raise Unusable(f"query, key and value for {name} are not three of one shape")
        kept[name] = torch.cat(found)
    return kept

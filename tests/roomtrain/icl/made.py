"""A folder of the paper's data in TAU's layout: scenes that devices recorded themselves, in little; and its network by hand."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.run.generate import generate
from roomtrain.papers.icl.published import DEVICES, REAL, SIMULATED

FS_HZ = 44_100
SCENES = ("bus", "park", "tram")
"""None is where TAU has it among its ten."""
SEEN = (*REAL, *SIMULATED)
SECONDS = 2


_made: list[Path] = []


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all tests of a process have in common. Read only."""
    if not _made:
        root = factory.mktemp("tau")
        _made.append(icl_folder(root / "data", tau_tree(root / "tree")))
    return _made[0]


def tau_tree(
    root: Path,
    *,
    places: tuple[int, int] = (4, 2),
    scenes: tuple[str, ...] = SCENES,
    heard: tuple[str, ...] = SEEN,
    seconds: int = SECONDS,
    fs_hz: int = FS_HZ,
) -> Path:
    """Write the development set of TAU Urban Acoustic Scenes 2022 Mobile in its layout, and return its folder.

    Args:
        places: of each scene, in the train and the test part of the fold.
        heard: devices of the train part; the test part has all nine.
        seconds: of each recording, 10 at most: as many pieces.
    """
    root.mkdir(parents=True)
    (root / "audio").mkdir()
    (root / "evaluation_setup").mkdir()
    random = np.random.default_rng(0)
    meta, fold = [], defaultdict(list)
    for index, scene in enumerate(scenes):
        for place in range(sum(places)):
            part = "train" if place < places[0] else "test"
            for device in heard if part == "train" else DEVICES:
                audio = _recording(index, DEVICES.index(device), seconds, fs_hz, random)
                for piece in range(seconds):
                    name = f"audio/{scene}-lyon-{100 * index + place}-{place}-{piece}-{device.lower()}.wav"
                    soundfile.write(root / name, audio[piece * fs_hz : (piece + 1) * fs_hz], fs_hz, subtype="PCM_24")
                    meta.append(f"{name}\t{scene}\tlyon-{100 * index + place}\t{device.lower()}")
                    fold[part].append(f"{name}\t{scene}")
    (root / "meta.csv").write_text("\n".join(["filename\tscene_label\tidentifier\tsource_label", *meta]) + "\n")
    for name, part in (("train", "train"), ("evaluate", "test")):
        (root / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(["filename\tscene_label", *fold[part]]) + "\n")
    return root


def icl_folder(root: Path, tree: Path, *, seconds: int = SECONDS, fs_hz: int = 32_000) -> Path:
    """Make datasets of a tree: the scenes, and responses of a few microphones."""
    divided = {"split_by": "subset", "subsets": ("train", "test"), "val_share": 0.25, "split_within": "class_name"}
    scenes = {"fs_hz": fs_hz, "segment_s": float(seconds), "short": "pad", **divided}
    settings, inputs = sources_settings("tau2022", tree, scenes)
    generate(settings, root / "scenes", workers=0, progress=False, inputs=inputs)
    around = {"vintage-dirs": (0.0,), "multi-dirs": (0.0, 90.0, 180.0), "many-dirs": (0.0, 180.0)}
    for seed, (name, angles_deg) in enumerate(around.items()):
        drawn = {"seed": seed, "count": 4, "angles_deg": angles_deg, "distances_m": (0.5,), "level": "band"}
        settings, inputs = devices_settings("microphones", None, drawn)
        generate(settings, root / name, workers=0, progress=False, inputs=inputs)
    return root


def _recording(scene: int, device: int, seconds: int, fs_hz: int, random: np.random.Generator) -> np.ndarray:
    """Noise that rises in the scene's octaves, through a device that tilts it."""
    spectrum = np.fft.rfft(random.standard_normal(seconds * fs_hz))
    hz = np.fft.rfftfreq(seconds * fs_hz, 1 / fs_hz)
    octaves = np.log2(np.maximum(hz, 30.0) / 30.0)
    gain_db = 12.0 * np.cos(octaves * (1 + scene)) + (device - 4) * (octaves - 5.0)
    audio = np.fft.irfft(spectrum * 10 ** (gain_db / 20))
    return np.asarray(0.05 * audio / np.abs(audio).std())


def forward_by_hand(weights: Mapping[str, Tensor], x: Tensor, *, heads: int, stride: int, layer: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits and embeddings of spectrograms (batch, 1, 128, frame), step by step from the weights of a run.

    Args:
        layer: whose output's tokens the embedding is the mean of, from 1; 0: that of the last normalisation.
    """
    w = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    dim = w["cls_token"].shape[2]
    patches = functional.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=stride)
    patches = patches + w["freq_new_pos_embed"] + w["time_new_pos_embed"][..., : patches.shape[3]]
    tokens = torch.cat([w["cls_token"], w["dist_token"]], dim=1) + w["new_pos_embed"]
    y = torch.cat([tokens.expand(len(x), 2, dim), patches.reshape(len(x), dim, -1).transpose(1, 2)], dim=1)
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    read = torch.zeros(0)
    for number in range(depth):
        b = {name.removeprefix(f"blocks.{number}."): tensor for name, tensor in w.items() if name.startswith(f"blocks.{number}.")}
        normed = functional.layer_norm(y, (dim,), b["norm1.weight"], b["norm1.bias"], eps=1e-6)
        q, k, v = (normed @ b["attn.qkv.weight"].T + b["attn.qkv.bias"]).split(dim, dim=2)
        mixed = []
        for one in range(heads):
            own = slice(one * dim // heads, (one + 1) * dim // heads)
            scores = q[..., own] @ k[..., own].transpose(1, 2) / (dim // heads) ** 0.5
            mixed.append(scores.softmax(dim=2) @ v[..., own])
        y = y + torch.cat(mixed, dim=2) @ b["attn.proj.weight"].T + b["attn.proj.bias"]
        normed = functional.layer_norm(y, (dim,), b["norm2.weight"], b["norm2.bias"], eps=1e-6)
        hidden = functional.gelu(normed @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"])
        y = y + hidden @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"]
        if number + 1 == layer:
            read = (y[:, 0] + y[:, 1]) / 2
    last = functional.layer_norm(y, (dim,), w["norm.weight"], w["norm.bias"], eps=1e-6)
    z = (last[:, 0] + last[:, 1]) / 2
    normed = functional.layer_norm(z, (dim,), w["head.0.weight"], w["head.0.bias"], eps=1e-5)
    return normed @ w["head.1.weight"].T + w["head.1.bias"], read if layer else z

"""A folder of the paper's data in TAU's layout: scenes that devices recorded themselves, in little, made in seconds."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from roomgen.datasets.devices import devices_settings
from roomgen.datasets.sources import sources_settings
from roomgen.run.generate import generate
from roomtrain.papers.icl.published import DEVICES, REAL, SIMULATED

FS_HZ = 44_100
SCENES = ("airport", "bus", "park")
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

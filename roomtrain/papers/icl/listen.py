"""The paper's network for anybody's recordings, and its embeddings for probing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from roomtrain.listen import Listener
from roomtrain.paper import Place
from roomtrain.papers.icl.data import IclData
from roomtrain.papers.icl.mel import FS_HZ, features
from roomtrain.papers.icl.network import SceneClassifier, new_classifier
from roomtrain.papers.icl.probe import heard
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.papers.icl.stages import SCENES, Row
from roomtrain.probe import Probed
from roomtrain.targets import Target
from roomtrain.weights import Weights


class IclListener(Listener):
    """Embeddings and scenes of seconds of audio at 32 kHz. A recording's level is part of what is heard, as in training."""

    fs_hz = FS_HZ
    segment_s = 1.0
    any_level = False

    def __init__(self, settings: IclSettings, weights: Weights | None, protocol: str) -> None:
        self.protocol = protocol
        self.targets = (Target("scene", "class", title="scene", classes=settings.classes),)
        model = new_classifier(settings, len(settings.classes), weights=False)
        if weights is not None:
            model.load_state_dict(weights(SCENES))
        self.modules = nn.ModuleDict({"classifier": model})

    def heard(self, windows: Tensor, *, levelled: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        classifier = self.modules["classifier"]
        assert isinstance(classifier, SceneClassifier)
        logits, embeddings = classifier(features(windows))
        return embeddings, {"scene": logits}


def probed(settings: IclSettings, data: IclData, weights: Weights, place: Place) -> Probed:
    """Return embeddings of seconds of training and test, and what is known of them: level and device, one column a device."""
    row = Row(settings, data, place)
    model = row.classifier(weights)
    embeddings, labels, groups = {}, {}, np.zeros(0, dtype=str)
    for split in ("train", "test"):
        recordings = data.recordings(split, scenes=row.settings.classes)
        windows = data.windows(split, of_each=settings.probe.windows)
        embeddings[split] = heard(model, windows)[1].cpu().numpy()
        device, scene = recordings.device[windows.recording], recordings.scene[windows.recording]
        labels[split] = {
            "level": torch.cat([part.float().mean(dim=(1, 2)) for part in torch.split(windows.log, 1024)]).cpu().double().numpy(),
            **{f"device {name}": (device == index).astype(np.float64) for index, name in enumerate(data.seen)},
            **{f"scene {name}": (scene == index).astype(np.float64) for index, name in enumerate(row.settings.classes)},
        }
        groups = recordings.groups[windows.recording]
    return Probed(embeddings, labels, groups)

"""Learning scenes from seconds of recordings, with the inverse contrastive loss over their devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.banks import Bank, MappedBank
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.losses import inverse_contrastive
from roomtrain.models.patchout import Patchout, draw_offset, draw_patchout
from roomtrain.papers.icl.augmentation import (
    DeviceResponses,
    augmented,
    choose,
    compressed,
    second_of_spectra,
    through_audio,
    through_spectra,
)
from roomtrain.papers.icl.data import IclData
from roomtrain.papers.icl.mel import HOP, N_FRAMES, N_SAMPLES, power_spectrum, scaled
from roomtrain.papers.icl.network import new_classifier, transformer_config
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.processes import gathered
from roomtrain.seeds import Purpose, generator
from roomtrain.task import Loss, Task

_VALIDATED_TOGETHER = 128


class Scenes(Task):
    """Seconds of recordings and their scenes.

    A training batch has one second of each of its recordings, from a place that is drawn anew each time. The epoch that is kept is
    that with the least cross entropy in validation, whatever else the loss holds.

    Args:
        responses: what windows are sent through; None: nothing.

    Raises:
        RoomtrainError: training recordings of one device, whose classes the inverse contrastive loss needs two of; or a batch that
            the processes cannot share.
    """

    name = "scenes"
    judged_by = "ce"

    def __init__(
        self,
        settings: IclSettings,
        data: IclData,
        responses: DeviceResponses | None = None,
        *,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        train = settings.train
        if train.batch % world:
            raise RoomtrainError(f"a batch of {train.batch} cannot be shared out among {world} processes.")
        self.settings, self.rank, self.world, self.responses = settings, rank, world, responses
        self.recordings = {split: data.recordings(split, scenes=settings.classes) for split in ("train", "val")}
        # Ahead of what takes minutes: a file of weights that is no good shall be told at once.
        self.model = new_classifier(settings, len(settings.classes))
        alike = settings.contrast.classes == "device" or responses is None
        if settings.contrast.weight and len(data.seen) < 2 and alike:
            raise RoomtrainError(
                f"{data.dataset.root} has training recordings of one device ({data.seen[0]}), and the inverse contrastive loss "
                "needs two: give --set contrast.weight=0, or data of several."
            )
        if settings.augment.devices == "A" and data.seen[0] != "A":
            raise RoomtrainError(
                f'{data.dataset.root} has no device A in training, only {", ".join(data.seen)}: give --set augment.devices="all".'
            )
        self.windows = data.windows("val", of_each=train.val_windows)
        self.spectra = data.spectra("train") if train.bank == "spectra" else None
        self.audio: Bank | MappedBank | None = None if train.bank == "spectra" else data.audio("train", train.bank)
        device = data.place.device
        self._scene, self._device, self._length = (
            torch.from_numpy(values).to(device)
            for values in (self.recordings["train"].scene, self.recordings["train"].device, self.recordings["train"].n_samples)
        )
        self._val_scene = torch.from_numpy(self.recordings["val"].scene[self.windows.recording]).to(device)
        self.n_seen = len(data.seen)
        # An epoch's recordings: each once, or as often as it has seconds.
        repeats = self.recordings["train"].seconds if train.epoch == "seconds" else np.ones(len(self.recordings["train"]), np.int64)
        self._pool = np.repeat(np.arange(len(repeats)), repeats)
        steps = train.steps if train.epoch == "steps" else len(self._pool) // train.batch
        if steps < 1:
            raise RoomtrainError(
                f"{data.dataset.root} has {len(self._pool)} training recordings, fewer than a batch of {train.batch}: make more "
                'data, or give --set train.batch=N or --set train.epoch="seconds".'
            )
        self.sizes = {"train": steps, "val": -(-len(self.windows) // (_VALIDATED_TOGETHER * world))}
        config = transformer_config(settings.network)
        self._grid = (config.grid[0], config.columns(N_FRAMES))
        self._available = config.grid[1]
        self._order: tuple[int, NDArray[np.int64]] = (-1, self._pool)

    def sampled(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Return the recordings of a training batch, of all processes."""
        batch = self.settings.train.batch
        if self.settings.train.balance == "device":
            return self._of_each_device(epoch, step)
        # Orders follow one another without end, so that steps of an epoch need not be those of an order.
        first, count = (epoch * self.sizes["train"] + step) * batch, len(self._pool)
        if self.settings.train.epoch != "steps":
            first = epoch * count + step * batch
        places = np.arange(first, first + batch)
        return np.concatenate(
            [self._ordered(int(turn))[places[places // count == turn] % count] for turn in np.unique(places // count)]
        )

    def _ordered(self, turn: int) -> NDArray[np.int64]:
        if self._order[0] != turn:
            order = generator(self.settings.seed, Purpose.ORDER, epoch=turn).permutation(len(self._pool))
            self._order = (turn, self._pool[order])
        return self._order[1]

    def _of_each_device(self, epoch: int, step: int) -> NDArray[np.int64]:
        random = generator(self.settings.seed, Purpose.BATCH, epoch=epoch, sample=step)
        of_pool = self.recordings["train"].device[self._pool]
        devices = np.unique(of_pool)
        drawn = devices[random.integers(len(devices), size=self.settings.train.batch)]
        return np.array([random.choice(np.flatnonzero(of_pool == device)) for device in drawn])

    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        if split == "val":
            size = _VALIDATED_TOGETHER * self.world
            return split, torch.arange(step * size + self.rank, min((step + 1) * size, len(self.windows)), self.world)
        own = self.sampled(epoch, step)[self.rank :: self.world]
        number = step * self.settings.train.batch + np.arange(self.rank, self.settings.train.batch, self.world)
        starts = generator(self.settings.seed, Purpose.CROP, epoch=epoch, sample=step).random(self.settings.train.batch)[
            self.rank :: self.world
        ]
        room = self.recordings["train"].n_samples[own] - N_SAMPLES
        batch = {
            "recording": torch.from_numpy(own),
            "number": torch.from_numpy(number),
            "step": torch.tensor([step]),
            "share": torch.tensor(self._share_of_contrast(epoch, step)),
        }
        if self.audio is None:
            batch["start"] = torch.from_numpy((starts * (room // HOP + 1)).astype(np.int64))
        else:
            first = (starts * (room + 1)).astype(np.int64)
            rows = self.audio.rows(own)[:, 0]
            batch["audio"] = rows.gather(
                1, torch.from_numpy(first).to(rows.device)[:, None] + torch.arange(N_SAMPLES, device=rows.device)
            )
        keep, offset = self._patchout(epoch, step)
        return split, batch, keep, offset

    def _share_of_contrast(self, epoch: int, step: int) -> float:
        contrast = self.settings.contrast
        taken = epoch * self.sizes["train"] + step + 1
        return contrast.weight * (min(1.0, taken / contrast.warmup_steps) if contrast.warmup_steps else 1.0)

    def _patchout(self, epoch: int, step: int) -> tuple[Patchout, Tensor]:
        draws = Draws(self.settings.seed, epoch=epoch)
        rows, columns = self.settings.network.patchout
        return (
            draw_patchout(self._grid, draws, step, rows=rows, columns=columns),
            draw_offset(self._grid[1], self._available, draws, step),
        )

    def device_batch(self, batch: Any, draws: Draws) -> dict[str, Any]:
        if batch[0] == "val":
            places = batch[1]
            scene = self._val_scene[places]
            return {"x": scaled(self.windows.log[places].float())[:, None], "scene": scene, "keep": None, "offset": None}
        _, drawn, keep, offset = batch
        own, number = drawn["recording"], drawn["number"]
        device = self._device[own]
        chosen = choose(self.settings.augment, 0 if self.responses is None else len(self.responses), device, number, draws)
        if self.spectra is not None:
            power = through_spectra(second_of_spectra(self.spectra, own, drawn["start"]), self.responses, chosen)
        else:
            power = power_spectrum(through_audio(drawn["audio"], self.responses, chosen))
        power = compressed(power, self.responses, chosen)
        return {
            "x": augmented(self.settings.augment, power, number, drawn["step"], draws),
            "scene": self._scene[own],
            # A device without a response is a class of its own: −1 + 1.
            "class": device if self.settings.contrast.classes == "device" else (chosen.response + 1) * self.n_seen + device,
            "share": drawn["share"],
            "keep": keep,
            "offset": offset,
        }

    def losses(self, model: nn.Module, batch: dict[str, Any]) -> Iterator[Loss]:
        logits, z = model(batch["x"], batch["keep"], batch["offset"])
        logits = logits.float()
        ce = functional.cross_entropy(logits, batch["scene"])
        parts = {"ce": ce.detach(), "accuracy": (logits.argmax(dim=1) == batch["scene"]).float().mean()}
        total = ce
        if "class" in batch and self.settings.contrast.weight:
            contrast = self.contrast(z, batch["class"])
            parts["icl"] = contrast.detach()
            total = ce + batch["share"] * contrast
        yield Loss(total, parts)

    def contrast(self, z: Tensor, classes: Tensor) -> Tensor:
        """Return the inverse contrastive loss of a batch, over the pairs of all processes."""
        settings = self.settings.contrast
        z = functional.normalize(z.float(), dim=1) if settings.normalise else z
        if self.world > 1:
            z, classes = gathered(z), gathered(classes)
        return inverse_contrastive(z, classes, alpha=settings.alpha, beta=settings.beta, pairs=settings.pairs)

    def count(self, batch: dict[str, Any]) -> int:
        return len(batch["scene"])

    def keys(self, epoch: int, step: int) -> list[str]:
        return [str(key) for key in self.recordings["train"].keys[self.sampled(epoch, step)]]

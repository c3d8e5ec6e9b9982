"""What is measured of a step: responses applied to kept spectra, and to audio; our features against those of torchaudio."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional

from roomtrain.bench import Bench, Case, compared
from roomtrain.papers.icl.mel import N_SAMPLES, UPPER_HZ, log_mel, mel_bank, power_spectrum

_BATCH = 48
_EVERYTHING = {"augment.responses": "multi", "contrast.weight": 0.5}


def against_torch(device: torch.device) -> dict[str, dict[str, float]]:
    """Return the times of ours and of torchaudio: log-mel spectrograms of a batch, for an upper edge that is drawn anew."""
    audio = torch.randn(_BATCH, N_SAMPLES, device=device)
    edge = torch.tensor(UPPER_HZ, device=device)
    return {
        "log-mel spectrograms": compared(
            device, lambda: log_mel(power_spectrum(audio), mel_bank(edge)), lambda: torchaudio_log_mel(audio)
        )
    }


def torchaudio_log_mel(audio: Tensor) -> Tensor:
    """Return the same spectrograms by the calls of PaSST's code: ``torch.stft`` and the bands of ``torchaudio``."""
    emphasis = torch.tensor([[[-0.97, 1.0]]], device=audio.device)
    emphasised = functional.conv1d(audio[:, None], emphasis)[:, 0]
    window = torch.hann_window(800, periodic=False, device=audio.device)
    spectrum = torch.stft(emphasised, 1024, hop_length=320, win_length=800, center=True, window=window, return_complex=True)
    bank, _ = torchaudio.compliance.kaldi.get_mel_banks(128, 1024, 32_000, 0.0, UPPER_HZ, 100.0, -500.0, 1.0)
    return torch.log(functional.pad(bank, (0, 1)).to(audio.device) @ spectrum.abs().square() + 1e-5)


BENCH = Bench(
    {
        "spectra": Case({**_EVERYTHING, "train.bank": "spectra"}, "responses applied to spectra that are kept"),
        "audio": Case({**_EVERYTHING, "train.bank": "memory"}, "responses convolved with audio"),
    },
    scale=0.1,
    against_torch=against_torch,
)

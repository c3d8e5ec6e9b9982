"""One sample as a picture and a sound: a response with its decay, a device with its magnitude, other audio with its spectrogram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roomgen.audio import encode_wav
from roomgen.errors import DatasetError
from roomgen.report.canvas import new_figure
from roomgen.report.decay_plot import draw_decay
from roomgen.store.dataset import Item
from roomgen.store.folder import writing
from roomgen.text import check_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLED_BY = ("speaker", "class_name", "room_id", "device", "rt60_mid_s", "rt60_s", "snr_db")
_RANGE_DB = 80.0


def write_sample(item: Item, folder: Path) -> tuple[Path, Path]:
    """Write ``KEY.png`` and ``KEY.wav`` into a folder and return their paths.

    Raises:
        DatasetError: the key is no key (:func:`roomgen.text.check_key`) and could lead out of the folder; or the row does not say
            what is drawn.
    """
    key = check_key(item.key)
    picture, audio = folder / f"{key}.png", folder / f"{key}.wav"
    draw = draw_decay if "rt60_bands_s" in item.row else _draw_device if "microphone" in item.row else _draw_audio
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(encode_wav(item.audio, fs_hz=item.fs_hz))
        try:
            draw(item, picture)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise DatasetError(
                f"sample {key} cannot be drawn ({type(error).__name__}: {error}): its row is damaged, or of another version. Its "
                f"audio is in {audio}."
            ) from None
    return picture, audio


def _draw_device(item: Item, path: Path) -> None:
    """Draw a device's response over time and over frequency."""
    figure, (top, bottom) = _figure(shared=False)
    response = item.audio[0]
    top.plot(1000.0 * np.arange(len(response)) / item.fs_hz, response, linewidth=0.7, color="0.2")
    top.set(xlabel="time in ms", title=f"{item.key}   {item.row['microphone']}")
    n_fft = 8 * len(response)
    magnitude = np.abs(np.fft.rfft(response, n_fft))[1:]
    level_db = 20.0 * np.log10(np.maximum(magnitude, 1e-9))
    frequency_hz = np.fft.rfftfreq(n_fft, 1.0 / item.fs_hz)[1:]
    bottom.semilogx(frequency_hz, level_db, linewidth=1.2, color="#0072B2")
    top_db = float(level_db.max())
    bottom.set(
        xlabel="frequency in Hz", ylabel="magnitude in dB", xlim=(20.0, item.fs_hz / 2), ylim=(top_db - _RANGE_DB / 2, top_db + 3)
    )
    bottom.grid(alpha=0.25, which="both")
    figure.savefig(path, dpi=120)


def _draw_audio(item: Item, path: Path) -> None:
    """Draw the waveform and the spectrogram of a recording's first channel."""
    from scipy.signal import spectrogram

    figure, (top, bottom) = _figure(shared=True)
    audio = item.audio[0]
    time_s = np.arange(len(audio)) / item.fs_hz
    top.plot(time_s, audio, linewidth=0.4, color="0.2")
    known = [f"{name} {_short(item.row[name])}" for name in _TITLED_BY if name in item.row and _is_known(item.row[name])]
    top.set_title("   ".join([item.key, *known]), fontsize=9)
    window = min(512, len(audio))
    frequency_hz, at_s, power = spectrogram(audio, item.fs_hz, nperseg=window, noverlap=window * 3 // 4)
    level_db = 10.0 * np.log10(np.maximum(power, 1e-14))
    bottom.pcolormesh(at_s, frequency_hz / 1000.0, level_db, vmin=level_db.max() - _RANGE_DB, cmap="magma", rasterized=True)
    bottom.set(xlabel="time in s", ylabel="frequency in kHz", xlim=(0, time_s[-1] if len(time_s) > 1 else 1))
    figure.savefig(path, dpi=120)


def _figure(*, shared: bool) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = new_figure(figsize=(9, 6.2))
    axes = figure.subplots(2, 1, sharex=shared, height_ratios=[1, 2])
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, (axes[0], axes[1])


def _is_known(value: str | float | None) -> bool:
    return bool(value) if isinstance(value, str | None) else bool(np.isfinite(value))


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"

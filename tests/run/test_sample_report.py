"""One sample as picture and sound: the decay that is drawn is the decay, and a row that says too little is told."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

import roomgen
from roomgen.errors import DatasetError
from roomgen.report.decay_plot import energy_decay_db
from roomgen.report.sample import write_sample
from roomgen.store.dataset import Item

FS, RT60_S = 8000, 0.4


def response():
    """Noise that falls by 60 dB in RT60_S, for one RT60."""
    t_s = np.arange(int(RT60_S * FS)) / FS
    return (np.random.default_rng(0).normal(size=len(t_s)) * 10 ** (-3 * t_s / RT60_S)).astype(np.float32)


def test_the_curve_is_the_energy_still_to_come():
    rir = response()
    curve = energy_decay_db(np.stack([rir, 0.1 * rir]))
    assert curve.shape == (2, len(rir))
    energy = [float(p) ** 2 for p in rir]
    for n in (0, 1, 100, 800, len(rir) - 1):
        assert curve[0, n] == pytest.approx(10 * math.log10(sum(energy[n:]) / sum(energy)), abs=1e-6)
    np.testing.assert_allclose(curve[1], curve[0], atol=1e-5)  # relative to its beginning
    assert (np.diff(curve[0]) <= 0).all()
    assert energy_decay_db(np.zeros(5, dtype=np.float32)).max() < -200


def test_the_decay_that_is_drawn_falls_as_the_response_does(made_once, tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: figures.append(self) or save(self, *args, **kwargs))
    row = roomgen.open(made_once)[0].row
    picture, audio = write_sample(Item(row["key"], response()[None], FS, row), tmp_path / "out")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert audio.read_bytes()[:4] == b"RIFF"
    (broadband,) = (line for line in figures[0].axes[1].lines if str(line.get_label()).startswith("broadband"))
    time_ms, level_db = (np.asarray(values) for values in broadband.get_data())
    kept = (level_db < -5) & (level_db > -35)
    assert np.polyfit(time_ms[kept] / 1000, level_db[kept], 1)[0] == pytest.approx(-60 / RT60_S, rel=0.05)


@pytest.mark.parametrize("change", [{"room_type": None}, {"rt60_bands_s": [0.1]}, {"c50_db": "loud"}, {"length_m": None}])
def test_a_row_that_says_too_little_is_told(made_once, tmp_path, change):
    row = {**roomgen.open(made_once)[0].row, **change}
    for name in [name for name, value in change.items() if value is None]:
        del row[name]
    with pytest.raises(DatasetError, match=r"cannot be drawn .* its row is damaged"):
        write_sample(Item(row["key"], response()[None], FS, row), tmp_path)


@pytest.mark.parametrize("key", ["../../owned", "/tmp/owned", "a/b", "", "..", "a.b", "x" * 100, "a\0b"])
def test_no_key_leads_out_of_the_folder(made_once, tmp_path, key):
    with pytest.raises(DatasetError, match="is no key of a sample"):
        write_sample(Item(key, response()[None], FS, roomgen.open(made_once)[0].row), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

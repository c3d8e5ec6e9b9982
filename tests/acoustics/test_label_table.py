"""One table says all that there is to a label: measured, stored, described and printed from it."""

import subprocess
import sys

import numpy as np
import pytest

from roomgen.acoustics.labels import measure as measuring
from roomgen.acoustics.labels import reasons, table, values
from roomgen.acoustics.labels.table import LABELS, Label

FS_HZ = 16000


@pytest.fixture
def decay():
    return np.random.default_rng(1).standard_normal(FS_HZ) * 10.0 ** (-3.0 * np.arange(FS_HZ) / FS_HZ / 0.4)


def test_importing_labels_loads_no_compiler():
    code = "import sys, roomgen.acoustics.labels.measure, roomgen.acoustics.labels.table; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_names_and_meanings_are_complete(decay):
    measured = measuring.measure(decay, fs_hz=FS_HZ, noise="none")
    names = {name for label in LABELS for name in (label.field, *([label.bands_field] if label.kind == "bands" else []))}
    assert set(measured.as_dict()) == names | {"direct_delay_s", "band_hz"}
    assert set(measured.why) == names
    assert all(label.meaning and label.title for label in LABELS)
    assert len({label.title for label in LABELS}) == len(LABELS)
    with pytest.raises(AttributeError, match="there is no label 'rt61_s'"):
        _ = measured.rt61_s


def test_a_label_is_added_by_one_entry_and_its_function(decay, monkeypatch):
    before = measuring.measure(decay, fs_hz=FS_HZ, noise="none").as_dict()
    new = Label("t30_twice", "s", "bands", "two times T30", "twice", "2 T30 s")
    monkeypatch.setattr(values, "twice", lambda decays: (2.0 * values.t30(decays)[0], values.t30(decays)[1]), raising=False)
    for module in (measuring, values):
        monkeypatch.setattr(module, "BANDED", (*table.BANDED, new))
    monkeypatch.setattr(measuring, "LABELS", (*LABELS, new))
    monkeypatch.setattr(
        measuring, "_NAMES", (*measuring._NAMES[: len(LABELS)], new.field, *measuring._NAMES[len(LABELS) :], new.bands_field)
    )
    after = measuring.measure(decay, fs_hz=FS_HZ, noise="none").as_dict()
    assert after.pop("t30_twice_s") == pytest.approx(2.0 * before["rt60_s"])
    assert after.pop("t30_twice_bands_s") == pytest.approx(2.0 * np.array(before["rt60_bands_s"]), nan_ok=True)
    np.testing.assert_equal(after, before)


def test_every_reason_has_words():
    assert all(why.words for why in reasons.Why)

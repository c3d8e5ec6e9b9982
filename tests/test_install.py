"""What roomgen does where only what it needs is installed."""

from __future__ import annotations

import sys

import pytest

from bench.process import run_python
from roomgen.errors import RoomgenError
from roomgen.report.canvas import new_figure
from roomgen.store.dataset import Dataset

WITHOUT = (
    "import sys; sys.modules['matplotlib'] = None; from roomgen.cli import main; sys.argv = ['roomgen', *sys.argv[1:]]; main()"
)


def test_rooms_are_made_verified_and_labelled_without_matplotlib(tmp_path):
    out = str(tmp_path / "out")
    small = ["--set", "place.rirs_per_room=1", "--set", "signal.fs_hz=8000"]
    run_python(["-c", WITHOUT, "rooms", "--n", "2", "--out", out, "--workers", "0", *small])
    run_python(["-c", WITHOUT, "verify", out])
    key = next(iter(Dataset(tmp_path / "out"))).key
    with pytest.raises(RoomgenError, match=r"pictures need matplotlib, .*: pip install 'roomgen\[plot\]'"):
        run_python(["-c", WITHOUT, "inspect", out, key, "--out", str(tmp_path)])
    assert key in run_python(["-c", WITHOUT, "label", str(tmp_path / f"{key}.wav")]).stdout


def test_a_picture_without_matplotlib_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RoomgenError, match=r"pip install 'roomgen\[plot\]'"):
        new_figure(figsize=(1.0, 1.0))

"""Rooms of a dataset have the RT60, or the spectrum, that was asked for; what cannot be had is refused before any is drawn."""

import numpy as np
import pytest

from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.datasets.rooms import target_rt60
from roomgen.datasets.rooms.family import simulate_row
from roomgen.datasets.rooms.pin import write_rooms
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.reachable import check_target, family_range_s
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError
from roomgen.run.estimate import estimate
from roomgen.run.rt60_like import rt60_like

SPECTRUM = (0.42, 0.35, 0.3, 0.3, 0.28, 0.24)


def settings(**values: object) -> DatasetSettings:
    """Small rooms at 8 kHz; ``a__b`` stands for the setting ``a.b``."""
    overrides = {"rooms.count": 2, "place.rirs_per_room": 4, "signal.fs_hz": 8000, "seed": 7}
    overrides["rooms.families"] = [{"name": "small", "min_m": [3.0, 3.0, 2.5], "max_m": [5.0, 4.0, 3.0]}]
    return load_settings("goetz", {**overrides, **{name.replace("__", "."): value for name, value in values.items()}})


def labels(of: DatasetSettings, index: int, first: int, last: int) -> dict[str, np.ndarray]:
    """Return labels (position, …) of a room's responses; rooms of settings with more positions are the same."""
    more = of.model_copy(update={"place": of.place.model_copy(update={"rirs_per_room": last})})
    plan = RoomsPlan(of)
    measured = []
    for position in range(first, last):
        row = {**plan.row("train", index, 0)}
        pair = target_rt60.positions_of(more, plan.room(index).shoebox.size_m, index, last)
        row |= {"source_xyz_m": pair.sources[position].tolist(), "mic_xyz_m": pair.mics[position].tolist()}
        measured.append(simulate_row(of, row)[1])
    return {name: np.array([one[name] for one in measured]) for name in ("rt60_bands_s", "rt60_s")}


def test_t_mid_is_what_was_asked_for_over_thirty_positions() -> None:
    asked = settings(signal__rt60_s=(0.3, 0.3))
    mid = labels(asked, 0, 0, 30)["rt60_bands_s"][:, 2:4].mean(axis=1)
    assert np.nanmean(mid) == pytest.approx(0.3, rel=0.03)
    assert RoomsPlan(asked).room(0).rt60_target_s == pytest.approx(0.3)


def test_the_broadband_rt60_can_be_asked_for() -> None:
    asked = settings(signal__rt60_s=(0.4, 0.4), signal__rt60_of="broadband")
    assert np.nanmean(labels(asked, 1, 0, 30)["rt60_s"]) == pytest.approx(0.4, rel=0.03)


def test_a_whole_spectrum_is_what_was_asked_for_here_and_elsewhere() -> None:
    asked = settings(signal__rt60_bands_s=SPECTRUM)
    t30_s = labels(asked, 0, 0, 40)["rt60_bands_s"]
    np.testing.assert_allclose(np.nanmean(t30_s[:30], axis=0), SPECTRUM, rtol=0.03)
    assert np.median(np.abs(np.nanmean(t30_s[30:], axis=0) / SPECTRUM - 1)) < 0.1
    plan = RoomsPlan(asked)
    assert plan.room(0).rt60_target_s == pytest.approx(0.3)
    assert len(plan.row("train", 0, 0)["absorption_bands"]) == 6 * len(SPECTRUM)


def test_a_plan_does_not_depend_on_the_order_of_rooms() -> None:
    asked = settings(signal__rt60_s=(0.25, 0.5))
    forward, backward = RoomsPlan(asked), RoomsPlan(asked)
    last = backward.room(1).shoebox
    first = backward.room(0).shoebox
    for one, other in ((forward.room(0).shoebox, first), (forward.room(1).shoebox, last)):
        assert one.size_m == other.size_m
        np.testing.assert_array_equal(one.absorption(8000), other.absorption(8000))


def test_a_lower_rate_keeps_walls_and_scattering() -> None:
    room = Shoebox((4, 3, 2.5), absorption="carpet_cotton", scattering=np.linspace(0, 0.6, 42).reshape(6, 7), scale=1.5)
    low = target_rt60.at_rate(room, 16000, 4000)
    np.testing.assert_array_equal(low.absorption(4000), room.absorption(16000)[:, :5])
    np.testing.assert_array_equal(low.scattering(4000), room.scattering(16000)[:, :5])


@pytest.mark.parametrize("asked", [(30.0, 30.0), (0.01, 0.01), (0.3, 40.0)])
def test_what_cannot_be_had_is_refused_with_what_can(asked: tuple[float, float]) -> None:
    impossible = settings(signal__rt60_s=asked)
    with pytest.raises(RoomgenError, match=r"family 'small'.*can have --rt60 [\d.]+:[\d.]+") as refused:
        check_target(impossible)
    low, high = map(float, str(refused.value).rsplit(" ", 1)[1].rstrip(".").split(":"))
    check_target(settings(signal__rt60_s=(low, high)))


def test_an_impossible_octave_is_named() -> None:
    with pytest.raises(RoomgenError, match="RT60 at 500 Hz of 25 s"):
        check_target(settings(signal__rt60_bands_s=(0.4, 0.4, 25.0, 0.3, 0.3, 0.3)))


def test_dry_runs_and_plans_refuse_before_they_draw(tmp_path, monkeypatch) -> None:
    impossible = settings(signal__rt60_s=(30.0, 30.0))
    monkeypatch.setattr(RoomsPlan, "room", None)
    with pytest.raises(RoomgenError, match="asks for a T_mid of 30 s"):
        estimate(impossible, workers=0)
    with pytest.raises(RoomgenError, match="asks for a T_mid of 30 s"):
        write_rooms(impossible, tmp_path / "plan.parquet")


def test_air_shortens_what_can_be_had() -> None:
    without = settings(signal__rt60_bands_s=SPECTRUM)
    with_air = settings(signal__rt60_bands_s=SPECTRUM, signal__air=(20, 20))
    longest, damped = (family_range_s(one, one.rooms.families[0])[:, 1] for one in (without, with_air))
    assert damped[-1] < 0.7 * longest[-1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"signal__rt60_bands_s": SPECTRUM[:4]}, "4 values, but 8000 Hz has 6 octaves"),
        ({"signal__rt60_bands_s": SPECTRUM, "signal__rt60_s": (0.3, 0.3)}, "exclude each other"),
        ({"signal__rt60_s": (0.3, 0.3), "signal__fs_hz": 2000}, "at least 4000 Hz"),
    ],
)
def test_contradictions_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(RoomgenError, match=said):
        settings(**values)


def write_decay(path, *, fs_hz: int, rt60_s: float) -> None:
    """Write noise that decays: what T30 is known of in all octaves."""
    import soundfile

    time_s = np.arange(int(1.2 * rt60_s * fs_hz)) / fs_hz
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    soundfile.write(path, 0.2 * noise * 10.0 ** (-3.0 * time_s / rt60_s), fs_hz, subtype="FLOAT")


def test_a_measured_response_gives_its_spectrum_and_says_what_it_lacks(tmp_path) -> None:
    write_decay(tmp_path / "room.wav", fs_hz=8000, rt60_s=0.8)
    found = rt60_like(tmp_path / "room.wav", 16000)
    assert len(found.bands_s) == 7
    np.testing.assert_allclose(found.bands_s[2:], 0.8, rtol=0.1)
    assert found.bands_s[-1] == found.bands_s[-2]
    assert "8000 Hz lies above its rate" in found.notes[-1]


def test_a_file_without_a_decay_is_refused(tmp_path) -> None:
    import soundfile

    soundfile.write(tmp_path / "tone.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    with pytest.raises(RoomgenError, match=r"tone\.wav"):
        rt60_like(tmp_path / "tone.wav", 8000)


def test_limits_hold_beside_a_target_of_another_kind() -> None:
    limits = {"walls__model": "flat", "walls__rt60_limits_s": (0.3, 0.34), "signal__rt60_of": "1000", "rooms__count": 1}
    drawn = RoomsPlan(settings(signal__rt60_s=(0.32, 0.32), **limits)).room(0).shoebox
    mid_s = predict_rt60_bands_s(drawn, fs_hz=8000)[2:4].mean()
    assert 0.3 <= mid_s <= 0.34
    with pytest.raises(RoomgenError, match=r"mid-frequency RT60 of .* outside walls.rt60_limits_s"):
        RoomsPlan(settings(signal__rt60_s=(0.32, 0.32), **{**limits, "walls__rt60_limits_s": (0.31999, 0.32001)})).room(0)

"""Parametric microphones: patterns, proximity and transducers as the textbooks say, and a response that is minimum phase."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal, special

from roomgen.acoustics.microphones.designs import CONSTRUCTIONS, draw_design
from roomgen.acoustics.microphones.response import (
    DIRECTIVITIES,
    TRANSDUCERS,
    MicrophoneDesign,
    conditioning,
    impulse_response,
    magnitude,
    minimum_phase,
    sphere_pressure,
    tube_pressure,
)
from roomgen.errors import RoomgenError

FAR_M = 1000.0
SPEED = 343.0


def ideal(directivity="cardioid", share=0.5, **changes):
    """A microphone with an exact pattern that does not drift, small, with a flat transducer."""
    design = MicrophoneDesign(
        name="ideal",
        directivity=directivity,
        transducer="condenser",
        diaphragm_size="small",
        diaphragm_count="single",
        address="end",
        pressure_share=share,
        pressure_share_low=share,
        pressure_share_high=share,
        drift_hz=100.0,
        diaphragm_radius_m=0.003,
        body_radius_m=0.003,
        path_m=0.003,
        bass_hz=1e-3,
        bass_order=1,
        treble_hz=1e6,
        treble_order=1,
    )
    return replace(design, **changes)


def db(design, hz, *, angle_deg=0.0, distance_m=FAR_M):
    return 20 * np.log10(magnitude(design, angle_deg=angle_deg, distance_m=distance_m, frequencies_hz=np.atleast_1d(float(hz)))[0])


def spectrum_db(response, hz, fs_hz=32000):
    return 20 * np.log10(np.abs(np.sum(response * np.exp(-2j * np.pi * hz * np.arange(len(response)) / fs_hz))))


@pytest.mark.parametrize(
    ("directivity", "share", "null_deg"),
    [("cardioid", 0.5, 180.0), ("supercardioid", 0.366, 125.26), ("bidirectional", 0.0, 90.0), ("bidirectional", 0.0, 270.0)],
)
def test_each_pattern_has_its_null_where_it_belongs(directivity, share, null_deg):
    design = ideal(directivity, share)
    for hz in (300.0, 1000.0):
        assert db(design, hz, angle_deg=null_deg) < -35
    exact = np.rad2deg(np.arccos(-share / (1 - share)))
    assert min(null_deg, 360 - null_deg) == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(
    ("directivity", "share"), [("omni", 1.0), ("cardioid", 0.5), ("supercardioid", 0.366), ("bidirectional", 0.0)]
)
def test_a_small_microphone_far_away_follows_p_plus_q_cos(directivity, share):
    for angle_deg in (0.0, 30.0, 60.0, 150.0):
        expected = abs(share + (1 - share) * np.cos(np.deg2rad(angle_deg)))
        assert 10 ** (db(ideal(directivity, share), 500.0, angle_deg=angle_deg) / 20) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.366, 0.5, 1.0])
@pytest.mark.parametrize("distance_m", [0.1, 0.5, 1.25])
def test_proximity_raises_the_gradient_part_alone(share, distance_m):
    design = ideal("bidirectional" if share == 0 else "cardioid", share)
    for hz in (80.0, 200.0, 1000.0):
        kr = 2 * np.pi * hz / SPEED * distance_m
        expected = abs(share + (1 - share) * (1 + 1 / (1j * kr)))
        assert db(design, hz, distance_m=distance_m) == pytest.approx(20 * np.log10(expected), abs=0.01)


def test_the_back_of_a_figure_eight_turns_the_sign_and_that_of_an_omni_does_not():
    eight = ideal("bidirectional", 0.0)
    front, back = (impulse_response(eight, angle_deg=angle, distance_m=5.0) for angle in (0.0, 180.0))
    np.testing.assert_allclose(front, -back, atol=1e-6)
    omni = ideal("omni", 1.0)
    assert impulse_response(omni, angle_deg=180.0, distance_m=5.0)[0] > 0


def test_the_response_has_the_magnitudes_that_are_asked_for():
    design = draw_design(3, np.random.default_rng(0))
    for angle_deg, distance_m in ((0.0, 0.5), (60.0, 1.25), (90.0, 5.0)):
        response = impulse_response(design, angle_deg=angle_deg, distance_m=distance_m)
        assert response.shape == (1024,)
        assert response.dtype == np.float32
        for hz in (250.0, 1000.0, 4000.0, 12000.0):
            assert spectrum_db(response, hz) == pytest.approx(db(design, hz, angle_deg=angle_deg, distance_m=distance_m), abs=0.15)


def test_minimum_phase_gives_back_a_filter_that_is_minimum_phase():
    zeros = [0.9 * np.exp(1j * 0.4), 0.9 * np.exp(-1j * 0.4), -0.7, 0.5]
    b = np.real(np.poly(zeros))
    a = np.real(np.poly([0.8 * np.exp(1j * 1.1), 0.8 * np.exp(-1j * 1.1)]))
    _, h = signal.freqz(b, a, worN=2049, include_nyquist=True)
    expected = signal.lfilter(b, a, np.eye(1, 200)[0])
    np.testing.assert_allclose(minimum_phase(np.abs(h))[:200], expected, atol=1e-9)


@pytest.mark.parametrize("number", [0, 2, 3, 6, 8])
def test_a_drawn_response_has_no_zeros_outside_the_unit_circle(number):
    response = impulse_response(draw_design(number, np.random.default_rng(number)), angle_deg=20.0, distance_m=1.25)
    # Each zero outside turns the phase by π on the way to half the sampling rate (argument principle). Begun at 400 Hz, since
    # the cut at 1024 samples moves those at 0 Hz.
    for delay in (0, 3):
        delayed = np.concatenate([np.zeros(delay), response.astype(float)])
        phase = np.unwrap(np.angle(np.fft.rfft(delayed, 1 << 17)[1638:]))
        assert abs(phase[0]) < np.pi / 2
        assert round(float(phase[-1]) / np.pi) == -delay
    assert np.argmax(np.abs(response)) <= 2


def test_ribbons_lose_treble_and_moving_coils_bass():
    drawn = [draw_design(number, np.random.default_rng(number)) for number in range(50)]
    by_kind = {kind: [d for d in drawn if d.transducer == kind] for kind in TRANSDUCERS}
    assert all(len(designs) >= 4 for designs in by_kind.values())
    treble = {kind: np.mean([db(d, 14000.0) for d in designs]) for kind, designs in by_kind.items()}
    bass = {kind: np.mean([db(d, 60.0) for d in designs]) for kind, designs in by_kind.items()}
    presence = {kind: np.mean([db(d, 5000.0) for d in designs]) for kind, designs in by_kind.items()}
    assert treble["ribbon"] < -4
    assert treble["ribbon"] < treble["condenser"] - 5
    assert bass["moving_coil"] < bass["condenser"] - 4
    assert presence["moving_coil"] > presence["condenser"] + 3
    assert {d.directivity for d in by_kind["ribbon"]} == {"bidirectional", "supercardioid"}


def test_every_microphone_is_one_on_its_axis_at_one_kilohertz():
    for number in range(25):
        design = replace(draw_design(number, np.random.default_rng(number)), axis_deg=0.0)
        assert db(design, 1000.0) == pytest.approx(0.0, abs=0.01)


def test_a_larger_diaphragm_narrows_at_high_frequencies_as_a_piston_does():
    design = ideal("bidirectional", 0.0, diaphragm_radius_m=0.012, path_m=1e-4)
    x = 2 * np.pi * 8000 / SPEED * 0.012 * np.sin(np.deg2rad(50))
    expected = np.cos(np.deg2rad(50)) * np.hypot(2 * special.j1(x) / x, 0.1) / np.hypot(1, 0.1)
    assert db(design, 8000.0, angle_deg=50.0) == pytest.approx(20 * np.log10(expected), abs=0.01)
    assert db(design, 8000.0, angle_deg=50.0) < db(ideal("bidirectional", 0.0), 8000.0, angle_deg=50.0) - 1


# Free-field corrections of a half-inch capsule with its grid at 0, 30, … 180° in dB (GRAS Sound & Vibration, Free-field and
# Random Incidence Corrections, type 40AE): its response in a direction is that less the correction on the axis.
HALF_INCH_DB = {
    1000.0: (0.09, 0.07, -0.02, -0.10, -0.10, -0.10, -0.10),
    2000.0: (0.32, 0.26, 0.15, -0.14, -0.17, -0.17, -0.12),
    4000.0: (1.06, 0.82, 0.48, -0.04, -0.30, -0.17, 0.08),
    8000.0: (3.38, 2.82, 1.80, 0.49, -0.53, -0.39, 0.39),
    16000.0: (7.90, 6.78, 3.98, 0.61, -2.32, -2.07, -0.79),
}


@pytest.mark.parametrize(("hz", "within_db"), [(1000.0, 0.2), (2000.0, 0.2), (4000.0, 0.2), (8000.0, 1.0), (16000.0, 2.0)])
def test_a_half_inch_omni_is_as_directional_as_published(hz, within_db):
    capsule = ideal("omni", 1.0, diaphragm_radius_m=0.00445, body_radius_m=0.00635)
    on_axis, *_ = HALF_INCH_DB[hz]
    for angle_deg, published in zip(range(0, 181, 30), HALF_INCH_DB[hz], strict=True):
        assert db(capsule, hz, angle_deg=angle_deg) == pytest.approx(published - on_axis, abs=within_db)


def test_a_tube_dams_up_what_comes_from_the_front_as_measured():
    for hz, (on_axis, *_, behind) in HALF_INCH_DB.items():
        ka = np.array([2 * np.pi * hz / SPEED * 0.00635])
        assert 20 * np.log10(tube_pressure(ka, 1.0)[0]) == pytest.approx(on_axis, abs=0.5)
        assert 20 * np.log10(tube_pressure(ka, -1.0)[0]) == pytest.approx(behind, abs=1.0)
    assert tube_pressure(np.array([np.pi]), 1.0)[0] == pytest.approx(3.0, abs=0.01)  # rim and front in phase: 9.5 dB
    np.testing.assert_allclose(tube_pressure(np.full(1, 1e-4), 0.3), 1.0, atol=1e-3)


def test_open_omnis_lose_a_decibel_at_their_side():
    open_omnis = [n for n, kind in enumerate(CONSTRUCTIONS) if kind.directivity == "omni" and kind.address == "end"]
    designs = [replace(draw_design(n, np.random.default_rng([n, i])), axis_deg=0.0) for n in open_omnis for i in range(12)]
    condensers = [db(d, 4000.0, angle_deg=90.0) - db(d, 4000.0) for d in designs if d.transducer == "condenser"]
    assert -1.8 < np.median(condensers) < -0.7
    assert min(condensers) > -3.0
    assert (
        -3.0 < np.median([db(d, 4000.0, angle_deg=90.0) - db(d, 4000.0) for d in designs if d.transducer == "moving_coil"]) < -1.0
    )


def test_the_body_shades_as_a_sphere_does():
    for cosine in (1.0, 0.2, -0.5, -1.0):
        pressure = sphere_pressure(8, cosine)
        for step in (1, 8, 83, 175, 200):
            assert pressure[step] == pytest.approx(_sphere_by_series(step * 0.04, cosine), abs=1e-4)
        assert pressure[0] == pytest.approx(1.0, abs=1e-3)
    assert sphere_pressure(60, 1.0)[-1] == pytest.approx(2.0, abs=0.01)  # a wall's doubling, high up
    cardioid = ideal(body_radius_m=0.02, path_m=1e-4)
    assert db(cardioid, 10000.0, angle_deg=90.0) < db(ideal(path_m=1e-4), 10000.0, angle_deg=90.0) - 1.5


def _sphere_by_series(ka, cosine):
    """Incident plane wave and scattered wave on a rigid sphere, summed apart (Morse and Ingard 1968, ch. 8)."""
    total, cosine = 0.0, -cosine  # the series counts from where the wave goes to
    for n in range(25):
        j, dj = special.spherical_jn(n, ka), special.spherical_jn(n, ka, derivative=True)
        y, dy = special.spherical_yn(n, ka), special.spherical_yn(n, ka, derivative=True)
        scattered = -dj / (dj + 1j * dy) * (j + 1j * y)
        total += (2 * n + 1) * 1j**n * special.eval_legendre(n, cosine) * (j + scattered)
    return abs(total)


def test_drawing_is_repeatable_and_various():
    first, again = ([draw_design(n, np.random.default_rng([7, n])) for n in range(25)] for _ in range(2))
    assert first == again
    assert {(d.directivity, d.transducer, d.diaphragm_size, d.diaphragm_count, d.address) for d in first} == set(CONSTRUCTIONS)
    assert {d.directivity for d in first} == set(DIRECTIVITIES)
    assert draw_design(0, np.random.default_rng(1)) != first[0]


def test_conditioning_is_three_choices_three_properties_and_a_position():
    values = conditioning(
        directivity="supercardioid",
        transducer="ribbon",
        diaphragm_size="large",
        diaphragm_count="single",
        address="side",
        angle_deg=90.0,
        distance_m=1.25,
    )
    assert values == pytest.approx((0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0.0, 1.25))
    unknown = {"directivity": "", "transducer": "ribbon", "diaphragm_size": "large", "diaphragm_count": "single", "address": "end"}
    assert conditioning(**unknown, angle_deg=0.0, distance_m=1.0) == ()


def test_a_distance_of_zero_is_refused():
    with pytest.raises(RoomgenError, match="distance_m 0 must be above 0"):
        impulse_response(ideal(), angle_deg=0.0, distance_m=0.0)

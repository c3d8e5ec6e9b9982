"""How each of the embedded acoustic scenes is made: layers of background and events, tuned to a place, drawn anew per recording.

A place (:class:`Place`) has what stays the same there: the colour of its noise, its reverberation, its machines, how busy it is.
A recording at the place has what does not: who passes, when, how near.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from roomgen.corpora import procedural as p
from roomgen.corpora.procedural import Audio, Rng

CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")
_FORMANTS_HZ = ((730, 1090), (270, 2290), (530, 1840), (570, 840), (300, 870), (440, 1020))


@dataclass(frozen=True)
class Place:
    """What all recordings of a place share."""

    tilt_db: float
    """Change of the background's slope, dB per octave."""
    rt60_s: float
    busy: float
    """How much happens, about 1."""
    machine_hz: float
    """Pitch of what runs there: ventilation, motor."""
    bright: float
    """Factor on the upper limits of the background."""


def place_of(rng: Rng) -> Place:
    """Return a place that was never there."""
    return Place(
        tilt_db=rng.normal(0, 0.7),
        rt60_s=p.log_uniform(rng, 0.7, 1.5),
        busy=p.log_uniform(rng, 0.5, 2.0),
        machine_hz=p.log_uniform(rng, 0.8, 1.25),
        bright=p.log_uniform(rng, 0.7, 1.4),
    )


def _bed(rng: Rng, n: int, place: Place, slope_db: float, high_hz: float, *, low_hz: float = 60.0, swing: float = 0.1) -> Audio:
    colour = p.tilted(slope_db + place.tilt_db, low_hz=low_hz, high_hz=high_hz * place.bright)
    return np.asarray(p.noise(rng, n, colour) * np.exp(np.float32(swing) * p.wander(rng, n, 0.5)), dtype=np.float32)


def _often(rng: Rng, n: int, rate_hz: float) -> list[float]:
    """Return random instants in seconds, some of them before the start."""
    d = n / p.FS_HZ
    return [float(at) for at in rng.uniform(-0.1 * d, d, int(rng.poisson(rate_hz * 1.1 * d)))]


def _voices(rng: Rng, n: int, rate_hz: float) -> Audio:
    """Syllables of many speakers: voiced tones with two formants, a few a second."""
    out = np.zeros(n, dtype=np.float32)
    for at in _often(rng, n, rate_hz):
        pitch, near = p.log_uniform(rng, 95, 260), 10 ** (rng.normal(0, 6) / 20)
        for _ in range(int(rng.integers(2, 9))):
            m = p.seconds(rng.uniform(0.09, 0.26))
            f0 = np.linspace(pitch, pitch * rng.uniform(0.8, 1.15), m, dtype=np.float32)
            first, second = _FORMANTS_HZ[rng.integers(len(_FORMANTS_HZ))]
            k = pitch * np.arange(1, 30)
            level = np.exp(-(((k - first) / 110) ** 2)) + 0.4 * np.exp(-(((k - second) / 170) ** 2)) + 0.02 * 200 / k
            p.add(out, p.faded(p.wavetable(f0, level.tolist()), rise_s=0.03, fall_s=0.05), at, near)
            if rng.random() < 0.35:
                p.add(out, p.noise(rng, 3000, p.band(3500, 9000)) * p.decay(3000, 0.02, attack_s=0.02), at - 0.06, 0.35 * near)
            at += m / p.FS_HZ * rng.uniform(0.8, 1.3)
    return out


def _steps(rng: Rng, n: int, rate_hz: float) -> Audio:
    """People who walk by: each swells and fades."""
    out, d = np.zeros(n, dtype=np.float32), n / p.FS_HZ
    for middle in _often(rng, n, rate_hz):
        m, pace, near = p.seconds(0.15), rng.uniform(1.6, 2.2), 10 ** (rng.normal(0, 5) / 20)
        step = p.struck(rng, 0.15, p.log_uniform(rng, 120, 300) * np.array([1, 2.1, 5.3]), decay_s=0.015)
        step = p.unit(step) + p.noise(rng, m, p.band(900, 4000)) * p.decay(m, 0.007)
        for at in np.arange(middle - 3, middle + 3, 1 / pace):
            p.add(out, step, float(min(max(at, -1), d)), near * float(np.exp(-(((at - middle) / 1.4) ** 2))))
    return out


def _passing(rng: Rng, n: int, rate_hz: float, *, high_hz: float = 3000.0) -> Audio:
    """Vehicles that come and go: tyre noise and an engine that falls in pitch as it passes."""
    out = np.zeros(n, dtype=np.float32)
    t = p.times(n)
    tyres = p.noise(rng, n, p.band(150, rng.uniform(0.6, 1.5) * high_hz, order=1))
    for middle in _often(rng, n, rate_hz):
        width, near = rng.uniform(0.8, 2.5), 10 ** (rng.normal(0, 4) / 20)
        course = (t - np.float32(middle)) * np.float32(1 / width)
        swell = (near / (1 + course * course)).astype(np.float32)
        f0 = p.log_uniform(rng, 35, 95) * (1 - 0.06 * course / np.sqrt(1 + course * course))
        level = (np.arange(1, 30.0) ** -1.0 * 10 ** (rng.normal(0, 4, 29) / 20)).tolist()
        out += swell * (tyres + np.float32(rng.uniform(0.3, 0.9)) * p.wavetable(f0.astype(np.float32), level))
    return out


def _motor(rng: Rng, n: int, f0_hz: float, *, falls_db: float, swing: float, partials: int = 40) -> Audio:
    f0 = f0_hz * np.exp(swing * p.wander(rng, n, 0.25))
    k = np.arange(1, partials + 1)
    level = k ** (-falls_db / 6.0206) * 10 ** (rng.normal(0, 4, partials) / 20)
    return p.wavetable(f0.astype(np.float32), level.tolist(), phase=rng.uniform(0, 6.28, partials).tolist())


def _rails(rng: Rng, n: int, joint_hz: float) -> Audio:
    """Wheels over rail joints, two by two."""
    out, d = np.zeros(n, dtype=np.float32), n / p.FS_HZ
    m = p.seconds(0.2)
    knock = p.unit(p.struck(rng, 0.2, [70, 135, 240, 610, 1150], decay_s=0.04)) + p.noise(rng, m, p.band(200, 1800)) * p.decay(
        m, 0.02
    )
    at = rng.uniform(0, 1 / joint_hz)
    while at < d:
        p.add(out, knock, at, rng.uniform(0.6, 1.0))
        p.add(out, knock, at + 0.19 / joint_hz, rng.uniform(0.5, 0.9))
        at += rng.uniform(0.93, 1.07) / joint_hz
    return out


def _screech(rng: Rng, n: int, rate_hz: float, *, low_hz: float, high_hz: float) -> Audio:
    out = np.zeros(n, dtype=np.float32)
    for at in _often(rng, n, rate_hz):
        m = p.seconds(rng.uniform(0.4, 2.0))
        f = p.log_uniform(rng, low_hz, high_hz) * np.exp(0.04 * p.wander(rng, m, 4))
        tone = p.wavetable(f.astype(np.float32), [1.0, 0.4, 0.25])
        p.add(
            out, p.faded(tone * np.clip(1 + 0.5 * p.wander(rng, m, 12), 0, None), rise_s=0.2, fall_s=0.3), at, rng.uniform(0.3, 1.0)
        )
    return out


def _birds(rng: Rng, n: int, rate_hz: float) -> Audio:
    out = np.zeros(n, dtype=np.float32)
    kinds = [(p.log_uniform(rng, 2200, 6500), rng.uniform(0.05, 0.18), rng.normal(0, 0.25)) for _ in range(3)]
    for at in _often(rng, n, rate_hz):
        f0, long, glide = kinds[rng.integers(3)]
        near = 10 ** (rng.normal(0, 6) / 20)
        for _ in range(int(rng.integers(1, 8))):
            m = p.seconds(long)
            f = f0 * np.exp(glide * np.linspace(0, 1, m) + 0.05 * np.sin(np.linspace(0, rng.uniform(3, 30), m)))
            p.add(out, p.faded(p.wavetable(f.astype(np.float32), [1.0, 0.08]), rise_s=0.02, fall_s=0.03), at, near)
            at += 1.5 * long
    return out


def _chime(rng: Rng, n: int, rate_hz: float) -> Audio:
    """Loudspeaker announcements: a chord of bells, then a voice in a narrow band."""
    out = np.zeros(n, dtype=np.float32)
    root = p.log_uniform(rng, 440, 620)
    for at in _often(rng, n, rate_hz):
        for i, note in enumerate((0, 4, 7)):
            f = root * 2 ** (note / 12)
            p.add(out, p.modes(p.seconds(1.5), [f, 2 * f], [1.0, 0.3], [0.4, 0.2], [0.0, 0.0]), at + 0.3 * i)
        speech = p.convolved(_voices(rng, p.seconds(3.0), 1.5), p.noise(rng, 200, p.band(500, 2800)) * p.decay(200, 0.0006))
        p.add(out, p.unit(speech) * np.float32(0.4), at + 1.6)
    return out


def _music(rng: Rng, n: int) -> Audio:
    out, d = np.zeros(n, dtype=np.float32), n / p.FS_HZ
    beat, root = rng.uniform(0.42, 0.65), p.log_uniform(rng, 196, 330)
    for i, at in enumerate(np.arange(0, d, beat)):
        base = root * 2 ** (((0, 9, 5, 7)[(i // 4) % 4] - 12 * (i % 2)) / 12)
        for note in (0, 4, 7) if i % 2 else (0,):
            k = np.arange(1, 6)
            f = (base * 2 ** (note / 12) * k).tolist()
            p.add(out, p.faded(p.modes(p.seconds(1.0), f, (1.0 / k).tolist(), [0.25] * 5, [0.0] * 5)), float(at))
    return out


def _rattle(rng: Rng, n: int, rate_hz: float, *, low_hz: float = 1500.0, high_hz: float = 6000.0) -> Audio:
    grain = p.noise(rng, 900, p.band(low_hz, high_hz)) * p.decay(900, 0.004)
    return p.grains(rng, n, rate_hz=rate_hz, grain=grain, spread_db=7)


_Layers = list[tuple[float, Audio]]
"""Layers and their levels in dB of RMS, 0 dB that of the background; what has no reverberation comes first."""


def _airport(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    wheels = _rattle(rng, n, 25 * q.busy, low_hz=400, high_hz=2500) * np.exp(p.wander(rng, n, 0.4))
    dry = [(0.0, _bed(rng, n, q, -4.5, 2500)), (-14.0, _motor(rng, n, 118 * q.machine_hz, falls_db=9, swing=0.002))]
    return dry, [
        (-4.0, _voices(rng, n, 1.0 * q.busy)),
        (-7.0, _chime(rng, n, 0.08)),
        (-13.0, wheels),
        (-11.0, _steps(rng, n, 0.25 * q.busy)),
    ]


def _bus(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [
        (0.0, _bed(rng, n, q, -7.0, 1600, low_hz=35, swing=0.25)),
        (1.0, _motor(rng, n, 27 * q.machine_hz, falls_db=7, swing=0.16)),
        (-13.0, _rattle(rng, n, 12 * q.busy)),
    ]
    return dry, [(-11.0, _voices(rng, n, 0.35 * q.busy))]


def _metro(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [
        (0.0, _bed(rng, n, q, -5.0, 2600, low_hz=70, swing=0.3)),
        (-7.0, _motor(rng, n, 260 * q.machine_hz, falls_db=6, swing=0.2, partials=15)),
        (-5.0, _rails(rng, n, 1.6 * q.machine_hz)),
        (-13.0, _screech(rng, n, 0.10, low_hz=1800, high_hz=4500)),
    ]
    return dry, [(-15.0, _voices(rng, n, 0.3 * q.busy))]


def _metro_station(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [
        (0.0, _bed(rng, n, q, -5.5, 1800, low_hz=45, swing=0.2)),
        (-9.0, _motor(rng, n, 62 * q.machine_hz, falls_db=6, swing=0.003)),
    ]
    train = _bed(rng, n, q, -5, 2200) * np.exp(1.1 * p.wander(rng, n, 0.15))
    return dry, [
        (-3.0, train),
        (-9.0, _steps(rng, n, 0.5 * q.busy)),
        (-8.0, _voices(rng, n, 0.5 * q.busy)),
        (-10.0, _chime(rng, n, 0.06)),
    ]


def _park(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    leaves = p.noise(rng, n, p.band(1500, 7000 * q.bright, order=1)) * np.exp(0.6 * p.wander(rng, n, 0.6))
    dry = [(0.0, _bed(rng, n, q, -5.5, 4000, swing=0.3)), (-9.0, leaves), (-7.0, _birds(rng, n, 0.7 * q.busy))]
    return dry, [(-17.0, _voices(rng, n, 0.25 * q.busy)), (-18.0, _steps(rng, n, 0.1 * q.busy))]


def _public_square(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    fountain = p.noise(rng, n, p.band(700, 9000 * q.bright, order=1))
    dry = [(0.0, _bed(rng, n, q, -4.0, 5000)), (-6.0, _passing(rng, n, 0.07)), (-7.0 - 6 * abs(q.tilt_db), fountain)]
    return dry, [(-4.0, _voices(rng, n, 1.1 * q.busy)), (-11.0, _steps(rng, n, 0.3 * q.busy)), (-16.0, _birds(rng, n, 0.2))]


def _shopping_mall(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [(0.0, _bed(rng, n, q, -3.5, 3500)), (-16.0, _motor(rng, n, 100 * q.machine_hz, falls_db=8, swing=0.001))]
    clink = _rattle(rng, n, 3 * q.busy, low_hz=3000, high_hz=9000)
    return dry, [
        (-5.0, _music(rng, n)),
        (-1.0, _voices(rng, n, 1.8 * q.busy)),
        (-10.0, _steps(rng, n, 0.5 * q.busy)),
        (-19.0, clink),
    ]


def _street_pedestrian(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [(0.0, _bed(rng, n, q, -4.5, 4500)), (-13.0, _passing(rng, n, 0.04))]
    return dry, [(-3.0, _steps(rng, n, 0.7 * q.busy)), (-4.0, _voices(rng, n, 0.8 * q.busy)), (-18.0, _rattle(rng, n, 4.0))]


def _street_traffic(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [
        (0.0, _bed(rng, n, q, -5.0, 3200, low_hz=40)),
        (5.0, _passing(rng, n, 0.3 * q.busy, high_hz=4000)),
        (-6.0, _motor(rng, n, 24 * q.machine_hz, falls_db=6, swing=0.1)),
    ]
    return dry, [(-18.0, _steps(rng, n, 0.2)), (-20.0, _voices(rng, n, 0.2))]


def _tram(rng: Rng, n: int, q: Place) -> tuple[_Layers, _Layers]:
    dry = [
        (0.0, _bed(rng, n, q, -6.0, 2000, low_hz=50, swing=0.25)),
        (-4.0, _motor(rng, n, 420 * q.machine_hz, falls_db=9, swing=0.15, partials=10)),
        (-8.0, _rails(rng, n, 0.9 * q.machine_hz)),
        (-8.0, _screech(rng, n, 0.15, low_hz=900, high_hz=2400)),
        (-15.0, _rattle(rng, n, 8 * q.busy)),
    ]
    return dry, [(-10.0, _voices(rng, n, 0.5 * q.busy))]


_SCENES: dict[str, tuple[Callable[[Rng, int, Place], tuple[_Layers, _Layers]], float]] = {
    "airport": (_airport, 1.4),
    "bus": (_bus, 0.25),
    "metro": (_metro, 0.3),
    "metro_station": (_metro_station, 1.5),
    "park": (_park, 0.15),
    "public_square": (_public_square, 0.5),
    "shopping_mall": (_shopping_mall, 1.3),
    "street_pedestrian": (_street_pedestrian, 0.6),
    "street_traffic": (_street_traffic, 0.4),
    "tram": (_tram, 0.25),
}
"""How a scene is made, and its usual reverberation time in seconds."""

SCENES = tuple(_SCENES)
"""The classes of TAU Urban Acoustic Scenes (Heittola et al., 2020) by their names there."""


def scene(rng: Rng, n: int, name: str, place: Place) -> Audio:
    """Return (n,) of a recording of a scene at a place."""
    make, rt60_s = _SCENES[name]
    dry, wet = make(rng, n, place)
    out = _mixed(rng, dry, n)
    return out + p.convolved(_mixed(rng, wet, n), p.room_of(rng, rt60_s * place.rt60_s))


def _mixed(rng: Rng, layers: _Layers, n: int) -> Audio:
    out = np.zeros(n, dtype=np.float32)
    for level_db, layer in layers:
        out += np.float32(10 ** ((level_db + rng.normal(0, 2)) / 20)) * p.unit(layer)
    return out

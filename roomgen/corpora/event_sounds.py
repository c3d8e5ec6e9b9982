"""How each of the embedded sound events is made: a function per class, of a generator and a length in samples.

Every function draws what distinguishes one recording of its class from the next (pitch, tempo, decay, material, number of hits)
before it draws noise. None is a model of its source; each has its source's spectrum and its course in time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from roomgen.corpora import procedural as p
from roomgen.corpora.procedural import Audio, Rng


class EventClass(NamedTuple):
    """How a class is made, and the shortest and longest of its recordings in seconds."""

    make: Callable[[Rng, int], Audio]
    shortest_s: float
    longest_s: float


def _blank(n: int) -> Audio:
    return np.zeros(n, dtype=np.float32)


def _beats(rng: Rng, duration_s: float, period_s: float, *, jitter: float = 0.06) -> list[float]:
    """Return the instants of a beat that is not quite regular, from shortly after the start on."""
    at = rng.uniform(0.0, 0.4 * period_s)
    instants: list[float] = []
    while at < duration_s - 0.02 or not instants:
        instants.append(min(at, max(duration_s - 0.05, 0.0)))
        at += period_s * max(1 + jitter * rng.standard_normal(), 0.3)
    return instants


def _guitar(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    root, pluck, bright = p.log_uniform(rng, 98, 220), rng.uniform(0.1, 0.4), rng.uniform(5, 9)
    scale = np.array([0, 2, 3, 5, 7, 8, 10, 12, 15]) if rng.random() < 0.5 else np.array([0, 2, 4, 5, 7, 9, 11, 12, 16])
    strum = rng.random() < 0.4
    for at in _beats(rng, d, p.log_uniform(rng, 0.5, 1.3) if strum else p.log_uniform(rng, 0.2, 0.6), jitter=0.04):
        notes = rng.choice(scale, 4 if strum else 1, replace=False)
        for i, note in enumerate(np.sort(notes)):
            f0 = root * 2 ** (note / 12)
            tone = p.string(rng, d - at, f0, decay_s=rng.uniform(0.35, 0.9), pluck=pluck, bright=bright, stiff=5e-5, partials=14)
            p.add(out, tone, at + 0.018 * i, rng.uniform(0.6, 1.0))
        p.add(out, p.noise(rng, 900, p.band(1500, 5000)) * p.decay(900, 0.004), at, 0.1)
    return p.convolved(out, p.room_of(rng, 0.12, bright_hz=1200))


def _bass(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    root, bright, pluck = p.log_uniform(rng, 38, 65), rng.uniform(7, 13), rng.uniform(0.12, 0.3)
    for at in _beats(rng, d, p.log_uniform(rng, 0.22, 0.9), jitter=0.03):
        f0 = root * 2 ** (rng.choice([0, 0, 3, 5, 7, 10, 12]) / 12)
        tone = p.string(
            rng, min(d - at, 2.5), f0, decay_s=rng.uniform(0.5, 1.4), pluck=pluck, bright=bright, stiff=2e-4, partials=16
        )
        p.add(out, p.faded(tone, rise_s=0.006), at, rng.uniform(0.6, 1.0))
    return out


def _clapping(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    people = int(rng.choice([1, 1, 2, 4, 12]))
    for _ in range(people):
        centre, tau, near = p.log_uniform(rng, 800, 2200), rng.uniform(0.004, 0.014), rng.uniform(0.4, 1.0)
        clap = p.noise(rng, 4000, p.band(0.7 * centre, 1.8 * centre, order=3)) * p.decay(4000, tau, attack_s=0.0008)
        for at in _beats(rng, d, 1 / rng.uniform(2.2, 5.0), jitter=0.07):
            p.add(out, clap * np.float32(rng.uniform(0.7, 1.0)), at, near)
    return p.convolved(out, p.room_of(rng, rng.uniform(0.15, 0.8)))


def _coin(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    f = p.log_uniform(rng, 3200, 6500) * np.array([1, 1.52, 2.11, 2.74, 3.3]) * rng.uniform(0.97, 1.03, 5)
    tau, gap, bounce = p.log_uniform(rng, 0.02, 0.12), rng.uniform(0.14, 0.4), rng.uniform(0.62, 0.86)
    at, level = rng.uniform(0.0, 0.1), 1.0
    while at < d and gap > 0.006:
        p.add(out, p.struck(rng, 0.4, f, decay_s=tau, damping=0.6, spread_db=5), at, level)
        p.add(out, p.noise(rng, 300, p.band(1500, 9000)) * p.decay(300, 0.0012), at, 0.8 * level)
        at, gap, level = at + gap, gap * bounce, level * bounce
    if rng.random() < 0.5 and at < d:  # the coin turns on its edge, ever faster
        m = min(p.seconds(rng.uniform(0.3, 1.2)), n - round(at * p.FS_HZ))
        rate = np.linspace(rng.uniform(14, 25), rng.uniform(40, 70), max(m, 1))
        spin = p.modes(m, f[:3].tolist(), [1.0, 0.7, 0.4], [9.0] * 3, [0.0] * 3)
        turn = 0.5 + 0.5 * np.sin(2 * np.pi * np.cumsum(rate) / p.FS_HZ)[:m]
        p.add(out, p.faded((spin * turn.astype(np.float32) ** 6), fall_s=0.05), at, 0.4)
    return out


def _crash(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    tau, low = rng.uniform(0.4, 1.6), p.log_uniform(rng, 350, 1400)
    for at in _beats(rng, d, rng.uniform(1.2, 4.0)):
        m = max(n - round(at * p.FS_HZ), 1)
        wash = p.noise(rng, m, p.band(low * 3, 15_000)) * p.decay(m, 0.8 * tau, attack_s=0.004)
        body = p.struck(rng, m / p.FS_HZ, low * np.sort(rng.uniform(1, 9, 22)), decay_s=1.5 * tau, damping=0.3)
        p.add(out, wash + 0.5 * p.unit(body) * p.decay(m, 3 * tau, attack_s=0.01), at, rng.uniform(0.6, 1.0))
    return out


def _dishes(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    bodies = []
    for _ in range(int(rng.integers(2, 5))):
        base = p.log_uniform(rng, 500, 2400)
        bodies.append((base * np.sort(rng.uniform(1, 5.5, 6)), p.log_uniform(rng, 0.03, 0.25)))
    for at in np.sort(rng.uniform(0, max(d - 0.1, 0.01), max(int(rng.poisson(d * rng.uniform(2, 7))), 1))):
        f, tau = bodies[rng.integers(len(bodies))]
        level = 10 ** (rng.normal(0, 6) / 20)
        p.add(out, p.struck(rng, 0.9, f * rng.uniform(0.995, 1.005), decay_s=tau, damping=0.7, spread_db=5), float(at), level)
        p.add(out, p.noise(rng, 800, p.band(900, 5000)) * p.decay(800, 0.003), float(at), 1.4 * level)
    return p.convolved(out, p.room_of(rng, 0.3))


def _engine(rng: Rng, n: int) -> Audio:
    f0 = p.log_uniform(rng, 14, 55) * (1 + rng.uniform(0.01, 0.2) * p.wander(rng, n, rng.uniform(0.3, 1.0)))
    f0 = np.maximum(f0, 8).astype(np.float32)
    k = np.arange(1, 120)
    formant = 1 + 4 * np.exp(-(((k * float(f0.mean()) - rng.uniform(90, 320)) / 90) ** 2))
    level = formant * k ** -rng.uniform(0.7, 1.3) * 10 ** (rng.normal(0, 4, len(k)) / 20)
    tone = p.wavetable(f0, level.tolist(), phase=rng.uniform(0, 2 * np.pi, len(k)).tolist())
    puff = np.clip(1 + p.wavetable(f0, [1.0, 0.5]), 0, None)
    hiss = p.noise(rng, n, p.band(150, rng.uniform(900, 3500), order=1)) * puff
    return np.asarray(tone + rng.uniform(0.15, 0.5) * hiss, dtype=np.float32)


def _fart(rng: Rng, n: int) -> Audio:
    start, fall = p.log_uniform(rng, 70, 190), rng.uniform(-0.6, 0.15)
    course = start * np.exp(fall * np.linspace(0, 1, n)) * (1 + 0.10 * p.wander(rng, n, 9) + 0.06 * p.wander(rng, n, 35))
    k = np.arange(1, 40)
    centre = p.log_uniform(rng, 220, 700)
    level = np.exp(-(((np.log2(k * start / centre)) / 1.1) ** 2)) + 0.05 / k
    tone = p.wavetable(np.maximum(course, 25).astype(np.float32), level.tolist())
    flutter = np.clip(0.7 + 0.5 * p.wander(rng, n, rng.uniform(8, 22)), 0.03, 1.6)
    wet = p.noise(rng, n, p.band(300, 2200)) * np.clip(tone, 0, None)
    return p.faded(np.asarray((tone + 0.35 * wet) * flutter, dtype=np.float32), rise_s=0.02, fall_s=0.12)


def _fire(rng: Rng, n: int) -> Audio:
    bed = p.noise(rng, n, p.tilted(-rng.uniform(4, 7), low_hz=60, high_hz=1800)) * np.clip(
        1 + 0.3 * p.wander(rng, n, 2.5), 0.2, None
    )
    out = rng.uniform(0.15, 0.45) * bed
    flare = np.clip(0.5 + 0.35 * p.wander(rng, n, 1.2), 0.05, 1)
    for middle, rate in ((1400, 9), (3200, 18), (6000, 12)):
        centre = middle * rng.uniform(0.7, 1.4)
        snap = p.noise(rng, 700, p.band(0.6 * centre, 1.7 * centre)) * p.decay(700, rng.uniform(0.0006, 0.003))
        out = out + p.grains(rng, n, rate_hz=rate * rng.uniform(0.5, 2.0), grain=snap, spread_db=9, density=flare)
    return np.asarray(out, dtype=np.float32)


def _fireworks(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    for _ in range(max(int(rng.poisson(d * 0.45)), 1)):
        at = float(rng.uniform(0.0, max(d - 0.7, 0.05)))
        if rng.random() < 0.6:
            m = p.seconds(rng.uniform(0.4, 1.2))
            f = np.linspace(rng.uniform(900, 1600), rng.uniform(1800, 3400), m) * (1 + 0.01 * p.wander(rng, m, 25))
            p.add(out, p.faded(p.wavetable(f.astype(np.float32), [1.0, 0.15]), rise_s=0.2, fall_s=0.1), at - m / p.FS_HZ, 0.25)
        m = p.seconds(2.0)
        tau = rng.uniform(0.12, 0.4)
        boom = p.noise(rng, m, p.tilted(-rng.uniform(5, 8), low_hz=50)) * p.decay(m, tau, attack_s=0.002)
        p.add(out, boom, at, 2.5 * rng.uniform(0.4, 1.0))
        if rng.random() < 0.7:
            snap = p.noise(rng, 500, p.band(1500, 8000)) * p.decay(500, 0.002)
            burst = p.grains(rng, m, rate_hz=rng.uniform(40, 160), grain=snap, spread_db=6, density=p.decay(m, 0.7, attack_s=0.25))
            p.add(out, burst, at + 0.1, rng.uniform(0.3, 0.8))
    return p.convolved(out, p.room_of(rng, 1.4, bright_hz=1200))


def _glass(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    at, tail = rng.uniform(0.0, 0.15), rng.uniform(0.15, 0.7)
    m = p.seconds(0.25)
    p.add(out, p.noise(rng, m, p.band(1800, 12_000)) * p.decay(m, rng.uniform(0.02, 0.07), attack_s=0.001), at, 2.0)
    for _ in range(int(rng.integers(18, 70))):
        when = at + float(rng.exponential(tail))
        f = p.log_uniform(rng, 2400, 9000) * np.array([1, 1.67, 2.35])
        if when < d:
            level = 10 ** (rng.normal(-2, 5) / 20) * np.exp(-(when - at) / (1.5 * tail))
            p.add(out, p.struck(rng, 0.4, f, decay_s=p.log_uniform(rng, 0.01, 0.07), spread_db=4), when, float(level))
    return out


def _hi_hat(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    low, closed, opened = rng.uniform(5500, 8500), rng.uniform(0.012, 0.04), rng.uniform(0.12, 0.35)
    metal = p.band(low, 17_000, order=4)
    accent, open_share = int(rng.integers(2, 5)), rng.choice([0.0, 0.15, 0.4])
    for i, at in enumerate(_beats(rng, d, p.log_uniform(rng, 0.11, 0.45), jitter=0.015)):
        tau = opened if rng.random() < open_share else closed
        m = p.seconds(6 * tau)
        p.add(out, p.noise(rng, m, metal) * p.decay(m, tau, attack_s=0.0005), at, 1.0 if i % accent == 0 else rng.uniform(0.4, 0.7))
    return out


def _piano(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    root, bright = p.log_uniform(rng, 130, 520), rng.uniform(6, 11)
    chords = ([0], [0, 4, 7], [0, 3, 7], [0, 7], [0, 12])
    for at in _beats(rng, d, p.log_uniform(rng, 0.25, 1.2), jitter=0.04):
        base = root * 2 ** (rng.choice([-12, -5, -3, 0, 2, 4, 5, 7, 9, 12]) / 12)
        for note in chords[rng.integers(len(chords))]:
            f0 = base * 2 ** (note / 12)
            tau = rng.uniform(0.5, 1.1) * (260 / f0) ** 0.4
            tone = p.string(rng, min(d - at, 3.0), f0, decay_s=tau, pluck=0.122, bright=bright, stiff=4e-4, partials=12)
            after = p.string(
                rng, min(d - at, 3.0), f0 * 1.0008, decay_s=2.5 * tau, pluck=0.122, bright=bright, stiff=4e-4, partials=5
            )
            p.add(out, p.faded(tone + 0.3 * after, rise_s=0.002, fall_s=0.05), at, rng.uniform(0.5, 1.0))
        p.add(out, p.noise(rng, 2500, p.band(120, 900)) * p.decay(2500, 0.012), at, 0.15)
    return p.convolved(out, p.room_of(rng, rng.uniform(0.3, 0.9), bright_hz=3000))


def _rain(rng: Rng, n: int) -> Audio:
    bed = p.noise(rng, n, p.band(rng.uniform(500, 1500), rng.uniform(5000, 11_000), order=1))
    out = bed * (1 + 0.06 * p.wander(rng, n, 0.8))
    f = p.log_uniform(rng, 1200, 4500)
    drop = p.modes(900, [f, 1.7 * f], [1.0, 0.5], [0.003, 0.002], [0.0, 1.0])
    drops = p.grains(rng, n, rate_hz=p.log_uniform(rng, 60, 600), grain=drop, spread_db=6)
    return np.asarray(out + rng.uniform(0.5, 1.4) * p.unit(drops), dtype=np.float32)


def _slam(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    at = rng.uniform(0.05, min(0.5, 0.35 * d))
    f = p.log_uniform(rng, 55, 130) * np.array([1, 1.6, 2.3, 3.4, 5.1, 7.7]) * rng.uniform(0.95, 1.05, 6)
    m = p.seconds(1.0)
    p.add(out, 3 * p.unit(p.struck(rng, 0.5, f, decay_s=rng.uniform(0.05, 0.16), spread_db=4)), at)
    p.add(
        out,
        p.noise(rng, m, p.tilted(-rng.uniform(3, 6), low_hz=80)) * p.decay(m, rng.uniform(0.015, 0.06), attack_s=0.001),
        at,
        4.0,
    )
    if rng.random() < 0.6:  # the latch
        p.add(out, p.struck(rng, 0.2, rng.uniform(900, 3500, 5), decay_s=0.02), at + rng.uniform(0.02, 0.09), 0.5)
    return p.convolved(out, p.room_of(rng, rng.uniform(0.3, 1.2), bright_hz=2000))


def _squeak(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    base, level = p.log_uniform(rng, 500, 2400), (np.arange(1, 9.0) ** -rng.uniform(0.6, 1.6)).tolist()
    for at in _beats(rng, d, rng.uniform(0.35, 1.4), jitter=0.2):
        m = p.seconds(rng.uniform(0.1, 0.6))
        glide = base * np.exp(np.linspace(0, rng.normal(0, 0.4), m) + 0.10 * p.wander(rng, m, 7) + 0.015 * p.wander(rng, m, 60))
        tone = p.wavetable(np.clip(glide, 200, 6000).astype(np.float32), level)
        rough = np.clip(1 + 0.5 * p.wander(rng, m, rng.uniform(30, 90)), 0.1, 2)
        p.add(out, p.faded(np.asarray(tone * rough, dtype=np.float32), rise_s=0.03, fall_s=0.05), at, rng.uniform(0.5, 1.0))
    return out


def _tearing(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    low, high = rng.uniform(900, 2200), rng.uniform(6000, 12_000)
    for at in _beats(rng, d, rng.uniform(0.6, 2.2), jitter=0.15):
        m = p.seconds(rng.uniform(0.25, 1.3))
        rate = np.linspace(rng.uniform(50, 110), rng.uniform(120, 320), m) * (1 + 0.2 * p.wander(rng, m, 12))
        tooth = (np.cumsum(rate) / p.FS_HZ) % 1
        rip = p.noise(rng, m, p.band(low, high, order=1.5)) * (np.exp(-6 * tooth) * np.linspace(0.5, 1.0, m)).astype(np.float32)
        p.add(
            out,
            p.faded(rip * np.clip(1 + 0.3 * p.wander(rng, m, 20), 0.1, None), rise_s=0.02, fall_s=0.03),
            at,
            rng.uniform(0.6, 1.0),
        )
    return out


def _walk(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    heel, hard, gravel = p.log_uniform(rng, 90, 260), rng.random(), rng.random() < 0.35
    for i, at in enumerate(_beats(rng, d, 1 / rng.uniform(1.5, 2.4), jitter=0.04)):
        m = p.seconds(0.25)
        f = heel * np.array([1, 1.9, 2.7, 6.5]) * (1.05 if i % 2 else 1.0)
        step = p.unit(p.struck(rng, 0.25, f, decay_s=0.02, spread_db=4))
        click = p.noise(rng, m, p.band(700, 900 + 3500 * hard)) * p.decay(m, 0.006)
        p.add(out, step + np.float32(0.4 + 1.6 * hard) * click, at, rng.uniform(0.7, 1.0))
        scuff = p.noise(rng, m, p.band(1200, 6000, order=1)) * p.decay(m, 0.05, attack_s=0.05)
        if gravel:
            grain = p.noise(rng, 300, p.band(1200, 6000)) * p.decay(300, 0.0015)
            scuff = scuff + p.grains(rng, m, rate_hz=300, grain=grain) * p.decay(m, 0.06, attack_s=0.01)
        p.add(out, scuff, at + 0.05, 0.1 + 0.8 * gravel)
    return p.convolved(out, p.room_of(rng, rng.uniform(0.1, 0.7)))


def _wind(rng: Rng, n: int) -> Audio:
    gust = np.exp(0.55 * p.wander(rng, n, rng.uniform(0.3, 0.9)))
    out = p.noise(rng, n, p.tilted(-rng.uniform(6, 10), low_hz=40, high_hz=2500)) * gust
    centre = p.log_uniform(rng, 250, 700)
    for i in range(4):  # the whistle moves: bands beside each other swell in turn
        f = centre * 1.35**i
        swell = np.exp(-((1.3 * p.wander(rng, n, 0.7) - (i - 1.5)) ** 2)) * gust
        out = out + rng.uniform(0.2, 0.9) * p.noise(rng, n, p.band(0.92 * f, 1.09 * f, order=6)) * swell
    return np.asarray(out, dtype=np.float32)


def _writing(rng: Rng, n: int) -> Audio:
    out, d = _blank(n), n / p.FS_HZ
    low, high = rng.uniform(1500, 3500), rng.uniform(5000, 9000)
    tap = p.struck(rng, 0.06, p.log_uniform(rng, 250, 800) * np.array([1, 2.3, 4.1]), decay_s=0.008)
    pace = rng.uniform(3.0, 7.5)
    for at in _beats(rng, d, 1 / pace, jitter=0.3):
        if rng.random() < 0.15:
            continue  # between two words
        m = p.seconds(rng.uniform(0.4, 0.95) / pace)
        bow = np.sin(np.linspace(0, np.pi, m)).astype(np.float32) * np.clip(1 + 0.35 * p.wander(rng, m, 70), 0.1, None)
        p.add(out, p.noise(rng, m, p.band(low, high)) * bow, at, rng.uniform(0.3, 1.0))
        p.add(out, p.unit(tap), at, rng.uniform(0.1, 0.8))
    p.add(out, p.unit(tap), 0.0, 0.4)
    return out


EVENTS: dict[str, EventClass] = {
    "Acoustic_guitar": EventClass(_guitar, 1.0, 7.0),
    "Bass_guitar": EventClass(_bass, 1.0, 6.0),
    "Clapping": EventClass(_clapping, 1.0, 7.0),
    "Coin_(dropping)": EventClass(_coin, 0.6, 3.0),
    "Crash_cymbal": EventClass(_crash, 1.2, 5.0),
    "Dishes_and_pots_and_pans": EventClass(_dishes, 0.8, 8.0),
    "Engine": EventClass(_engine, 1.5, 8.0),
    "Fart": EventClass(_fart, 0.5, 2.5),
    "Fire": EventClass(_fire, 2.0, 8.0),
    "Fireworks": EventClass(_fireworks, 1.5, 8.0),
    "Glass": EventClass(_glass, 0.6, 3.0),
    "Hi-hat": EventClass(_hi_hat, 0.5, 4.0),
    "Piano": EventClass(_piano, 1.0, 7.0),
    "Rain": EventClass(_rain, 2.0, 8.0),
    "Slam": EventClass(_slam, 0.7, 3.0),
    "Squeak": EventClass(_squeak, 0.5, 4.0),
    "Tearing": EventClass(_tearing, 0.5, 5.0),
    "Walk_or_footsteps": EventClass(_walk, 1.5, 8.0),
    "Wind": EventClass(_wind, 2.0, 8.0),
    "Writing": EventClass(_writing, 1.0, 8.0),
}
"""The classes of FSDnoisy18k (Fonseca et al., 2019) by their names there."""

"""Where decays meet their noise floors: models of the decay, fitted to the energy of blocks.

A decay is one exponential or the sum of two, with a constant floor or without: four models. Each is fitted by maximum likelihood,
the energy of a block of band-limited noise having a gamma distribution, and G. Schwarz' criterion ("Estimating the dimension of a
model", Annals of Statistics 6, 1978) chooses. The decay is cut where it meets the floor; what would have followed is known from
the model. That the floor of a recording is a decay slower than those before it, or that a second slope begins just above the
floor, is what judging by one exponential and the last tenth (Lundeby et al., Acustica 81, 1995) gets wrong.

The block energies' spread is estimated, not assumed: the reflections of a room are fewer than those of noise. Models of more
exponentials: Xiang & Goggans, "Evaluation of decay times in coupled spaces", JASA 110, 2001 and 113, 2003.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.labels.noise_floor_kernels import find_floor

Floats = NDArray[np.float64]

_INTERVAL_PERIODS = 2.0  # the energy of a band varies at random from one interval of this many periods to the next …
_SHORTEST_S = 0.002  # … and that of any signal within this time


@dataclass(frozen=True)
class Floors:
    """What :func:`find_floors` found.

    Args:
        cut: (signal,) the number of blocks before the decay meets its floor; all of them if it does not.
        noise: (signal,) noise energy of a block; 0 without a floor.
        tail: (signal,) energy of the decay after the cut; inf where there is no decay to be seen.
        rate: (signal,) the rate in 1/s at which that tail decays at first.
    """

    cut: NDArray[np.int64]
    noise: Floats
    tail: Floats
    rate: Floats


def find_floors(energy: Floats, *, hop_s: float, period_s: Floats, width_hz: Floats, stop: NDArray[np.int64]) -> Floors:
    """Find the noise floors of several decays.

    Args:
        energy: (signal, block) energy of each block of ``hop_s`` seconds, from the onset on.
        period_s: (signal,) period of the centre of its band; 0 for a broadband signal.
        width_hz: (signal,) width of its band.
        stop: (signal,) blocks from here on are not to be used.
    """
    n = len(energy)
    cut, noise, tail, rate = stop.copy(), np.zeros(n), np.full(n, np.inf), np.zeros(n)
    width = np.maximum(np.ceil(np.maximum(_INTERVAL_PERIODS * period_s, _SHORTEST_S) / hop_s), 1.0).astype(np.int64)
    for s in range(n):
        cut[s], noise[s], tail[s], rate[s] = find_floor(energy[s, : stop[s]], width[s], width_hz[s] * hop_s)
    return Floors(cut, noise, tail, rate / hop_s)

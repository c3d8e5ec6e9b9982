"""Air: the speed of sound and how much of a wave the air absorbs on its way (ISO 9613-1:1993)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError

SPEED_OF_SOUND_M_S = 343.0
"""Speed of sound where no temperature is given."""

_REFERENCE_KELVIN = 293.15
_TRIPLE_POINT_KELVIN = 273.16
_REFERENCE_KPA = 101.325


@dataclass(frozen=True)
class Air:
    """Air of a temperature (°C), relative humidity (%) and pressure (kPa).

    Raises:
        RoomgenError: outside the range of ISO 9613-1 (-20…50 °C, 10…100 %), which is where its formula holds.
    """

    temperature_c: float = 20.0
    humidity_pct: float = 50.0
    pressure_kpa: float = _REFERENCE_KPA

    def __post_init__(self) -> None:
        for name, low, high, unit in (
            ("temperature_c", -20.0, 50.0, "°C"),
            ("humidity_pct", 10.0, 100.0, "%"),
            ("pressure_kpa", 50.0, 200.0, "kPa"),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise RoomgenError(f"air {name} = {value:g} {unit} is outside {low:g}…{high:g} {unit} (ISO 9613-1).")

    @property
    def speed_of_sound_m_s(self) -> float:
        """Speed of sound in dry air of this temperature, 343.2 m/s at 20 °C (ISO 9613-1, eq. B.1)."""
        return 343.2 * float(np.sqrt((self.temperature_c + 273.15) / _REFERENCE_KELVIN))

    def energy_absorption_per_m(self, freq_hz: NDArray[np.float64] | tuple[float, ...]) -> NDArray[np.float64]:
        """Return the energy attenuation coefficient m in 1/m at each frequency: energy falls as exp(-m · distance).

        Args:
            freq_hz: (freq,) frequencies in Hz.
        """
        freq = np.asarray(freq_hz, dtype=np.float64)
        kelvin = self.temperature_c + 273.15
        pressure = self.pressure_kpa / _REFERENCE_KPA
        warmth = kelvin / _REFERENCE_KELVIN
        # Molar concentration of water vapour in % (eq. B.2-B.3) and relaxation of oxygen and nitrogen in Hz (eq. 3-4).
        saturation = 10.0 ** (-6.8346 * (_TRIPLE_POINT_KELVIN / kelvin) ** 1.261 + 4.6151)
        water = self.humidity_pct * saturation / pressure
        oxygen = pressure * (24.0 + 4.04e4 * water * (0.02 + water) / (0.391 + water))
        nitrogen = pressure * warmth**-0.5 * (9.0 + 280.0 * water * np.exp(-4.170 * (warmth ** (-1 / 3) - 1.0)))
        # Attenuation in dB per metre (eq. 5).
        decibels = (
            8.686
            * freq**2
            * (
                1.84e-11 / pressure * np.sqrt(warmth)
                + warmth**-2.5
                * (
                    0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + freq**2 / oxygen)
                    + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + freq**2 / nitrogen)
                )
            )
        )
        return np.asarray(decibels * np.log(10.0) / 10.0)


def speed_of_sound_m_s(air: Air | None) -> float:
    """Return the speed of sound in m/s: 343 where no air is given."""
    return SPEED_OF_SOUND_M_S if air is None else air.speed_of_sound_m_s

"""What a dataset of rooms is made by: models that check each setting, and how settings agree."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from roomgen.acoustics.engine import ENGINES, engine_class
from roomgen.acoustics.furnishing import USES
from roomgen.acoustics.materials import material_absorption
from roomgen.acoustics.measured_spectra import MEDIANS, SPREADS, WALL_BAND_SPREAD, WALL_SPREAD
from roomgen.acoustics.rooms import WALLS
from roomgen.acoustics.scene import MAX_ORDER, ImageOptions
from roomgen.errors import RoomgenError, suggest
from roomgen.settings import CommonSettings, SplitsSettings, StrictModel

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Size = tuple[Positive, Positive, Positive]
Share = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=2)]

MAX_DURATION_S = 120.0
MAX_RESPONSES = 100_000_000
MAX_BYTES = 10_000_000_000_000
_MAX_GRID = 100_000  # sizes


class FamilySettings(StrictModel):
    """A family of rooms: sizes between two corners, the grid of the family where there is one, and what its rooms are used for.

    ``use`` is one of :data:`roomgen.acoustics.furnishing.USES`: what stands in the rooms where ``walls.model`` is "materials".
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    min_m: Size
    max_m: Size
    step_m: Size | None = None
    use: str = "living"

    @field_validator("use")
    @classmethod
    def _known(cls, use: str) -> str:
        if use not in USES:
            raise ValueError(f"is no use of a room.{suggest(use, USES)} Uses: {', '.join(USES)}")
        return use

    @model_validator(mode="after")
    def _ordered(self) -> FamilySettings:
        if any(low > high for low, high in zip(self.min_m, self.max_m, strict=True)):
            raise ValueError(f"min_m {list(self.min_m)} is larger than max_m {list(self.max_m)}")
        if max(self.max_m) > 1000:
            raise ValueError("a side longer than 1000 m is not a room")
        if self.step_m is not None:
            sizes = prod((high - low) / step + 1 for low, high, step in zip(self.min_m, self.max_m, self.step_m, strict=True))
            if sizes > _MAX_GRID:
                raise ValueError(f"step_m {list(self.step_m)} makes {sizes:.3g} sizes, more than {_MAX_GRID:,}: take larger steps")
        return self


class RoomsSettings(StrictModel):
    """Which rooms: how many, and whether sizes are drawn uniformly or taken from each family's grid.

    ``plan`` names a file of rooms by its sha256, in place of drawing them (the command line's ``--plan``).
    """

    count: Annotated[int, Field(ge=1, le=10_000_000)] = 110
    plan: str | None = None
    sizes: Literal["uniform", "grid"] = "uniform"
    families: Annotated[tuple[FamilySettings, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> RoomsSettings:
        names = [family.name for family in self.families]
        if len(set(names)) != len(names):
            raise ValueError(f"two families have the same name: {names}")
        if self.sizes == "grid" and any(family.step_m is None for family in self.families):
            raise ValueError('sizes = "grid" needs step_m in every family')
        return self


class WallsSettings(StrictModel):
    """What the walls are made of.

    ``absorption`` is "random" (drawn as ``model`` says), one material or number for all walls, or one per wall. The models:

    - "random": a material of the database for each wall, blindly; ``materials``: the names to draw from (empty: all).
    - "measured": T_mid log-uniform within ``rt60_limits_s``, around it octave bands as in measured rooms (``spectrum``: medians of
      T30 over T_mid at 125…8000 Hz; ``spectrum_spread``: log-normal), walls that absorb differently (``wall_spread``,
      ``wall_band_spread``: log-normal); see :mod:`roomgen.acoustics.measured_spectra`.
    - "materials": floor, walls and ceiling of what such surfaces are made of, with windows, a door, furniture and people by the use
      of the family; ``light``: absorption at 125 Hz of thin plates and panes; see :mod:`roomgen.acoustics.furnishing`.
    - "flat": one absorption for all walls and bands, log-uniform within ``flat``.

    ``rt60_limits_s``: rooms are drawn again until their predicted RT60 lies within (None: whatever comes): T_mid, the mean of the
    octaves of 500 and 1000 Hz; of the model "random" the broadband one. ``max_octave_ratio``: likewise, of the longest predicted
    RT60 of the octaves 125…4000 Hz over the shortest.

    ``scattering``: the share of the reflected energy that is scattered, one number, one for each octave 125…8000 Hz, or "role": as
    floors, walls and ceilings of furnished rooms do (:data:`roomgen.acoustics.surfaces.ROLE_SCATTERING`).
    """

    absorption: float | str | dict[str, float | str] = "random"
    model: Literal["random", "measured", "materials", "flat"] = "random"
    materials: tuple[str, ...] = ()
    rt60_limits_s: tuple[Annotated[float, Field(ge=0)], Positive] | None = None
    max_octave_ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    flat: tuple[Share, Share] = (0.08, 0.6)
    light: tuple[Share, Share] = (0.1, 0.3)
    spectrum: Annotated[tuple[Positive, ...], Field(min_length=7, max_length=7)] = MEDIANS
    spectrum_spread: Annotated[tuple[Spread, ...], Field(min_length=7, max_length=7)] = SPREADS
    wall_spread: Spread = WALL_SPREAD
    wall_band_spread: Spread = WALL_BAND_SPREAD
    scattering: Literal["role"] | Fraction | Annotated[tuple[Fraction, ...], Field(min_length=7, max_length=7)] = 0.0

    @property
    def scatter(self) -> bool:
        """Whether walls scatter anything."""
        return self.scattering not in (0.0, (0.0,) * 7)

    @property
    def are_drawn(self) -> bool:
        """Whether two rooms have different walls."""
        return self.absorption == "random"

    @model_validator(mode="after")
    def _known(self) -> WallsSettings:
        given = self.absorption if isinstance(self.absorption, dict) else {"all": self.absorption}
        if isinstance(self.absorption, dict) and set(given) != set(WALLS):
            raise ValueError(f"absorption names {sorted(given)}, but the walls are {', '.join(WALLS)}")
        for value in (*given.values(), *self.materials):
            if value != "random":
                material_absorption(str(value), (1000.0,))
        if self.rt60_limits_s is not None and self.rt60_limits_s[0] >= self.rt60_limits_s[1]:
            raise ValueError(f"rt60_limits_s {list(self.rt60_limits_s)} must rise: shortest first")
        for name in ("flat", "light"):
            least, most = getattr(self, name)
            if least > most:
                raise ValueError(f"{name} [{least:g}, {most:g}] must rise: least absorption first")
        if self.materials and self.model != "random":
            raise ValueError(f'materials are what model "random" draws from: leave them out with model "{self.model}"')
        return self


class PlaceSettings(StrictModel):
    """Where sources and microphones may stand; heights are ranges above the floor, None: anywhere."""

    rirs_per_room: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    wall_distance_m: Annotated[float, Field(ge=0, le=100)] = 0.5
    min_distance_m: Annotated[float, Field(ge=0.01, le=1000)] = 0.5
    max_distance_m: Annotated[float, Field(gt=0, le=1000)] | None = None
    source_height_m: tuple[Positive, Positive] | None = None
    mic_height_m: tuple[Positive, Positive] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> PlaceSettings:
        for name in ("source_height_m", "mic_height_m"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"{name} {list(limits)} must rise: lowest first")
        if self.max_distance_m is not None and self.max_distance_m <= self.min_distance_m:
            raise ValueError("max_distance_m must be larger than min_distance_m")
        return self


class ArraySettings(StrictModel):
    """The microphones: a geometry's name, or ``positions_m`` and ``patterns`` of one's own (read from a CSV file).

    ``yaw_deg`` is "random" (uniform in (−180, 180]) or a number: how far the array is turned counter-clockwise.
    """

    geometry: str = "mono"
    positions_m: tuple[tuple[float, float, float], ...] = ()
    patterns: tuple[tuple[float, float, float], ...] = ()
    yaw_deg: float | Literal["random"] = 0.0

    @property
    def n_channels(self) -> int:
        """How many microphones there are."""
        if self.positions_m:
            return len(self.positions_m)
        from roomgen.acoustics.arrays import named_array

        return 1 if self.geometry == "mono" else named_array(self.geometry).n_channels

    @model_validator(mode="after")
    def _known(self) -> ArraySettings:
        if not self.positions_m and self.geometry != "mono":
            from roomgen.acoustics.arrays import named_array

            named_array(self.geometry)
        if len(self.patterns) != len(self.positions_m):
            raise ValueError(f"{len(self.patterns)} patterns for {len(self.positions_m)} positions")
        return self


class SignalSettings(StrictModel):
    """Rate and length of the responses, the air in the room, and the reverberation that it shall have.

    ``duration``: seconds; "auto" (until the predicted decay has reached −60 dB), "octaves" (until that of every octave has, so
    that each has a T30); or "revrir" (the shorter rule of RevRIR's published code, about 0.4 × RT60). ``rt60_s``: shortest and
    longest RT60 of a room, drawn uniformly between; what ``rt60_of`` says: "mid" (T_mid, the mean of T30 in the octaves of 500
    and 1000 Hz), "broadband" or "1000" (that octave). In its place ``rt60_bands_s``: the T30 of every octave from 125 Hz up to
    the last one of the rate, the same for all rooms.
    """

    fs_hz: Annotated[int, Field(ge=1000, le=192_000)] = 16000
    duration: float | str = "auto"
    air: tuple[float, float] | None = None
    rt60_s: tuple[Positive, Positive] | None = None
    rt60_of: Literal["mid", "broadband", "1000"] = "mid"
    rt60_bands_s: tuple[Positive, ...] | None = None

    @property
    def rt60_mid_limits_s(self) -> tuple[float, float] | None:
        """Shortest and longest target T_mid, as far as it is one; None: there is none."""
        if self.rt60_bands_s is None:
            return self.rt60_s
        mid = 0.5 * (self.rt60_bands_s[2] + self.rt60_bands_s[3])
        return mid, mid

    @field_validator("duration", mode="before")
    @classmethod
    def _length(cls, duration: object) -> object:
        if duration in ("auto", "octaves", "revrir"):
            return duration
        try:
            seconds = float(duration)  # type: ignore[arg-type]  # anything else fails, and is told so
        except (TypeError, ValueError):
            seconds = -1.0
        if not 0 < seconds <= MAX_DURATION_S:
            raise ValueError(f'give "auto", "octaves", "revrir", or seconds between 0 and {MAX_DURATION_S:g}')
        return seconds

    @model_validator(mode="after")
    def _possible(self) -> SignalSettings:
        if self.air is not None:
            from roomgen.acoustics.air import Air

            Air(*self.air)
        if self.rt60_s is not None and self.rt60_s[0] > self.rt60_s[1]:
            raise ValueError(f"rt60_s {list(self.rt60_s)} must rise: shortest first")
        if self.rt60_s is not None or self.rt60_bands_s is not None:
            self._check_octaves()
        return self

    def _check_octaves(self) -> None:
        from roomgen.acoustics.bands import octave_centers
        from roomgen.acoustics.prediction.rt60 import octaves_of

        if self.rt60_bands_s is None:
            octaves_of(self.rt60_of, self.fs_hz)
            return
        if self.rt60_s is not None:
            raise ValueError("rt60_s (--rt60) and rt60_bands_s (--rt60-bands, --rt60-like) exclude each other: leave one out")
        octaves_of("mid", self.fs_hz)
        centers = octave_centers(self.fs_hz)
        if len(self.rt60_bands_s) != len(centers):
            raise ValueError(
                f"rt60_bands_s has {len(self.rt60_bands_s)} values, but {self.fs_hz} Hz has {len(centers)} octaves: give one for "
                f"each of {', '.join(f'{c:g}' for c in centers)} Hz"
            )


class EngineSettings(StrictModel):
    """What simulates, where, and the options that :class:`~roomgen.acoustics.scene.ImageOptions` describes and checks.

    ``highpass_hz`` is 20 by default and 0 for none: images are all positive, so that without it the offset at 0 Hz, which nobody
    hears and no microphone records, is as strong as all the rest and decides broadband labels.
    """

    name: str = "image"
    device: str = "cpu"
    max_order: Annotated[int, Field(ge=0, le=MAX_ORDER)] | None = None
    randomize_m: float = 0.0
    tail_after_s: float | None = None
    highpass_hz: float = 20.0
    specular_floor_db: Annotated[float, Field(ge=20, allow_inf_nan=False)] | None = 40.0

    def options(self, *, seed: int = 0) -> ImageOptions:
        """Return the options for a scene whose random moves and diffuse field are drawn from a seed."""
        return ImageOptions(
            max_order=self.max_order,
            randomize_m=self.randomize_m,
            seed=seed,
            tail_after_s=self.tail_after_s,
            highpass_hz=self.highpass_hz or None,
            specular_floor_db=self.specular_floor_db,
        )

    def check(self, *, scatters: bool = False) -> None:
        """Refuse what the engine cannot do.

        Raises:
            ValueError: what is possible.
        """
        try:
            engine_class(self.name, self.device).check(self.options(), scatters=scatters)
        except RoomgenError as error:
            raise ValueError(str(error).removesuffix(".")) from None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        names = list(dict.fromkeys(known for known, _ in ENGINES))
        if name not in names:
            raise ValueError(f"is no engine: give {' or '.join(map(repr, names))}")
        return name

    @model_validator(mode="after")
    def _possible(self) -> EngineSettings:
        self.check()
        return self


class DatasetSettings(CommonSettings):
    """All that decides the bytes of a dataset of rooms.

    ``panorama``: (height, width) in pixels of the view of the room that each sample shall have, or None.
    """

    family: Literal["rooms"] = "rooms"
    preset: str = "mixed"
    rooms: RoomsSettings
    walls: WallsSettings = WallsSettings()
    place: PlaceSettings = PlaceSettings()
    array: ArraySettings = ArraySettings()
    splits: SplitsSettings = SplitsSettings()
    signal: SignalSettings = SignalSettings()
    engine: EngineSettings = EngineSettings()
    panorama: tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=8192)]] | None = None

    @model_validator(mode="after")
    def _sane(self) -> DatasetSettings:
        responses = self.rooms.count * self.place.rirs_per_room
        if responses > MAX_RESPONSES:
            raise ValueError(
                f"{self.rooms.count} rooms of {self.place.rirs_per_room} positions are {responses:.3g} responses, and a dataset "
                f"has at most {MAX_RESPONSES:,}: divide them between datasets with other seeds"
            )
        if isinstance(self.signal.duration, float):
            size = 4.0 * responses * self.array.n_channels * self.signal.duration * self.signal.fs_hz
            if size > MAX_BYTES:
                raise ValueError(
                    f"{responses} responses of {self.signal.duration:g} s at {self.signal.fs_hz} Hz take {size / 1e12:.3g} TB, and "
                    f"a dataset at most {MAX_BYTES / 1e12:g} TB: ask for fewer or shorter ones"
                )
        return self

    @model_validator(mode="after")
    def _agree(self) -> DatasetSettings:
        limits, asked = self.walls.rt60_limits_s, self.signal.rt60_mid_limits_s
        if limits is not None and asked is not None and not limits[0] <= asked[0] <= asked[1] <= limits[1]:
            raise ValueError(
                f"signal.rt60_s {list(asked)} (--rt60) asks for what walls.rt60_limits_s {list(limits)} forbids: leave one of them "
                "out, or let the first lie within the second"
            )
        self.engine.check(scatters=self.walls.scatter)
        if self.walls.are_drawn and self.walls.model == "measured" and asked is None and (limits is None or limits[0] <= 0):
            raise ValueError(
                'walls.model "measured" draws RT60s: say from where to where, such as walls.rt60_limits_s=[0.2,2] or --rt60 0.2:2'
            )
        return self

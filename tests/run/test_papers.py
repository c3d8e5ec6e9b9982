"""All datasets of every paper, from embedded stand-ins, which every file says."""

import json

import numpy as np
import pytest
import soundfile

from roomgen.corpora import synthetic_scenes
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.errors import RoomgenError
from roomgen.papers import papers
from roomgen.papers import parts as paper_parts
from roomgen.papers.make import make_paper, paper_text, write_plans
from roomgen.papers.parts import Given
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

PARTS = {
    "revrir": ["rirs", "train-speech", "test-speech"],
    "goetz": ["upstream-rirs", "downstream-rirs", "upstream-speech", "downstream-speech"],
    "mvsd": [
        *("paired-rooms", "paired-speech", "paired-reverberant"),
        *("unpaired-rooms", "unpaired-speech", "unpaired-reverberant"),
    ],
    "mc-simclr": ["arrays", "events", "scenes"],
    "icl": ["scenes", "vintage-dirs", "multi-dirs", "many-dirs", "recorders", "scenes-by-device"],
}
SCALE = 1e-4


class Tiny(Given):
    """The least that keeps every part's structure: a few rooms, and recordings for every split."""

    def count(self, full, *, least=1):
        return min(super().count(full, least=least), 10 if full <= 1000 else 40)


STAND_INS = {
    "revrir": {"train-speech", "test-speech"},
    "goetz": {"upstream-speech", "downstream-speech"},
    "mvsd": set(PARTS["mvsd"]),
    "mc-simclr": {"events", "scenes"},
    "icl": set(PARTS["icl"]),
}


@pytest.fixture(scope="module", autouse=True)
def few_scenes():
    """Three scenes, a recording a place: with ten every split takes more than a hundred recordings of 10 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_scenes, "SCENES", synthetic_scenes.SCENES[:3])
        patch.setattr(synthetic_scenes, "_PER_PLACE", 1)
        # Blind walls ring for seconds at 125 Hz: nothing here is measured so late.
        patch.setitem(paper_parts.WALLS, "random", {"signal.duration": 0.5})
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function that makes a paper once and gives its folder and what came of it."""
    root, done = tmp_path_factory.mktemp("papers"), {}

    def made(name):
        if name not in done:
            done[name] = make_paper(name, root / name, Tiny(scale=SCALE), workers=0, progress=False)
        return root / name, done[name]

    return made


@pytest.mark.parametrize("name", papers())
def test_all_parts_are_made_and_say_what_is_a_stand_in(made, name):
    root, result = made(name)
    assert [part["part"] for part in result["parts"]] == PARTS[name]
    assert {part["part"] for part in result["parts"] if not part["real"]} == STAND_INS[name]
    kept = json.loads((root / "paper.json").read_text(encoding="utf-8"))
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert (kept["paper"], kept["scale"], kept["seed"]) == (name, SCALE, 0)
    for part in kept["parts"]:
        line = next(line for line in readme.splitlines() if f"({part['part']}/)" in line)
        card = (root / part["part"] / "README.md").read_text(encoding="utf-8").lower()
        assert part["samples"] == len(Dataset(root / part["part"])) > 0
        assert f"| {part['samples']} |" in line
        assert part["origin"] in line
        assert ("**" in line) == (not part["real"])
        if not part["real"]:
            assert "stand-in" in card or "in place of" in card or "drawn by roomgen" in card


@pytest.mark.parametrize("name", papers())
def test_a_second_call_keeps_everything(made, name):
    root, first = made(name)
    before = {path: path.stat().st_mtime_ns for path in root.glob("*/data/*")}
    texts = {path: path.read_bytes() for path in (root / "paper.json", root / "README.md")}
    again = make_paper(name, root, Tiny(scale=SCALE), workers=0, progress=False)
    assert {path: path.stat().st_mtime_ns for path in root.glob("*/data/*")} == before
    assert {path: path.read_bytes() for path in texts} == texts
    assert all(part["made"] == 0 for part in again["parts"])
    assert paper_text(again).count("was complete") == len(PARTS[name])
    assert "was complete" not in paper_text(first)


@pytest.mark.parametrize("name", papers())
def test_every_part_is_a_dataset_without_faults(made, name):
    root, _ = made(name)
    for part in PARTS[name]:
        assert verify(root / part) == []


def test_revrir_s_speakers_and_positions_are_apart(made):
    root, _ = made("revrir")
    rooms = Dataset(root / "rirs").table()
    assert rooms["room_id"].nunique() == 110
    assert set(rooms["fs_hz"]) == {8000}
    assert (rooms.groupby("room_id", observed=True)["split"].nunique() == 2).all()
    train, test = (set(Dataset(root / f"{name}-speech").table()["speaker"]) for name in ("train", "test"))
    assert train
    assert test
    assert not train & test


def test_goetz_has_other_rooms_and_speakers_downstream(made):
    root, _ = made("goetz")
    sizes = [
        {tuple(row) for row in Dataset(root / f"{part}-rirs").table()[["length_m", "width_m", "height_m"]].to_numpy()}
        for part in ("upstream", "downstream")
    ]
    assert not sizes[0] & sizes[1]
    speakers = [set(Dataset(root / f"{part}-speech").table()["speaker"]) for part in ("upstream", "downstream")]
    assert not speakers[0] & speakers[1]


def test_mvsd_keeps_rooms_and_speakers_of_its_test_unseen(made):
    root, _ = made("mvsd")
    table = Dataset(root / "paired-reverberant").table()
    assert {"train", "test_unseen", "test_seen"} <= set(table["split"])
    by = {split: set(part["room_id"]) for split, part in table.groupby("split", observed=True)}
    assert not by["train"] & by["test_unseen"]
    assert by["test_seen"] <= set(Dataset(root / "paired-rooms").table(split="train")["room_id"])
    item = Dataset(root / "paired-reverberant")[0]
    assert Dataset(root / "paired-rooms").member(item.row["rir_key"], "view.jpg").startswith(b"\xff\xd8")
    assert Dataset(root / "paired-reverberant").member(item.key, "clean.flac").startswith(b"fLaC")
    assert not set(Dataset(root / "paired-speech").table()["speaker"]) & set(Dataset(root / "unpaired-speech").table()["speaker"])


def test_mc_simclr_scenes_have_four_channels_and_a_direction(made):
    root, _ = made("mc-simclr")
    table = Dataset(root / "scenes").table()
    assert set(table["n_channels"]) == {4}
    assert set(table["split"]) == {"noisy", "clean", "test"}
    assert np.ptp(table["azimuth_deg"]) > 180
    assert (table["n_samples"] == 4 * 16000).all()
    assert table["class_name"].nunique() > 10


def test_icl_s_new_devices_are_heard_in_the_test_alone(made):
    root, _ = made("icl")
    table = Dataset(root / "scenes-by-device").table()
    heard = {split: set(part["device"]) for split, part in table.groupby("split", observed=True)}
    seen = {"A", "B", "C", "S1", "S2", "S3"}
    assert heard["train"] <= seen
    assert heard["val"] == seen
    assert heard["test"] == seen | {"S4", "S5", "S6"}
    assert not table.duplicated(["source_key", "device"]).any()
    assert (table.groupby("split", observed=True)["class_name"].nunique() == 3).all()
    assert (table[table["split"] == "train"]["device"] == "A").mean() > 0.5
    assert not set(table[table["split"] == "train"]["location"]) & set(table[table["split"] == "test"]["location"])
    assert Dataset(root / "vintage-dirs").table()["microphone"].nunique() == 66


def test_a_folder_of_one_s_own_takes_the_place_of_the_stand_in(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(30):
        path = tmp_path / "mine" / f"speaker{i}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(16000 * 5), 16000)
    result = make_paper("goetz", tmp_path / "out", Tiny(speech=(tmp_path / "mine",), scale=SCALE), workers=0, progress=False)
    parts = {part["part"]: part for part in result["parts"]}
    assert parts["upstream-speech"]["real"]
    assert "a folder of audio files" in parts["upstream-speech"]["origin"]
    assert "stand-in" not in (tmp_path / "out" / "upstream-speech" / "README.md").read_text(encoding="utf-8").lower()


def test_real_sources_in_rooms_that_are_stand_ins_are_not_called_real(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(16000, 0.1), 16000)
    for name, given, part in (
        ("mvsd", Given(speech=(tmp_path,)), "paired-reverberant"),
        ("icl", Given(scenes=tmp_path), "scenes-by-device"),
    ):
        parts = {found.name: found for found in papers()[name].parts(tmp_path, given)}
        assert parts[part.replace("reverberant", "speech").replace("-by-device", "")].real
        assert not parts[part].real
        assert "through stand-ins" in parts[part].origin
    assert all(part.real for part in papers()["mc-simclr"].parts(tmp_path, Given(events=tmp_path)))


def test_another_scale_in_the_same_folder_is_an_error_that_names_the_part(made):
    root, _ = made("goetz")
    with pytest.raises(RoomgenError, match=r"part upstream-rirs: .* rooms.count: 8 → 12"):
        make_paper("goetz", root, Given(scale=0.19), workers=0, progress=False)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("revrri", {}, "Did you mean 'revrir'"),
        ("revrir", {"scale": 0.0}, "--scale 0 is outside"),
        ("revrir", {"speech": ("nowhere",)}, "--speech .*nowhere is not a folder: give one that holds librispeech or"),
        ("icl", {"dirs": ("nowhere",)}, "is not a folder"),
    ],
)
def test_what_cannot_be_is_one_error(tmp_path, name, given, message):
    paths = {
        key: tmp_path / value
        if isinstance(value, str)
        else tuple(tmp_path / v for v in value)
        if isinstance(value, tuple)
        else value
        for key, value in {"scale": SCALE, **given}.items()
    }
    with pytest.raises(RoomgenError, match=message) as caught:
        make_paper(name, tmp_path / "out", Given(**paths), workers=0, progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()  # known before the first room is simulated


def test_plans_alone_need_no_data(tmp_path):
    written = write_plans("goetz", tmp_path, Given(scale=SCALE))
    assert written == {"goetz-upstream-rirs.parquet": 8, "goetz-downstream-rirs.parquet": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)


def test_goetz_s_rooms_can_have_other_walls(tmp_path, monkeypatch):
    made = {}

    def pretend(settings, out, **_):
        made[out.name] = settings
        out.mkdir(parents=True)
        return {"family": settings.family, "samples": 1, "audio_s": 1.0, "splits": {}, "broken_files": []}

    monkeypatch.setattr("roomgen.papers.make.generate", pretend)
    alpha = {}
    for walls in ("random", "measured", "flat"):
        root = tmp_path / walls
        make_paper("goetz", root, Given(scale=SCALE, walls=walls), workers=0, progress=False)
        assert json.loads((root / "paper.json").read_text(encoding="utf-8"))["walls"] == walls
        told = (root / "README.md").read_text(encoding="utf-8")
        assert ("in place of the paper's random materials" in told) == (walls != "random")
        settings = made["downstream-rirs"]
        rooms = [RoomsPlan(settings).room(index).shoebox for index in range(10)]
        alpha[walls] = np.stack([room.absorption(16000) for room in rooms])
        assert made["upstream-rirs"].walls == settings.walls
        sizes = np.array([room.size_m for room in rooms])
        assert ((sizes >= 3) & (sizes <= [10, 10, 5])).all()
    spread = {walls: np.log(table).std(axis=(1, 2)).mean() for walls, table in alpha.items()}
    assert spread["flat"] < 1e-9 < spread["measured"] < spread["random"]


@pytest.mark.parametrize(
    ("name", "walls", "message"),
    [
        ("goetz", "flt", "unknown --walls 'flt'. Did you mean 'flat'"),
        ("mvsd", "flat", "--walls flat is for goetz: leave it out"),
    ],
)
def test_walls_that_a_paper_cannot_have_are_refused(tmp_path, name, walls, message):
    with pytest.raises(RoomgenError, match=message):
        make_paper(name, tmp_path / "out", Given(walls=walls), workers=0, progress=False)
    assert not (tmp_path / "out").exists()

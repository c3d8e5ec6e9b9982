"""What a dataset is made from is what it was when it was made, and what cannot be used of it is left out by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from roomgen.audio import encode_wav
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.renders.plan import RendersPlan
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset
from tests.conftest import tiny_settings

FS_HZ = 16000


def write_noise(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = 0.1 * np.random.default_rng(seed).standard_normal(FS_HZ // 4)
    soundfile.write(path, audio, FS_HZ, subtype="PCM_16")


def make_sources(root: Path, corpus: Path, max_broken: float = 0.0) -> dict[str, Any]:
    settings, inputs = sources_settings("folder", corpus, {"fs_hz": FS_HZ, "splits.shares": {"train": 1.0}})
    return generate(settings, root, workers=0, progress=False, inputs=inputs, max_broken=max_broken)


def make_rooms(root: Path) -> None:
    generate(tiny_settings(splits__shares={"train": 1.0}), root, workers=0, progress=False)


def render(out: Path, parts: dict[str, Path], max_broken: float = 0.01) -> dict[str, Any]:
    settings = renders_settings(parts, {"per_source": 4})
    return generate(settings, out, workers=0, progress=False, inputs=parts, max_broken=max_broken)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for number in range(4):
        write_noise(tmp_path / "in" / f"clip{number}.wav", number)
    make_sources(tmp_path / "sources", tmp_path / "in")
    return tmp_path / "sources"


def test_a_response_that_was_altered_is_refused_before_anything_is_rendered(sources: Path, tmp_path: Path) -> None:
    make_rooms(tmp_path / "rirs")
    row = Dataset(tmp_path / "rirs")[0].row
    with open(tmp_path / "rirs" / "data" / row["shard"], "r+b") as tar:
        tar.seek(row["offset"] + 58 + 400)
        tar.write(np.float32(np.nan).tobytes())
    parts = {"sources": sources, "rirs": tmp_path / "rirs"}
    with pytest.raises(RoomgenError, match=rf"{row['shard']} is missing or is not what it was") as error:
        render(tmp_path / "out", parts)
    assert error.value.exit_code == 1
    assert list((tmp_path / "out" / "data").iterdir()) == []


@pytest.mark.parametrize(("value", "words"), [(np.nan, "finite"), (0.0, "silent")])
def test_a_response_without_sound_leaves_its_renders_out_and_is_named(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, words: str
) -> None:
    spoilt: list[tuple[int, ...]] = []

    def spoil_the_first(audio: Any, *, fs_hz: int) -> bytes:
        if not spoilt:
            spoilt.append(audio.shape)
            audio = audio * np.float32(value)
        return encode_wav(audio, fs_hz=fs_hz)

    monkeypatch.setattr("roomgen.datasets.rooms.family.encode_wav", spoil_the_first)
    make_rooms(tmp_path / "rirs")
    monkeypatch.undo()
    key = Dataset(tmp_path / "rirs").table(["key"])["key"][0]
    parts = {"sources": sources, "rirs": tmp_path / "rirs"}
    uses = responses_heard(parts)
    assert key in uses
    with pytest.raises(RoomgenError, match=rf"1 of 22 input files cannot be read.*rirs/.*{key}.*{words}"):
        render(tmp_path / "out", parts)
    summary = render(tmp_path / "out2", parts, max_broken=0.1)
    assert summary["samples"] == 16 - uses.count(key)
    ((name, reason),) = summary["broken_files"]
    assert key in f"{name}: {reason}"
    assert words in reason
    for item in Dataset(tmp_path / "out2"):
        assert np.isfinite(item.audio).all()
        assert item.audio.any()


def responses_heard(parts: dict[str, Path]) -> list[str]:
    """Return the key of the response that each render would be heard through."""
    plan = RendersPlan(renders_settings(parts, {"per_source": 4}), parts)
    keys = Dataset(parts["rirs"]).table(["key"])["key"]
    return [keys[unit.rir] for shard in plan.shards for chunk in plan.chunks(shard) for unit in chunk]


def test_a_path_longer_than_a_key_ends_no_job(sources: Path, tmp_path: Path) -> None:
    write_noise(tmp_path / "in" / ("a" * 60) / ("b" * 60) / "clip.wav", 9)
    assert make_sources(tmp_path / "out", tmp_path / "in")["samples"] == 5
    make_rooms(tmp_path / "rirs")
    summary = render(tmp_path / "renders", {"sources": tmp_path / "out", "rirs": tmp_path / "rirs"})
    assert summary["samples"] == 20
    assert verify(tmp_path / "renders", deep=True) == []


def test_what_was_broken_in_finished_shards_counts_when_the_command_goes_on(tmp_path: Path) -> None:
    for number in range(6):
        write_noise(tmp_path / "in" / f"clip{number}.wav", number)
    for number in range(2):
        soundfile.write(tmp_path / "in" / f"silent{number}.wav", np.zeros(4000), FS_HZ)
    settings, inputs = sources_settings(
        "folder", tmp_path / "in", {"fs_hz": FS_HZ, "splits.shares": {"train": 1.0}, "shard_size": 1}
    )
    for _ in range(3):  # it does not get through by being asked again
        with pytest.raises(RoomgenError, match=r"2 of 8 input files cannot be read"):
            generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs, max_broken=0.2)
    assert generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs, max_broken=0.3)["samples"] == 6


def test_a_replay_compares_every_column(tiny: Path) -> None:
    dataset = Dataset(tiny)
    item = dataset[3]
    assert compare_again(dataset, item).same
    for name, other in (("volume_m3", item.row["volume_m3"] * 2), ("c50_db", 0.1234), ("room_type", "other")):
        row = {**item.row, name: other}
        again = compare_again(dataset, type(item)(item.key, item.audio, item.fs_hz, row))
        assert again.same == (name != "c50_db")  # what a sample is made from is taken from its row, what is measured is not


def test_nothing_that_json_does_not_have_stands_in_a_member(tiny: Path) -> None:
    dataset = Dataset(tiny)
    for key in dataset.table(["key"])["key"]:
        labels = json.loads(dataset.member(key, "json"), parse_constant=pytest.fail)
        assert labels["rt60_target_s"] is None

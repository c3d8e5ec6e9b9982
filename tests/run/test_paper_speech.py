"""Speech of a paper from one corpus, from several, and with overlapping segments: who is heard where, and each mistake."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from roomgen.errors import RoomgenError
from roomgen.papers import papers
from roomgen.papers.make import make_paper
from roomgen.papers.parts import Given
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 16000
SCALE = 1e-4


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """LibriSpeech of 12 speakers, speechocean762 of 8 whose names are among theirs, 10 recordings, a text, and an empty folder."""
    root, rng = tmp_path_factory.mktemp("corpora"), np.random.default_rng(5)

    def write(path, seconds):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(-3000, 3000, round(seconds * FS_HZ), dtype=np.int16)
        soundfile.write(path, noise, FS_HZ, format="FLAC" if path.suffix == ".flac" else "WAV")

    for speaker in range(1001, 1013):
        for i, seconds in enumerate((9, 13)):
            write(root / "LibriSpeech/train-clean-100" / f"{speaker}/7/{speaker}-7-{i:04d}.flac", seconds)
    lines = []
    for speaker in range(1001, 1009):
        path = f"WAVE/SPEAKER{speaker}/0{speaker}0001.WAV"
        write(root / "speechocean762" / path, 12.5)
        lines.append(f"0{speaker}0001 {path}\n")
    (root / "speechocean762/train").mkdir()
    (root / "speechocean762/train/wav.scp").write_text("".join(lines))
    for i in range(10):
        write(root / "mine" / f"{i}.wav", 11)
    (root / "empty").mkdir()
    (root / "texts").mkdir()
    (root / "texts" / "notes.txt").write_text("no audio")
    return root


def speech_parts(paper, root, given):
    """The parts of a paper that are speech, without its rooms."""
    return {part.name: part for part in papers()[paper].parts(root, given) if part.name.endswith("speech")}


@pytest.fixture(scope="module")
def goetz(corpora, tmp_path_factory):
    """A function that makes Götz' speech of some corpora once, and gives upstream and downstream."""
    done = {}

    def made(*names, overlap=0.0):
        if (names, overlap) not in done:
            root = tmp_path_factory.mktemp("goetz")
            given = Given(speech=tuple(corpora / name for name in names), overlap=overlap, scale=SCALE)
            for name, part in speech_parts("goetz", root, given).items():
                settings, inputs = part.settings()
                generate(settings, root / name, workers=0, progress=False, inputs=inputs, max_broken=0.0)
            done[names, overlap] = [Dataset(root / f"{name}-speech") for name in ("upstream", "downstream")]
        return done[names, overlap]

    return made


@pytest.mark.parametrize(
    ("paper", "expected"),
    [
        ("goetz", "b7d891ab9e7fa38d592e0ca33002073ce6b1abefc1a0885520c92e2ea192d030"),
        ("revrir", "b8f9c0939bb96c0900f1259ced7e4d586eec42314d0e63236e6e3d1fefa85407"),
        ("mvsd", "6d114c48dbc12206c4c68532ffe3c91634d4af5d5be503e676677e765997de5e"),
    ],
)
def test_with_one_corpus_all_settings_are_those_that_there_were_before_there_could_be_several(corpora, tmp_path, paper, expected):
    """Equal settings are equal bytes; what they give for speech without an overlap is pinned with the datasets of sources."""
    parts = speech_parts(paper, tmp_path, Given(speech=(corpora / "speechocean762",), scale=SCALE)).values()
    told = []
    for part in parts:
        settings, inputs = part.settings()
        values = settings.model_dump(mode="json", exclude={"fingerprint", "shard_size"})  # of the corpus' files; of the format
        told.append([part.name, part.origin, part.real, values, sorted(inputs)])
    assert len(told) == 2
    assert hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest() == expected


def test_speakers_of_several_corpora_are_never_mixed_nor_divided(goetz):
    parts = goetz("LibriSpeech", "speechocean762")
    heard = [set(part.table()["speaker"]) for part in parts]
    assert not heard[0] & heard[1]
    assert heard[0] | heard[1] == {f"librispeech/{i}" for i in range(1001, 1013)} | {
        f"speechocean762/{i}" for i in range(1001, 1009)
    }
    for part in parts:
        table = part.table(["speaker", "group", "split", "corpus"]).astype(str)
        assert (table.groupby("speaker")["split"].nunique() == 1).all()
        assert (table["speaker"] == table["group"]).all()
        assert set(table["split"]) == {"train", "val", "test"}
        assert (table["corpus"] == table["speaker"].str.partition("/")[0]).all()


def test_a_dataset_of_several_corpora_names_them_all_with_their_licences(goetz):
    for part in goetz("LibriSpeech", "speechocean762"):
        card = (part.root / "README.md").read_text(encoding="utf-8")
        assert part.info["settings"]["corpus"] == "librispeech+speechocean762"
        assert sorted(part.info["inputs"]) == ["corpus-librispeech", "corpus-speechocean762"]
        assert "# Sources: LibriSpeech and speechocean762" in card
        assert "LibriSpeech: https://www.openslr.org/12, licence: CC BY 4.0; speechocean762: https://www.openslr.org/101" in card


def test_a_dataset_of_several_corpora_is_verified_and_made_again_wherever_they_lie(goetz, corpora, tmp_path):
    for part in goetz("LibriSpeech", "speechocean762"):
        assert verify(part.root, deep=True) == []
        assert all(compare_again(part, item).identical for item in list(part)[::5])
    moved = tmp_path / "elsewhere"
    moved.symlink_to(corpora)
    inputs = {f"corpus-{name.lower()}": moved / name for name in ("LibriSpeech", "speechocean762")}
    assert compare_again(part, part[0], inputs=inputs).identical


def test_several_corpora_give_the_same_bytes_in_any_order_and_with_any_number_of_workers(goetz, corpora, tmp_path):
    made = goetz("LibriSpeech", "speechocean762")[1]
    given = Given(speech=(corpora / "speechocean762", corpora / "LibriSpeech"), scale=SCALE)
    settings, inputs = speech_parts("goetz", tmp_path, given)["downstream-speech"].settings()
    generate(settings, tmp_path / "out", workers=2, progress=False, inputs=inputs, max_broken=0.0)
    names = sorted(path.name for path in (made.root / "data").iterdir())
    assert len(names) == 9
    for name in (*(f"data/{name}" for name in names), "manifest.parquet", "README.md"):
        assert (made.root / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_overlapping_segments_are_more_and_no_speaker_of_theirs_is_divided(goetz):
    apart, overlapping = goetz("LibriSpeech", "speechocean762"), goetz("LibriSpeech", "speechocean762", overlap=0.5)
    assert len(overlapping[1]) > 1.5 * len(apart[1])
    heard = [part.table(["speaker", "split"]).astype(str) for part in overlapping]
    assert not set(heard[0]["speaker"]) & set(heard[1]["speaker"])
    assert all((table.groupby("speaker")["split"].nunique() == 1).all() for table in heard)
    assert all("each repeats 50 %" in (part.root / "README.md").read_text(encoding="utf-8") for part in overlapping)
    assert verify(overlapping[1].root, deep=True) == []


def test_two_folders_of_one_s_own_are_told_apart(corpora, tmp_path):
    (tmp_path / "yours").mkdir()
    for path in (corpora / "mine").iterdir():
        audio, _ = soundfile.read(path)
        soundfile.write(tmp_path / "yours" / path.name, audio[::-1], FS_HZ)
    parts = speech_parts("goetz", tmp_path, Given(speech=(corpora / "mine", tmp_path / "yours"), scale=SCALE))
    settings, inputs = parts["downstream-speech"].settings()
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    made = Dataset(tmp_path / "out")
    assert parts["downstream-speech"].origin == "a folder of audio files (that of the recordings)"
    assert set(made.table()["corpus"]) == {"folder", "folder-2"}
    assert made.table()["file"].nunique() == made.table()["clip"].nunique() == made.table()["group"].nunique()
    assert verify(made.root, deep=True) == []


@pytest.mark.parametrize("paper", ["revrir", "mvsd"])
def test_other_papers_take_several_corpora_of_speech_too(corpora, tmp_path, paper):
    given = Given(speech=(corpora / "LibriSpeech", corpora / "speechocean762"))
    parts = speech_parts(paper, tmp_path, given)
    heard = []
    for name, part in parts.items():
        settings, inputs = part.settings()
        generate(settings, tmp_path / name, workers=0, progress=False, inputs=inputs)
        heard.append(set(Dataset(tmp_path / name).table()["speaker"].astype(str)))
        assert part.origin == "LibriSpeech (CC BY 4.0) and speechocean762 (CC BY 4.0)"
    assert not heard[0] & heard[1]
    assert len(heard[0] | heard[1]) == 20


def test_a_paper_says_of_its_speech_what_it_is_and_how_it_was_cut(corpora, tmp_path, monkeypatch):
    goetz = papers()["goetz"]
    spoken = replace(goetz, parts=lambda *args: (part for part in goetz.parts(*args) if part.name.endswith("speech")))
    monkeypatch.setitem(papers(), "goetz", spoken)
    given = Given(speech=(corpora / "speechocean762", corpora / "mine"), overlap=0.5, scale=SCALE)
    make_paper("goetz", tmp_path / "out", given, workers=0, progress=False)
    told = json.loads((tmp_path / "out" / "paper.json").read_text(encoding="utf-8"))
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert told["overlap"] == 0.5
    assert told["parts"][-1]["origin"] == "a folder of audio files (that of the recordings) and speechocean762 (CC BY 4.0)"
    assert told["parts"][-1]["real"]
    assert "each repeat 50 % of the one before" in readme
    again = make_paper("goetz", tmp_path / "out", given, workers=0, progress=False)
    assert all(part["made"] == 0 for part in again["parts"])


@pytest.mark.parametrize(
    ("paper", "speech", "overlap", "message"),
    [
        ("goetz", ("LibriSpeech", "LibriSpeech"), 0, "is the same folder as --speech .*LibriSpeech: give each corpus once"),
        ("goetz", ("mine", "LibriSpeech/../mine"), 0, "is the same folder"),
        ("goetz", ("LibriSpeech", "."), 0, r"--speech .*LibriSpeech lies in --speech .*: .* Give folders side by side"),
        ("goetz", (".", "mine"), 0, r"--speech .*mine lies in"),
        (
            "goetz",
            ("LibriSpeech", "empty"),
            0,
            "--speech .*empty is an empty folder: give one that holds librispeech or speechocean762 or audio files",
        ),
        ("goetz", ("LibriSpeech", "nowhere"), 0, "--speech .*nowhere is not a folder: give one that holds librispeech or"),
        (
            "goetz",
            ("LibriSpeech", "texts"),
            0,
            r"texts holds none of the corpora that --speech can be\. librispeech: .* \\| folder: ",
        ),
        ("goetz", (), 1.0, "--overlap 1 must be at least 0 and less than 1"),
        ("goetz", (), -0.5, "--overlap -0.5 must be at least 0 and less than 1"),
        ("goetz", (), float("nan"), "--overlap nan must be at least 0 and less than 1"),
        ("revrir", (), 0.5, "--overlap 0.5 is for goetz and mvsd"),
    ],
)
def test_what_cannot_be_is_one_error_before_anything_is_written(corpora, tmp_path, paper, speech, overlap, message):
    given = Given(speech=tuple(corpora / name for name in speech), overlap=overlap, scale=SCALE)
    with pytest.raises(RoomgenError, match=message) as caught:
        make_paper(paper, tmp_path / "out", given, workers=0, progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_speech_is_brought_to_one_level_where_that_is_asked(corpora, tmp_path):
    speech = (corpora / "LibriSpeech", corpora / "speechocean762")
    told = make_paper("goetz", tmp_path, Given(speech=speech, scale=SCALE, speech_level_db=-30.0), workers=0, progress=False)
    assert told["speech_level_db"] == -30.0
    for half in ("upstream", "downstream"):
        heard = Dataset(tmp_path / f"{half}-speech")
        levels = [10 * np.log10(np.mean(item.audio.astype(np.float64) ** 2)) for item in heard]
        assert np.abs(np.array(levels) + 30).max() < 0.1
        assert "every segment of speech at -30 dB" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("paper", "level", "message"),
    [("mvsd", -26.0, "--speech-level -26 is for goetz"), ("goetz", 3.0, "--speech-level 3 must be from -100 to 0 dB")],
)
def test_a_level_that_cannot_be_is_one_error(tmp_path, paper, level, message):
    with pytest.raises(RoomgenError, match=message):
        make_paper(paper, tmp_path / "x", Given(speech_level_db=level), workers=0, progress=False)
    assert not (tmp_path / "x").exists()

"""The one reader of audio: what is whole is read as it was written, and nothing else passes, whoever reads it."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile

from roomgen import audio
from roomgen.audio import BadAudio, decode_audio, encode_flac, encode_wav, probe_audio, read_audio
from roomgen.corpora import open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.generate import generate
from roomgen.run.label import label_file

FS_HZ = 16000
SOUND = (0.1 * np.random.default_rng(0).standard_normal((2, 4000))).astype(np.float32)


def stored(kind, subtype=None):
    file = io.BytesIO()
    soundfile.write(file, SOUND.T, FS_HZ, format=kind, subtype=subtype)
    return file.getvalue()


def claiming(data, n_samples):
    """A FLAC file whose header claims a length: 36 bits of STREAMINFO, from the last four of byte 21 on (RFC 9639, 8.2)."""
    return data[:21] + bytes([data[21] & 0xF0 | n_samples >> 32]) + struct.pack(">I", n_samples & 0xFFFFFFFF) + data[26:]


def with_data_size(wav, size):
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", size) + wav[at + 4 :]


WAV, FLAC = encode_wav(SOUND, fs_hz=FS_HZ), encode_flac(SOUND, fs_hz=FS_HZ, bits=24)
SPOILT = SOUND.copy()
SPOILT[1, 7], SPOILT[0, 9] = np.nan, np.inf

WHOLE = {
    "float.wav": WAV,
    "24.flac": FLAC,
    "16.wav": stored("WAV", "PCM_16"),
    "big.wav": stored("WAVEX", "PCM_24"),
    "64.wav": stored("RF64", "FLOAT"),
    "a.aiff": stored("AIFF", "PCM_24"),
    "ffmpeg-into-a-pipe.wav": with_data_size(WAV, 0xFFFFFFFF),
    "sox-into-a-pipe.wav": with_data_size(WAV, 0x7FFFF000),
    "behind-other-chunks.wav": WAV[:12] + b"LIST" + struct.pack("<I", 5) + b"abcde\0" + WAV[12:],
}
BROKEN = {
    "cut by a byte.wav": (WAV[:-1], r"truncated: its header promises 32000 bytes of audio, 31999 are there"),
    "cut in half.wav": (WAV[: len(WAV) // 2], "truncated"),
    "cut in its header.wav": (WAV[:40], "truncated: it ends after 40 bytes, before its audio begins"),
    "16 bits cut.wav": (WHOLE["16.wav"][:-100], "truncated"),
    "64 bits cut.wav": (WHOLE["64.wav"][:-100], "truncated"),
    "cut.aiff": (WHOLE["a.aiff"][:-100], "truncated"),
    "cut.flac": (FLAC[: len(FLAC) // 2], "truncated|not readable as audio"),
    "cut a little.flac": (FLAC[:-50], "truncated|not readable as audio"),
    "42 bytes.flac": (claiming(FLAC[:42], (1 << 36) - 1), "claims to be too long: 68719476735 samples of 2 channels"),
    "unknown length.flac": (claiming(FLAC, 0), "claims to be too long"),
    "longer than it is.flac": (claiming(FLAC, 5000), "truncated|not readable as audio"),
    "not finite.wav": (encode_wav(SPOILT, fs_hz=FS_HZ), "holds values that are not finite: 2 of 8000"),
    "empty.wav": (b"", "empty|not readable"),
    "no samples.wav": (encode_wav(SOUND[:, :0], fs_hz=FS_HZ), "holds no samples"),
    "no audio.wav": (b"this is no audio" * 9, "not readable as audio"),
    "chunks without end.wav": (WAV[:12] + bytes(100_000) + WAV[12:], "before its audio begins"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_whole_is_read_as_it_was_written(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WHOLE[name])
    step = 2.0 ** -(15 if "16" in name else 23)
    assert probe_audio(path) == (FS_HZ, 2, 4000)
    for sound, fs_hz in (read_audio(path), decode_audio(WHOLE[name], name="x")):
        assert fs_hz == FS_HZ
        assert sound.dtype == np.float32
        np.testing.assert_allclose(sound, SOUND, atol=step)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_is_refused_by_everybody(tmp_path, name):
    data, reason = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadAudio, match=reason):
        read_audio(path)
    with pytest.raises(DatasetError, match=f"sample 3 .*(?:{reason})"):
        decode_audio(data, name="sample 3")
    with pytest.raises(RoomgenError, match=reason):
        label_file(path)
    corpus = open_corpus("folder", tmp_path)
    with pytest.raises(BrokenFile, match=reason):
        corpus.read(corpus.clips()[0])


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name.startswith(("cut", "16 bits", "64 bits", "42")) and "flac" not in name]
)
def test_that_a_wav_is_cut_short_is_known_before_it_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(BROKEN[name][0])
    with pytest.raises(BadAudio, match="truncated"):
        probe_audio(tmp_path / name)


def test_a_small_file_that_decodes_to_gigabytes_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros((1 << 20, 1), np.int16), FS_HZ, format="FLAC")
    path = tmp_path / "bomb.flac"
    path.write_bytes(silence.getvalue())
    assert len(silence.getvalue()) < 20_000  # a GB of samples in 20 MB
    read_audio(path)
    monkeypatch.setattr(audio, "MOST_SAMPLES", (1 << 20) - 1)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("it was decoded"))
    for look in (probe_audio, read_audio):
        with pytest.raises(BadAudio, match="claims to be too long: 1048576 samples of 1 channels"):
            look(path)


def test_hours_are_too_long_whatever_the_rate(tmp_path):
    path = tmp_path / "long.flac"
    mono = encode_flac(SOUND[:1], fs_hz=FS_HZ)
    path.write_bytes(claiming(mono, 4 * 3600 * FS_HZ))
    assert probe_audio(path).n_samples == 4 * 3600 * FS_HZ
    path.write_bytes(claiming(mono, 4 * 3600 * FS_HZ + 1))
    with pytest.raises(BadAudio, match="at most 4 h"):
        probe_audio(path)


def test_only_regular_files_of_sane_size_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    os.symlink("/dev/zero", tmp_path / "zero.wav")
    os.symlink(tmp_path / "pipe.wav", tmp_path / "link.wav")
    (tmp_path / "folder.wav").mkdir()
    with open(tmp_path / "sparse.wav", "wb") as file:
        file.write(WAV[:100])
        file.truncate(1 << 40)
    for name, reason in (
        ("pipe.wav", "is no regular file"),
        ("link.wav", "is no regular file"),
        ("zero.wav", "is no regular file"),
        ("folder.wav", "is no regular file|is a folder"),
        ("sparse.wav", "is too large: 1099511627776 bytes"),
        ("none.wav", "No such file|does not exist"),
        ("a\0b.wav", "null byte|does not exist"),
    ):
        for look in (probe_audio, read_audio):
            with pytest.raises(BadAudio, match=reason):
                look(tmp_path / name)
        with pytest.raises(RoomgenError, match=reason) as error:
            label_file(tmp_path / name)
        assert "\n" not in str(error.value)


def test_broken_files_of_every_kind_are_counted_and_end_no_job(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for i in range(6):
        (root / f"good{i}.wav").write_bytes(WAV)
    for name, (data, _) in BROKEN.items():
        (root / name).write_bytes(data)
    os.mkfifo(root / "pipe.wav")
    with open(root / "sparse.wav", "wb") as file:
        file.truncate(1 << 40)
    (root / os.fsdecode(b"latin-\xfc.wav")).write_bytes(WAV)
    (root / f"{'long' * 50}.wav").write_bytes(WAV)
    settings, inputs = sources_settings("folder", root, {"splits.shares": {"train": 1.0}})
    summary = generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs, max_broken=0.9)
    assert summary["samples"] == 7
    broken = dict(summary["broken_files"])
    assert broken.keys() == {*BROKEN, "sparse.wav", r"latin-\udcfc.wav"}  # a pipe is no audio file of a corpus at all
    assert broken[r"latin-\udcfc.wav"] == "has a name that is not UTF-8"
    with pytest.raises(RoomgenError, match=r"more than --max-broken 0\.5 allows") as error:
        generate(settings, tmp_path / "other", workers=0, progress=False, inputs=inputs, max_broken=0.5)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("at", range(58))
def test_a_damaged_header_is_refused_or_read_as_libsndfile_reads_it(tmp_path, at):
    for value in (0x00, 0x7F, 0xFF):
        data = WAV[:at] + bytes([value]) + WAV[at + 1 :]
        try:
            sound, fs_hz = decode_audio(data, name="x")
        except DatasetError:
            continue
        expected, expected_fs_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        assert fs_hz == expected_fs_hz
        np.testing.assert_array_equal(sound, expected.T)


@pytest.mark.parametrize("work", [lambda: encode_flac(SOUND, fs_hz=FS_HZ), lambda: decode_audio(FLAC, name="x")])
def test_no_python_runs_within_libsndfile_where_an_interrupt_would_be_lost(work, monkeypatch):
    def callback(*_):
        pytest.fail("libsndfile calls Python")

    monkeypatch.setattr(soundfile.SoundFile, "_init_virtual_io", callback)
    work()

"""SoundSpaces-Speech: speech as heard in scanned homes, with the listener's view (Chen, Sun, Harwath and Grauman, 2021)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.views.panorama import encode_view
from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, Recording, read_bytes
from roomgen.corpora.listing import in_order
from roomgen.corpora.plain_pickle import NotPlain, load_plain
from roomgen.corpora.views import VIEW_MEMBER, panorama_of

_FS_HZ = 16_000
_SUBSETS = {"val-mini": "val"}  # the archive is called so, its recordings are the validation set
_MOST_BYTES = 1 << 28  # more than any recording of this corpus has


class SoundSpacesSpeech(Corpus):
    """Reverberant speech (``receiver_audio``) and the panorama around the listener; the group is the home.

    Its files are pickles, which could run any code on loading: see :mod:`roomgen.corpora.plain_pickle` for how they are read.
    To know a recording's length its whole file must be read.
    """

    name = "soundspaces-speech"
    default_split: ClassVar[Literal["group", "subset"]] = "subset"
    extra_members: ClassVar[tuple[str, ...]] = (VIEW_MEMBER,)
    about: ClassVar[About] = About(
        title="SoundSpaces-Speech",
        kind="speech",
        url="https://github.com/facebookresearch/visual-acoustic-matching",
        licence="none stated of its own; speech of LibriSpeech (CC BY 4.0), homes of Matterport3D (non-commercial research)",
        size="several ten thousand utterances of LibriSpeech at 16 kHz in some 80 homes",
        layout="""
        SUBSET/HOME/SPEAKER-CHAPTER-NUMBER.pkl, SUBSET one of train, val (or val-mini), test-seen, test-unseen
        each a dict: receiver_audio, source_audio, rir (1-D arrays, 16 kHz), rgb, depth, semantic (lists of pictures)
        """,
        papers=("mvsd",),
    )

    def clips(self) -> list[Clip]:
        clips = []
        for file in self.folder.glob("*/*/*.pkl"):
            path = file.relative_to(self.folder).as_posix()
            folder, home, _ = path.split("/")
            subset = _SUBSETS.get(folder, folder)
            if subset not in ("train", "val", "test-seen", "test-unseen"):
                continue
            speaker = PurePosixPath(path).stem.split("-")[0]
            clips.append(Clip(name=path, path=path, speaker=speaker, subset=subset, location=home, group=home))
        if not clips:
            raise self.layout_error("it has no SUBSET/HOME/NAME.pkl")
        return in_order(clips)

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        return _FS_HZ, 1, self.audio_of(clip, "receiver_audio").shape[1]

    def read(self, clip: Clip) -> Recording:
        contents = self._contents(clip)
        view = encode_view(panorama_of(contents.get("rgb"), name=clip.path))
        return Recording(_audio(contents, "receiver_audio", clip.path), _FS_HZ, {VIEW_MEMBER: view})

    def audio_of(self, clip: Clip, what: Literal["receiver_audio", "source_audio", "rir"]) -> NDArray[np.float32]:
        """Return one of the three signals of a recording, (1, time) at 16 kHz: as heard, as spoken, or the response between.

        Raises:
            BrokenFile: not readable, or without it.
        """
        return _audio(self._contents(clip), what, clip.path)

    def _contents(self, clip: Clip) -> dict[object, object]:
        try:
            contents = load_plain(read_bytes(self.folder, clip.path, most=_MOST_BYTES))
        except NotPlain as error:
            raise BrokenFile(clip.path, str(error)) from None
        if not isinstance(contents, dict):
            raise BrokenFile(clip.path, "does not hold a dict")
        return contents


def _audio(contents: dict[object, object], what: str, path: str) -> NDArray[np.float32]:
    audio = contents.get(what)
    if not isinstance(audio, np.ndarray) or audio.ndim != 1 or not len(audio) or audio.dtype.kind not in "fi":
        raise BrokenFile(path, f"has no {what}")
    if not np.isfinite(audio).all():
        raise BrokenFile(path, f"holds values in its {what} that are not finite")
    if audio.dtype.kind == "i":
        audio = audio / (np.iinfo(audio.dtype).max + 1.0)
    return np.ascontiguousarray(audio[None], dtype=np.float32)

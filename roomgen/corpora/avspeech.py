"""Acoustic AVSpeech: reverberant speech of web videos, with a picture of the place (Chen, Gao, Calamia and Grauman, CVPR 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from roomgen.acoustics.views.panorama import encode_view
from roomgen.corpora.base import About, Clip, Corpus, Recording, read_bytes
from roomgen.corpora.listing import in_order
from roomgen.corpora.views import VIEW_MEMBER, decode_picture

_MOST_BYTES = 1 << 26


class AcousticAVSpeech(Corpus):
    """Speech and one picture per clip; there is no dry speech.

    Subsets go by position in the sorted list, as the authors' code has them: the first 95 % are ``train``, the next 2.5 %
    ``val``, the last 2.5 % ``test-unseen``. Their ``test-seen`` is the first 2.5 % of train, hence no subset of its own.
    """

    name = "avspeech"
    default_split: ClassVar[Literal["group", "subset"]] = "subset"
    extra_members: ClassVar[tuple[str, ...]] = (VIEW_MEMBER,)
    about: ClassVar[About] = About(
        title="Acoustic AVSpeech",
        kind="speech",
        url="http://dl.fbaipublicfiles.com/vam/acoustic_avspeech.zip",
        licence="none stated of its own; the videos belong to their makers",
        size="over 100,000 clips of about 3 s at 16 kHz",
        layout="""
        img/ID.png
        audio/ID.wav
        """,
        papers=("mvsd",),
    )

    def clips(self) -> list[Clip]:
        for folder in ("img", "audio"):
            if not (self.folder / folder).is_dir():
                raise self.layout_error(f"it has no {folder}/")
        ids = sorted(path.stem for path in (self.folder / "img").glob("*.png") if not path.name.startswith("."))
        if not ids:
            raise self.layout_error("img/ has no ID.png")
        n_train, n_known = int(0.95 * len(ids)), int(0.975 * len(ids))
        subsets = ["train"] * n_train + ["val"] * (n_known - n_train) + ["test-unseen"] * (len(ids) - n_known)
        clips = [Clip(name=f"{i}.wav", path=f"audio/{i}.wav", subset=s) for i, s in zip(ids, subsets, strict=True)]
        return in_order(clips)

    def files(self, clip: Clip) -> tuple[str, ...]:
        return (clip.path, _picture(clip))

    def read(self, clip: Clip) -> Recording:
        recording = super().read(clip)
        path = _picture(clip)
        picture = read_bytes(self.folder, path, most=_MOST_BYTES)
        return Recording(recording.audio, recording.fs_hz, {VIEW_MEMBER: encode_view(decode_picture(picture, name=path))})


def _picture(clip: Clip) -> str:
    return f"img/{clip.path.removeprefix('audio/').removesuffix('.wav')}.png"

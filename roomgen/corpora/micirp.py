"""MicIRP, or any folder of WAV files each of which is the impulse response of a microphone of its own."""

from __future__ import annotations

from roomgen.corpora.base import About, Clip, Corpus, audio_files, clip_name, unique_names

_ENDINGS = (".wav", ".flac", ".aif", ".aiff")


class MicIRP(Corpus):
    """One response a file; the file's name is the microphone's."""

    name = "micirp"
    about = About(
        title="MicIRP, impulse responses of vintage microphones",
        kind="responses",
        url="https://micirp.blogspot.com (all 66 in one folder: datasets/dirs of github.com/fschmid56/cpjku_dcase23)",
        licence="Creative Commons (variant not named), credit MicIRP and Xaudia",
        size="66 files, 4 MB",
        layout="<microphone>.wav, in any folders",
        papers=("icl",),
    )

    def clips(self) -> list[Clip]:
        paths = audio_files(self.folder, endings=_ENDINGS)
        if not paths:
            raise self.layout_error("there is no WAV file in it")
        stems = [path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in paths]
        # Two folders may have a file of the same name: then the microphone's name tells them apart as well.
        names, devices = unique_names(clip_name(path) for path in paths), unique_names(stems)
        return [Clip(name, path, device=device) for name, path, device in zip(names, paths, devices, strict=True)]

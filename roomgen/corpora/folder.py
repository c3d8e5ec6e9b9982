"""Any folder of audio files: the first-level folder of a file is its class."""

from __future__ import annotations

from typing import ClassVar

from roomgen.corpora.base import About, Clip, Corpus, audio_files
from roomgen.corpora.listing import in_order


class AnyFolder(Corpus):
    """All audio files below a folder, each a group of its own; hidden files and folders are left out."""

    name = "folder"
    about: ClassVar[About] = About(
        title="a folder of audio files",
        kind="any",
        url="your own recordings",
        licence="that of the recordings",
        size="any",
        layout="""
        CLASS/…/NAME.wav (or .flac, .ogg, .opus, .mp3, .aif); files beside the class folders have no class
        """,
    )

    def clips(self) -> list[Clip]:
        paths = audio_files(self.folder)
        if not paths:
            raise self.layout_error("it has no audio files")
        return in_order(Clip(name=path, path=path, class_name=path.split("/")[0] if "/" in path else "") for path in paths)

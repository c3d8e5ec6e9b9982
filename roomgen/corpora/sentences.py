"""English sentences without end, written for this project: plain words, put together by a small grammar.

They mean little, but read like the prose of a storybook and use most sounds of the language.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources

import numpy as np

_RULES: dict[str, list[str]] = tomllib.loads((resources.files("roomgen.corpora") / "sentences.toml").read_text(encoding="utf-8"))
_SLOT = re.compile(r"\{(\w+)\}")
_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeio]|honest|umb|unc)")  # an old, an umbrella, but a useful


def sentence(rng: np.random.Generator) -> str:
    """Return one sentence of 6 to 25 words or so."""
    text = _RULES["S"][rng.integers(len(_RULES["S"]))]
    while match := _SLOT.search(text):
        choices = _RULES[match.group(1)]
        text = text[: match.start()] + choices[rng.integers(len(choices))] + text[match.end() :]
    text = _BEFORE_VOWEL.sub(r"\1n ", text)
    return text[0].upper() + text[1:]


def passage(rng: np.random.Generator, *, words: tuple[int, int]) -> str:
    """Return sentences with a number of words within ``words``: drawn again until they fit."""
    while True:
        drawn: list[str] = []
        while (count := sum(len(text.split()) for text in drawn)) < words[0]:
            drawn.append(sentence(rng))
        if count <= words[1]:
            return " ".join(drawn)

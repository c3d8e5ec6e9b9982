"""English sentences without end, written for this project: plain words, put together by a small grammar.

They mean little, but read like the prose of a storybook and use most sounds of the language.
"""

from __future__ import annotations

import re

import numpy as np

_RULES: dict[str, tuple[str, ...]] = {
    "S": (
        "{time} {who} {did} {what} {where}.",
        "{who} {did} {what} {where}, and {who} {did} {what}.",
        "When {who} {went} {where}, {who} {did} {what}.",
        "{who} {said} that {who} had never {seen} {what}.",
        "{who} {did} {what} {where}, but {who} {went} {where} instead.",
        "{who} {did} {what} because {weather}.",
        "{weather}, so {who} {went} {where} {how}.",
        "{time} {weather}, and {who} {did} {what} {how}.",
        "{what_else} belonged to {who}, who {went} {where}.",
        "Nobody {where} knew why {who} {did} {what}.",
        "If {weather} again, {who} will have to {do} {what}.",
        "{who} {went} {where} with {what} and {number} {things}.",
    ),
    "who": (
        *("the {kind} {person}", "the {person}", "the {person} from {place}", "a {kind} {person}", "{name}", "{name}"),
        *("{name} and the {person}", "our {kind} {person}"),
    ),
    "what": (
        *("the {look} {thing}", "a {look} {thing}", "{number} {things}", "the {thing} of the {person}", "{number} {look} {things}"),
        *("the {thing} and the {thing}", "every {thing}"),
    ),
    "what_else": ("The {look} {thing}", "This {thing}", "The {number} {look} {things}"),
    "person": (
        *(
            "baker",
            "captain",
            "carpenter",
            "clockmaker",
            "cousin",
            "farmer",
            "ferryman",
            "fisherman",
            "gardener",
            "judge",
            "keeper",
        ),
        *(
            "librarian",
            "miller",
            "musician",
            "nurse",
            "painter",
            "pilot",
            "potter",
            "schoolteacher",
            "shepherd",
            "soldier",
            "tailor",
        ),
        *(
            "traveller",
            "uncle",
            "watchman",
            "widow",
            "doctor",
            "jeweller",
            "goldsmith",
            "messenger",
            "neighbour",
            "beekeeper",
        ),
    ),
    "name": (
        *("Agnes", "Albert", "Beatrice", "Charles", "Dorothy", "Edgar", "Eleanor", "Frederick", "Gertrude", "Harold", "Isabel"),
        *("Jonathan", "Katherine", "Leonard", "Margaret", "Nathaniel", "Olivia", "Philip", "Rosamund", "Samuel", "Theodore"),
        *("Ursula", "Victor", "Winifred", "Zachary", "Judith", "Hugh", "Yvonne"),
    ),
    "kind": (
        *("old", "cheerful", "patient", "quiet", "stubborn", "tired", "careful", "clever", "curious", "honest", "jealous", "proud"),
        *("thoughtful", "weary", "generous", "shy", "young", "brave", "gentle", "forgetful"),
    ),
    "look": (
        *("small", "heavy", "broken", "yellow", "blue", "wooden", "copper", "ancient", "bright", "narrow", "polished", "rusty"),
        *("smooth", "square", "thick", "useful", "velvet", "worn", "enormous", "fragile", "grey", "scarlet", "shallow", "plain"),
    ),
    "thing": (
        *("basket", "bell", "boat", "box", "bridge", "candle", "chair", "clock", "cloak", "door", "drum", "feather", "fiddle"),
        *(
            "garden gate",
            "hammer",
            "jar",
            "kettle",
            "key",
            "ladder",
            "lantern",
            "ledger",
            "letter",
            "map",
            "mirror",
            "oar",
            "pouch",
        ),
        *(
            "quilt",
            "ring",
            "saddle",
            "shovel",
            "spoon",
            "table",
            "telescope",
            "umbrella",
            "vase",
            "wagon",
            "whistle",
            "treasure chest",
        ),
    ),
    "things": (
        *("apples", "books", "boots", "bottles", "bricks", "chestnuts", "coins", "eggs", "fishes", "geese", "horses", "loaves"),
        *("mushrooms", "nails", "oranges", "oysters", "pages", "pictures", "ribbons", "roses", "sheep", "shillings", "stones"),
        *("thimbles", "voices", "walnuts", "watches"),
    ),
    "number": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "eleven", "twelve", "twenty", "forty", "a hundred"),
    "did": (
        *("borrowed", "bought", "carried", "counted", "cleaned", "described", "drew", "examined", "found", "forgot", "hid", "left"),
        *("lost", "measured", "mended", "noticed", "offered", "painted", "pushed", "refused", "remembered", "sold", "showed"),
        *("shook", "took", "touched", "watched", "weighed", "chose", "gathered"),
    ),
    "do": ("bring", "choose", "fetch", "finish", "give back", "guard", "join", "keep", "paint", "share", "throw away", "unload"),
    "seen": ("seen", "heard of", "wished for", "dreamt of", "looked for", "asked about", "thought of", "spoken of"),
    "went": ("walked", "hurried", "rode", "wandered", "sailed", "climbed", "returned", "drove", "ran", "crept", "marched"),
    "said": ("said", "believed", "declared", "whispered", "wrote", "explained", "thought", "complained", "promised", "swore"),
    "where": (
        *("above the mill", "across the square", "along the river", "at the edge of the forest", "behind the chapel"),
        *("beneath the bridge", "beside the fountain", "beyond the meadow", "by the harbour", "down the valley", "in the cellar"),
        *("in the kitchen", "near the lighthouse", "on the northern shore", "over the hill", "past the orchard", "round the tower"),
        *("through the market", "to the railway station", "towards the village", "under the oak tree", "up the winding stairs"),
        *("outside the theatre", "between the two hedges", "among the ruins"),
    ),
    "place": ("the islands", "the south", "the next village", "the other side", "the mountains", "the city", "the coast", "abroad"),
    "time": (
        *(
            "Before breakfast,",
            "Early in the morning,",
            "At noon,",
            "Late in the evening,",
            "On the first of May,",
            "One winter night,",
        ),
        *("The next day,", "Last Thursday,", "Twice a year,", "After the storm,", "During the harvest,", "In those days,"),
        *("At five o'clock,", "Every other week,", "Shortly afterwards,", "On Sundays,"),
    ),
    "weather": (
        *("it was raining", "the wind had turned", "the fog was thick", "the sun was shining", "the snow lay deep", "it grew dark"),
        *(
            "the roads were frozen",
            "thunder was rolling in the west",
            "the moon had risen",
            "the tide was low",
            "the air was clear",
        ),
    ),
    "how": (
        *("without a word", "with great pleasure", "as fast as possible", "very slowly", "by mistake", "for the last time"),
        *("in good spirits", "against all advice", "rather unwillingly", "once more", "just in time", "to everyone's surprise"),
    ),
}
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

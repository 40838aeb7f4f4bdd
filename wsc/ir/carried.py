"""What a step hands on to the next one, by the names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping


def carried(
    inputs: Iterable[str], outputs: Collection[str], named: Mapping[str, str]
) -> dict[str, str]:
    """Input -> the output of which the next step is given the value.

    named: those that a user names. Others go by the names that exporters give: ``past...`` is given
    ``present...``, and ``x`` what is called ``next_x``.
    """
    found = dict(named)
    for name in inputs:
        left = next((item for item in _names_of_next(name) if item in outputs), None)
        if left is not None and left not in found.values():
            found.setdefault(name, left)
    return found


def _names_of_next(name: str) -> Iterator[str]:
    for old in ("past_key_values", "past"):
        if name.startswith(old):
            yield f"present{name.removeprefix(old)}"
    yield f"next_{name}"

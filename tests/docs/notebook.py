"""The guide as a Jupyter notebook: what is a block there is a cell here, with what it gave.

Cells of a notebook are run one after the other in one session, as the blocks of the page are by
``Page``: a program becomes a cell that writes its file, a command one for the shell. What
the page shows of the output of a block is the output of its cell. The notebook is made of the page
that ``Page.render`` gives, so that what it shows is what came out.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.docs.pages import BLOCK

FORMAT = {"nbformat": 4, "nbformat_minor": 5}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What the page's reader has done in a terminal: a folder to work in, the environment, the digits.
SETUP = """\
import os
import sys
import tempfile
from pathlib import Path

from wsc import models

os.chdir(tempfile.mkdtemp(prefix="wsc-guide-"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
for file in (models.DIGITS, models.DIGITS_MLP):
    Path(file.name).write_bytes(file.read_bytes())
"""


def notebook(page: str) -> str:
    """The text of the notebook of a rendered page."""
    title, rest = page.split("\n\n", 1)
    cells: list[dict[str, Any]] = [_words(title), _code(SETUP)]
    end = 0
    for found in BLOCK.finditer(rest):
        before, end = rest[end : found.start()], found.end()
        how, kind, body = found["how"] or "", found["kind"], found["body"]
        if how == "output":
            # The words between the two come behind what the cell gave.
            last = next(cell for cell in reversed(cells) if cell["cell_type"] == "code")
            last["outputs"] = _printed(body)
            _add_words(cells, before)
            continue
        _add_words(cells, before)
        if kind == "python":
            cells.append(_code(body))
        elif kind == "wsa" and how == "":
            name = body.split("\n", 1)[0].removeprefix("; file: ")
            cells.append(_code(f"%%writefile {name}\n{body}"))
        elif kind == "console":
            lines = body.splitlines(keepends=True)
            commands = [line[2:] for line in lines if line.startswith("$ ")]
            output = [line for line in lines if not line.startswith("$ ")]
            # A shell with pipes: behind an exclamation mark tables are cut to a screen.
            cells.append(_code("".join(["%%sh\n", *commands])))
            cells[-1]["outputs"] = _printed("".join(output))
        else:
            _add_words(cells, f"```{kind}\n{body}```")
    _add_words(cells, rest[end:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    made = {"cells": cells, "metadata": METADATA, **FORMAT}
    return json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _lines(text: str) -> list[str]:
    return text.strip("\n").splitlines(keepends=True)


def _words(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text)}


def _add_words(cells: list[dict[str, Any]], text: str) -> None:
    """Words as a cell; right behind others, in theirs."""
    if not text.strip():
        return
    if cells[-1]["cell_type"] == "markdown":
        text = "\n\n".join(["".join(cells.pop()["source"]), text.strip("\n")])
    cells.append(_words(text))


def _code(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": _lines(source),
    }


def _printed(text: str) -> list[dict[str, Any]]:
    if not re.search(r"\S", text):
        return []
    lines = text.splitlines(keepends=True)
    return [{"name": "stdout", "output_type": "stream", "text": lines}]

"""The pages point at files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)")


PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "docs", "docs/adr", "runtime")
    for path in (ROOT / folder).glob("*.md")
)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


NAMED = re.compile(r"\[`(\w+)`\]\(([^)#]+\.py)\)")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    missing = [link for link in LINK.findall(text) if not (path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_functions_are_where_links_say(page: str) -> None:
    path = ROOT / page
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    missing = [
        f"{name} in {file}"
        for name, file in NAMED.findall(text)
        if f"\ndef {name}(" not in (path.parent / file).read_text(encoding="utf-8")
    ]
    assert not missing


def test_every_section_of_the_machine_says_where_it_is_in_code() -> None:
    text = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
    sections = text[text.index("\n## Router") :].split("\n## ")[1:]
    timeless = [part for part in sections if not part.startswith("Values without time")]
    assert len(timeless) > 5
    assert [part.split("\n")[0] for part in timeless if not NAMED.search(part)] == []


def test_every_page_of_docs_is_in_its_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []

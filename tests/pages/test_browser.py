"""The page in a real browser: a headless Chromium opens it from disk, and a reader uses it.

These tests need a Chromium on the machine (`make browser` says how to get one); `make test` leaves
them out, and the script of the page is tested without a browser in ``test_script.py``.
"""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import done, mlp, wsc

pytestmark = pytest.mark.browser

CHROMIUM = Path(__file__).parents[2] / ".ci" / "chromium"  # says where one is
# No sandbox, since tests may run as root; the rest keeps the browser from asking its maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Opened:
    """A page that was opened. asked: addresses. told: errors of the script and of the console."""

    page: Any
    asked: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])

    def mesh(self) -> str:
        """What the picture of the fabric shows now."""
        return self.page.evaluate("document.getElementById('mesh').toDataURL()")

    def close(self, path: Path) -> None:
        """Nothing was told on the way, and nothing but the file was asked for."""
        assert self.told == []
        assert self.asked == [path.as_uri()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = subprocess.run([CHROMIUM], capture_output=True, text=True, check=False).stdout.strip()
    assert found, "there is no Chromium on the path"
    # Only these tests need the package, and only where they run is it installed.
    with importlib.import_module("playwright.sync_api").sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlp(tmp_path_factory.mktemp("model"))


def opened(browser: Any, path: Path, scheme: str = "light") -> Opened:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    made = Opened(page)
    page.on("request", lambda request: made.asked.append(request.url))
    page.on("pageerror", lambda error: made.told.append(str(error)))
    page.on(
        "console",
        lambda message: made.told.append(message.text) if message.type == "error" else None,
    )
    page.goto(path.as_uri())
    return made


def test_a_click_marks_tiles_lines_and_nodes(browser: Any, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done(wsc("report", model, "--fabric", "5x3", "-o", out))
    seen = opened(browser, out)
    page = seen.page
    assert page.title().endswith(": wsc report")

    # A kernel marks its tiles in the picture, its lines in the text, its node in the network.
    before = seen.mesh()
    page.click("#table tbody tr:first-child")
    assert seen.mesh() != before
    assert page.locator("#lines .chosen").count() > 0
    assert page.locator("#graph .chosen").count() > 0

    # A node of the network marks its kernels; another one other lines.
    boxes = page.locator("#graph .box:has(.node)")
    marked: set[tuple[str, ...]] = set()
    for place in range(boxes.count()):
        boxes.nth(place).click()
        assert page.locator("#table .chosen").count() > 0
        marked.add(tuple(page.locator("#lines .chosen").all_inner_texts()))
    assert len(marked) > 2  # nodes that were fused have lines in common

    # A click on the picture chooses a tile, and so do the arrow keys.
    page.locator("#mesh").click(position={"x": 3, "y": 3})
    assert page.inner_text("#tile h3 >> nth=0") == "Tile 0,0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#tile h3 >> nth=0") == "Tile 1,1"

    # A head sorts the table; another click turns the order around.
    def lines() -> list[int]:
        return [int(text) for text in page.locator("#table tbody td:first-child").all_inner_texts()]

    page.click("#table th >> nth=0")
    first = lines()
    page.click("#table th >> nth=0")
    assert first == sorted(first, reverse=True)
    assert lines() == sorted(first)

    # Every layer of the picture can be shown, and most of them differ.
    shown = {
        (page.select_option("#layer", index=value), seen.mesh())[1]
        for value in range(page.locator("#layer option").count())
    }
    assert len(shown) > page.locator("#layer option").count() // 2
    seen.close(out)


def test_nothing_overflows_and_both_schemes_are_readable(
    browser: Any, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    done(wsc("estimate", model, "--fabric", "16x2", "--report", out))
    papers: list[str] = []
    for scheme in ("light", "dark"):
        seen = opened(browser, out, scheme)
        page = seen.page
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 1280
        style = "getComputedStyle(document.body)"
        papers.append(page.evaluate(f"{style}.backgroundColor"))
        assert page.evaluate(f"{style}.color") != papers[-1]
        # Printed, the page has no way about and nothing is cut off by a box that scrolls.
        page.emulate_media(media="print")
        assert not page.is_visible("nav")
        assert page.evaluate("getComputedStyle(document.getElementById('lines')).overflow") == (
            "visible"
        )
        seen.close(out)
    assert papers[0] != papers[1]


def test_a_replay_plays_to_its_end(browser: Any, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    replay = ("--replay", 5, "--replay-cycles", 40, "--window", "200-299")
    done(wsc("report", model, "--fabric", "5x3", *replay, "-o", out))
    seen = opened(browser, out)
    page = seen.page
    page.select_option("#layer", "replay")
    page.select_option("#speed", "100")
    page.click("#play")
    page.locator("#play", has_text="play").wait_for()  # while it plays, it says "stop"
    assert page.inner_text("#now").startswith("cycle 44: tile ")
    shown = {seen.mesh()}
    for cycle in reversed(range(5, 44)):
        page.click("#back")
        assert page.inner_text("#now").startswith(f"cycle {cycle}: tile ")
        shown.add(seen.mesh())
    assert len(shown) > 3

    # Wavelets, switches and semaphores are drawn over the states of tiles, each in its own way.
    page.locator("#mesh").click(position={"x": 3, "y": 3})
    assert "switch of scatter: position " in page.inner_text("#told")
    assert len({(page.select_option("#over", index=n), seen.mesh())[1] for n in range(2)}) == 2

    # A window of cycles has a picture of its own.
    page.select_option("#layer", "busy, main thread")
    pictures = {
        (page.select_option("#span", index=place), seen.mesh())[1]
        for place in range(page.locator("#span option").count())
    }
    assert len(pictures) == page.locator("#span option").count() == 3
    seen.close(out)


def test_one_of_two_runs_is_shown(browser: Any, model: Path, tmp_path: Path) -> None:
    one, other, out = (tmp_path / name for name in ("one.wsa", "other.wsa", "both.html"))
    done(wsc("compile", model, "--fabric", "5x3", "-o", one))
    done(wsc("compile", model, "--fabric", "2x2", "-o", other))
    done(wsc("report", one, other, "-o", out))
    seen = opened(browser, out)
    page = seen.page
    wide = page.locator("#mesh").bounding_box()["width"]
    page.click("#runs button >> nth=1")
    assert page.locator("#mesh").bounding_box()["width"] != wide
    assert page.locator("#compared tbody tr").count() > 3
    seen.close(out)

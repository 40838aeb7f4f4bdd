"""What all tests share: golden files, and the flag that rewrites them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wsc.passes.stage import check_promises

TESTS = Path(__file__).parent

check_promises()  # what each pass ensures is checked behind it

Golden = Callable[[str | Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write what the tests got into their golden files, then read the diff",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare text with a file in the tests tree: ``golden("isa/listing.txt", text)``.

    With ``--rewrite`` the file takes the text instead, and the test passes.
    """
    rewrite = bool(request.config.getoption("--rewrite"))

    def compare(path: str | Path, text: str) -> None:
        file = (TESTS / path).resolve()
        if not file.is_relative_to(TESTS):
            pytest.fail(f"{path}: a golden file lives in the tests tree")
        if rewrite:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        if not file.is_file():
            pytest.fail(f"{path}: no such golden file; pytest --rewrite makes it")
        wanted = file.read_text(encoding="utf-8")
        assert text == wanted, f"{path} differs; pytest --rewrite takes the new text"

    return compare

"""Every test of this folder draws its inputs from the same seed."""

from __future__ import annotations

import pytest

from tests.frontend.cases import reseed


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Start the generator of inputs anew."""
    reseed()

"""Other values for attributes of modules and classes, as long as a block lasts."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock


@contextmanager
def replacing(*replacements: tuple[Any, str, Any]) -> Generator[None]:
    """Replace attributes, each given as (owner, name, value), while the block lasts."""
    with ExitStack() as stack:
        for owner, name, value in replacements:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield

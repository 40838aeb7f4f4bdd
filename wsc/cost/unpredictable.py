"""The error of the cost model."""

from __future__ import annotations


class Unpredictable(ValueError):
    """A program that does what the cost model has no formula for; the text says what."""

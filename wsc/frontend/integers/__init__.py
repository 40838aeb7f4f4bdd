"""Operators on 64-bit integers whose results can leave 32 bits; ``table.lowered`` is the whole."""

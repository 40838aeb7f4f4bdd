"""Doubles that are computed as doubles, where a user asks for them (ADR 17)."""

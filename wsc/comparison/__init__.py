"""Outputs held against those of others, and the inputs that are drawn for it."""

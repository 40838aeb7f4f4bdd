"""Programs and weights on disk; files are written whole or not at all."""

"""What editors know of the assembly: its colors, and a language server."""

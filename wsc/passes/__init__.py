"""The passes, from graph to program; ``wsc.pipeline`` puts them in order."""

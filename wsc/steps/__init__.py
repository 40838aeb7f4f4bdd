"""Training: steps of a compiled program on one wafer or several."""

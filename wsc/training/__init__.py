"""From a model to the program of one training step."""

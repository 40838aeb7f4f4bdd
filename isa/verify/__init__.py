"""The checks of the verifier, by what they look at."""

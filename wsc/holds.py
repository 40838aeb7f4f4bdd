"""The ways to hold the weights of products: names that cost nothing to import."""

HOLDS = ("stream", "resident", "auto")

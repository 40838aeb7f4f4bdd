"""The ways to hold the weights of products, and code: names that cost nothing to import."""

HOLDS = ("stream", "resident", "auto")
CODES = RESIDENT, SECTIONS, AUTO = ("resident", "sections", "auto")

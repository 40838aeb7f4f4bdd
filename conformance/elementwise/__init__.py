"""How far from the exact result each elementwise operator is, over the whole range of a type."""

"""Time without values, tiles as lanes: one operation steps a queue of up to 512 tiles."""

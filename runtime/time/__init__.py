"""The time engine: cycles without values. Wavelets have no contents here."""

"""Benchmarks of compiler and simulator: ``python -m benchmarks`` (or ``make bench``)."""

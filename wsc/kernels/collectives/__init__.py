"""Kernels of single collectives, and programs that do one and nothing else."""

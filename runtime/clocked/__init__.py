"""What both engines with a clock have: records, and kernels that both libraries translate."""

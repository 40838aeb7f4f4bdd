"""Kernels: a small part of Python that is translated to LLVM code, one library an engine."""

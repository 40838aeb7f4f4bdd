"""ONNX's own backend test suite, run through ``wsc.backend``: ``python -m conformance``."""

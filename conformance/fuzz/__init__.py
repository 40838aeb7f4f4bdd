"""Bad input: changed models of ONNX's own suite, and what wsc makes of them."""

"""The graph IR: values, primitives, text form and checks."""

"""Valid models drawn at random, and what wsc makes of them: ``python -m conformance.graphs``.

A graph grows node by node. Each node is evaluated as soon as it is added, so every value of the
graph is known while it grows: the next node can be one that suits its operands.
"""

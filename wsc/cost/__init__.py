"""The cost model: what chooses forms, and what predicts the cycles of a program.

``model`` holds the formulas of a fabric, ``predict`` walks a program with them.
"""

from wsc.cost.model import Bound, CostModel, multiply_accumulates

__all__ = ["Bound", "CostModel", "multiply_accumulates"]

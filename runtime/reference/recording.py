"""Recording what units do: one place that all of the compiled code calls.

Every traced unit has its own part of the buffer, so that what is kept does not depend on
the order in which units are simulated. Adjacent times of one state at one row
are one entry.
"""

from __future__ import annotations

"""Do the tests see a fault? One change of the code at a time, in a copy, and its tests run."""

"""What a program and a run look like to people: lines, nodes, kernels, parts."""

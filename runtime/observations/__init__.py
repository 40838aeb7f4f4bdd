"""What engines with a clock leave to be looked at: counts, traces, who waits, what stopped them."""

"""The reference engine: values and time together, cycle by cycle. It specifies the machine."""

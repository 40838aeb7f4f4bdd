"""The contract of wsc: machine description, instruction table, program, text."""

"""The ``wsc`` command."""

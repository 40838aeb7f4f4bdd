"""``python -m wsc.cli`` is ``wsc``."""

from wsc.cli.start import main

main()

"""``python -m wsc.cli`` is ``wsc``."""

from wsc.cli.main import main

main()

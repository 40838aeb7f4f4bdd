"""``wsc lsp``: the language server of the assembly, on standard input and output."""

from __future__ import annotations

import click

from wsc.cli.common import Refusal, general


@click.command("lsp")
@general
def command() -> None:
    """Serve editors: diagnostics while typing, hover, definitions, rename, completion, layout.

    The Language Server Protocol is spoken on standard input and output; an editor starts this
    command (editors/README.md says how).
    """
    try:
        from wsc.editors.server import make_server
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise Refusal("the language server needs pygls: pip install 'wsc[lsp]'") from None
    make_server().start_io()

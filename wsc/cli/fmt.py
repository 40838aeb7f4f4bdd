"""``wsc fmt``: assembly in its one layout; words and comments stay."""

from __future__ import annotations

from pathlib import Path

import click

from wsc.cli.common import STANDARD, Refusal, general, say, standard_text
from wsc.store.files import require_writable, write_text

LONGEST = 1 << 26  # bytes of a text


@click.command("fmt")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PROGRAM.wsa|-..."
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file would change.")
@general
def command(files: tuple[Path, ...], check: bool) -> int:
    """Lay out assembly files anew, in place: indentation, spaces, and columns that line up.

    The program stays the same, and so do comments and the order of lines. - is standard input,
    and then the result goes to standard output.
    """
    changed = 0
    texts = {path: _read(path) for path in dict.fromkeys(files)}
    laid_out = {path: _formatted(path, text) for path, text in texts.items()}
    for path, text in laid_out.items():
        different = text != texts[path]
        changed += different
        if check:
            if different:
                say(f"{path}: would change")
        elif path == STANDARD:
            click.echo(text, nl=False)
        elif different:
            write_text(path, text)
            say(f"{path}: laid out anew", error=True)
    return int(check and changed > 0)


def _read(path: Path) -> str:
    from wsc.isa.files import read_text

    if path == STANDARD:
        return standard_text()
    require_writable(path)
    try:
        return read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise Refusal(f"{path}: cannot be read ({reason})") from error


def _formatted(path: Path, text: str) -> str:
    """The text in its layout; what is wrong with its syntax is told as the parser tells it."""
    from lark.exceptions import UnexpectedInput

    from wsc.isa.format import format_text
    from wsc.isa.parser import parse

    try:
        return format_text(text)
    except UnexpectedInput as error:
        parse(text, str(path))
        raise Refusal(f"{path}: cannot be laid out ({error})") from error

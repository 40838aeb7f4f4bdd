"""The language server as an editor sees it: a process, messages in, messages out."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from tests.cli.helpers import TWICE, refused, wsc

URI = "file:///tmp/a%20b/twice.wsa"


def test_an_editing_session() -> None:
    asyncio.run(asyncio.wait_for(_session(), 60))


async def _session() -> None:
    client = LanguageClient("test", "1")
    said: asyncio.Queue[list[lsp.Diagnostic]] = asyncio.Queue()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def _(params: lsp.PublishDiagnosticsParams) -> None:
        assert params.uri == URI
        said.put_nowait(list(params.diagnostics))

    await client.start_io(sys.executable, "-m", "wsc.cli", "lsp")
    await client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities()))
    client.initialized(lsp.InitializedParams())
    wrong = TWICE.replace("call take", "call tale", 1)
    item = lsp.TextDocumentItem(URI, "wsa", 1, wrong)
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
    (diagnostic,) = await said.get()
    line = next(n for n, text in enumerate(wrong.split("\n")) if "call tale" in text)
    assert "tale" in diagnostic.message
    assert diagnostic.range.start == lsp.Position(line, 7)
    assert diagnostic.range.end == lsp.Position(line, 11)

    # The mistake is mended, as an editor sends it.
    client.text_document_did_change(
        lsp.DidChangeTextDocumentParams(
            lsp.VersionedTextDocumentIdentifier(2, URI),
            [lsp.TextDocumentContentChangePartial(diagnostic.range, "take")],
        )
    )
    assert await said.get() == []
    document = lsp.TextDocumentIdentifier(URI)
    place = diagnostic.range.start
    where: Any = await client.text_document_definition_async(lsp.DefinitionParams(document, place))
    start = where.range.start
    assert TWICE.split("\n")[start.line][start.character :].startswith("take(at")
    hover: Any = await client.text_document_hover_async(lsp.HoverParams(document, place))
    assert "Take words" in hover.contents.value
    edit: Any = await client.text_document_rename_async(lsp.RenameParams(document, place, "fetch"))
    assert [change.new_text for change in edit.changes[URI]] == ["fetch", "fetch"]
    with pytest.raises(Exception, match="is no name"):
        await client.text_document_rename_async(lsp.RenameParams(document, place, "4"))
    words: Any = await client.text_document_completion_async(lsp.CompletionParams(document, place))
    assert {item.label for item in words} == {"take", "double", "give"}
    context = lsp.ReferenceContext(include_declaration=False)
    uses: Any = await client.text_document_references_async(
        lsp.ReferenceParams(context, document, place)
    )
    assert [use.range.start.line for use in uses] == [line]
    options = lsp.FormattingOptions(tab_size=2, insert_spaces=True)
    laid: Any = await client.text_document_formatting_async(
        lsp.DocumentFormattingParams(document, options)
    )
    assert "input a  : f32[8]" in laid[0].new_text
    outline: Any = await client.text_document_document_symbol_async(
        lsp.DocumentSymbolParams(document)
    )
    assert {"take", "buf", "into", "all"} <= {item.name for item in outline}
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "wsc.editors.server", raising=False)
    for name in ("pygls", "pygls.exceptions", "lsprotocol"):
        monkeypatch.setitem(sys.modules, name, None)
    refused(wsc("lsp"), "pip install 'wsc[lsp]'")

"""The language server: what ``wsc.editors.document`` knows, in the words of the protocol."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlparse

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from wsc.editors.document import (
    COLOR,
    CONSTANT,
    EDGE,
    LOCAL,
    PROCEDURE,
    REGION,
    TENSOR,
    Document,
    Name,
    RenameError,
)
from wsc.isa.tokens import Token

NAME, VERSION = "wsc", "1"

_COMPLETION = {
    "keyword": lsp.CompletionItemKind.Keyword,
    "instruction": lsp.CompletionItemKind.Operator,
    "function": lsp.CompletionItemKind.Function,
    PROCEDURE: lsp.CompletionItemKind.Function,
    CONSTANT: lsp.CompletionItemKind.Constant,
    COLOR: lsp.CompletionItemKind.Color,
    REGION: lsp.CompletionItemKind.Module,
}
_SYMBOLS = {
    PROCEDURE: lsp.SymbolKind.Function,
    REGION: lsp.SymbolKind.Module,
    COLOR: lsp.SymbolKind.Event,
    TENSOR: lsp.SymbolKind.Array,
    EDGE: lsp.SymbolKind.Interface,
    LOCAL: lsp.SymbolKind.Variable,
}


class Server(LanguageServer):
    """A server with the documents that it has analysed, each until its text changes."""

    def __init__(self) -> None:
        super().__init__(NAME, VERSION)
        self._known: dict[str, tuple[str, Document]] = {}

    def document(self, uri: str) -> Document:
        """The text that the editor has now."""
        text = self.workspace.get_text_document(uri).source
        known = self._known.get(uri)
        if known is None or known[0] != text:
            known = self._known[uri] = (text, Document(text, unquote(urlparse(uri).path)))
        return known[1]

    def forget(self, uri: str) -> None:
        """A document that is closed."""
        self._known.pop(uri, None)

    def publish(self, uri: str) -> None:
        """Send what is wrong with a document, or what most likely was not meant."""
        document = self.document(uri)
        graded = [(item, lsp.DiagnosticSeverity.Error) for item in document.checked[2]]
        graded += [(item, lsp.DiagnosticSeverity.Warning) for item in document.doubted]
        found = [
            lsp.Diagnostic(
                range=_range(item.location.line or 1, item.location.column or 1, item.width),
                message=item.message,
                severity=severity,
                source=NAME,
            )
            for item, severity in graded
        ]
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=uri, diagnostics=found)
        )

    def at(self, params: Any) -> tuple[Document, int, int]:
        """The document of a request, and its place, from 1."""
        document = self.document(params.text_document.uri)
        return document, params.position.line + 1, params.position.character + 1


def _range(line: int, column: int, width: int) -> lsp.Range:
    first = lsp.Position(line - 1, column - 1)
    return lsp.Range(first, lsp.Position(line - 1, column - 1 + width))


def _of(token: Token) -> lsp.Range:
    return _range(token.line, token.column, len(token.text))


def make_server() -> Server:
    """A server with all its features."""
    server = Server()
    _texts(server)
    _questions(server)
    _changes(server)
    return server


def _texts(server: Server) -> None:
    """What is wrong is said whenever a text is opened or changes."""

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.forget(params.text_document.uri)


def _questions(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        document, line, column = server.at(params)
        text = document.hover(line, column)
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        document, line, column = server.at(params)
        name = document.name_at(line, column)
        found = document.definition(name) if name else None
        return lsp.Location(params.text_document.uri, _of(found.token)) if found else None

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        document, line, column = server.at(params)
        name = document.name_at(line, column)
        places = document.places(name) if name else []
        return [
            lsp.Location(params.text_document.uri, _of(place.token))
            for place in places
            if params.context.include_declaration or not place.defines
        ]

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["<"]))
    def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        document, line, column = server.at(params)
        return [
            lsp.CompletionItem(
                item.word,
                kind=_COMPLETION.get(item.kind, lsp.CompletionItemKind.Variable),
                detail=item.detail or item.kind,
            )
            for item in document.proposals(line, column)
        ]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outline(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        document = server.document(params.text_document.uri)
        return [_symbol(name, last) for name, last in document.outline()]


def _symbol(name: Name, last: int) -> lsp.DocumentSymbol:
    first = lsp.Position(name.token.line - 1, 0)
    whole = lsp.Range(first, lsp.Position(last, 0))
    return lsp.DocumentSymbol(
        name.name, _SYMBOLS[name.space], whole, _of(name.token), detail=name.space
    )


def _changes(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_RENAME)
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        document, line, column = server.at(params)
        name = document.name_at(line, column)
        if name is None:
            return None
        try:
            replaced = document.rename(name, params.new_name)
        except RenameError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        edits = [lsp.TextEdit(_of(token), text) for token, text in replaced]
        return lsp.WorkspaceEdit(changes={params.text_document.uri: edits})

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        from lark.exceptions import UnexpectedInput

        from wsc.isa.format import format_text

        text = server.document(params.text_document.uri).text
        try:
            made = format_text(text)
        except UnexpectedInput:
            return None  # the diagnostics say why
        end = lsp.Position(text.count("\n") + 1, 0)
        return [lsp.TextEdit(lsp.Range(lsp.Position(0, 0), end), made)] if made != text else []

// Starts the language server of wsc and joins it to the editor; all knowledge is in the server.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async () => {
  const [command, ...args] = workspace.getConfiguration("wsc").get("command");
  client = new LanguageClient(
    "wsc",
    "wsc assembly",
    { command, args },
    { documentSelector: [{ language: "wsa" }] },
  );
  await client.start();
};

exports.deactivate = () => client && client.stop();

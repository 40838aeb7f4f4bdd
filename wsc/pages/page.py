"""The page around the data: one file of HTML that asks for nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

# The page may run its own script and nothing else, and may ask for no address at all.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(*runs: Mapping[str, Any]) -> str:
    """The whole page, with its style, its script and the data of one run or of several in it."""
    # Nothing in the data can end the element that they stand in.
    held = json.dumps(runs, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = html.escape(" and ".join(dict.fromkeys(str(data["title"]) for data in runs)))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: wsc report</title>
<style>
{_file("report.css")}</style>
</head>
<body>
{_file("report.html")}<script type="application/json" id="data">{held}</script>
<script>
{_file("report.js")}</script>
</body>
</html>
"""


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")

"""Excel workbooks as they are stored: what a cell holds, and how it is shown."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass(frozen=True)
class Cell:
    """Kind as stored (n, b or inlineStr), its text, whether Excel is told that it is a text."""

    kind: str
    text: str
    format: str = ""
    is_quoted: bool = False


def rows_of(path: Path) -> list[dict[str, Cell]]:
    """The rows of the only sheet by column letter. AssertionError when a cell is a formula."""
    with zipfile.ZipFile(path) as ledger_row:
        sheet = ElementTree.fromstring(ledger_row.read("xl/worksheets/sheet1.xml"))
        styles = ElementTree.fromstring(ledger_row.read("xl/styles.xml"))
    assert sheet.find(f".//{_SPACE}f") is None
    formats = {
        one.get("numFmtId"): one.get("formatCode", "") for one in styles.iter(f"{_SPACE}numFmt")
    }
    looks = list(styles.find(f"{_SPACE}cellXfs") or ())

    def cell(one: ElementTree.Element) -> Cell:
        look = looks[int(one.get("s", "0"))]
        text = "".join(part.text or "" for part in one.iter() if part.tag[-2:] in ("}t", "}v"))
        shown = formats.get(look.get("numFmtId"), "")
        return Cell(one.get("t", "n"), text, shown, look.get("quotePrefix") == "1")

    return [
        {re.sub(r"\d", "", one.get("r", "")): cell(one) for one in row}
        for row in sheet.iter(f"{_SPACE}row")
    ]

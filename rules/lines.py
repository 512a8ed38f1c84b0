"""Files of other programs, line by line: what is good is taken, what is not is named with its line and the way out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field

# One transaction takes at most this many lines, so that a till that waits for the writer does not notice.
AT_ONCE = 500


class Line(NamedTuple):
    """One line of a file: its number, and its fields by column. says: why it cannot be read at all."""

    number: int
    fields: Mapping[str, str]
    says: str = ""


class Refused(BaseModel):
    """A line that was not taken."""

    line: int
    says: str = Field(description="What is wrong with it, and the way out")


class Report(BaseModel):
    """What came of an import."""

    changed: int = Field(0, description="Lines that told something new")
    unchanged: int = Field(0, description="Lines that told what was known")
    strangers: int = Field(0, description="Lines of people who are no members; nothing is kept of them")
    refused: list[Refused] = Field(default_factory=list)

    def refuse(self, line: int, says: str) -> None:
        self.refused.append(Refused(line=line, says=says))


class NotALine(ValueError):
    """A line that cannot be taken; says why, and the way out."""


class NotAFile(ValueError):
    """Nothing of the file can be taken; says why, and the way out."""


def read_csv(path: Path, *, required: Sequence[str], name: str = "") -> tuple[list[str], Iterator[Line]]:
    """The columns of a CSV file and its lines. Raises NotAFile, and OSError if it cannot be opened."""
    name = name or path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise NotAFile(f"{name} is not UTF-8: save it as CSV UTF-8") from None
    if "\0" in text:
        raise NotAFile(f"{name} is not text: save it as CSV UTF-8")
    first = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    columns = [column.strip() for column in next(rows, [])]
    missing = [column for column in required if column not in columns]
    if missing:
        raise NotAFile(f"{name}:1: no column '{missing[0]}'; the first line names the columns: {', '.join(required)}")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise NotAFile(f"{name}:1: two columns '{twice[0]}'; leave one of them out")
    return columns, _lines(rows, columns)


def _lines(rows: Iterator[list[str]], columns: list[str]) -> Iterator[Line]:
    while True:
        number = rows.line_num + 1  # type: ignore[attr-defined]  # of csv.reader, whose type has no public name
        try:
            cells = next(rows, None)
        except csv.Error as problem:
            yield Line(number, {}, f"not CSV ({problem}); put the field in quotes")
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            way_out = "put a field with a comma in quotes" if len(cells) > len(columns) else "leave empty ones empty"
            says = f"the first line has {len(columns)} fields, this one {len(cells)}; {way_out}"
            yield Line(number, {}, says)
            continue
        yield Line(number, {column: cell.strip() for column, cell in zip(columns, cells, strict=True)})


def batches(lines: Iterable[Line], size: int = AT_ONCE) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

"""Every version of the book that ever ran, read when somebody asks for it."""

from __future__ import annotations

import sqlalchemy as sa

from rules import tables
from rules.book import Book, Mall
from rules.reading import parse_book
from rules.source import SourceError


class Shelf:
    """Versions by their digest, each read once."""

    def __init__(self, mall: Mall) -> None:
        self._mall = mall
        self._books: dict[str, Book] = {}

    def put(self, book: Book) -> None:
        self._books[book.version] = book

    def book(self, tx: sa.Connection, version: str) -> Book:
        """Raises SourceError if the plan no longer has what that version speaks of."""
        if version not in self._books:
            row = tables.book.c
            text = tx.execute(sa.select(row.text).where(row.version == version)).scalar_one()
            self._books[version] = parse_book(text, self._mall, name=f"version {version}")
        return self._books[version]

    def readable(self, tx: sa.Connection, version: str) -> Book | None:
        """The same, None where nothing can be read of it any more."""
        try:
            return self.book(tx, version)
        except SourceError:
            return None

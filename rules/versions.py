"""Versions of the book in the ledger: draft, check, preview, publish, roll back. The API and the command line both
do it through here.

A publication is one row with the next number: two who publish at once cannot both be next. Whatever decides follows
these rows (rules.promote), so a version is taken up without a restart.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.ledger import Ledger
from rules import tables
from rules.book import Book, Mall
from rules.changes import Change, changes, raises
from rules.lint import Checked, check
from rules.moving import FINISH_OLD, MOVE, Fate, landing
from rules.reading import version_of
from rules.shelf import Shelf

FILE = "file"
Fates = Mapping[str, Fate]


class NotSo(Exception):
    """What was asked cannot be done; the message says why and the way out. *kind* is stable, for machines."""

    def __init__(self, kind: str, says: str) -> None:
        super().__init__(says)
        self.kind = kind


class Version(BaseModel):
    """One text of the book, with who made it."""

    version: str
    made_ms: int
    author: str
    note: str
    parent: str | None
    published: list[int] = Field(description="The numbers under which it was in force, the last one last")
    waits: bool = Field(description="Whether it waits for a second person")


class Publication(BaseModel):
    """From *at_ms* on, *version* was in force."""

    number: int
    version: str
    at_ms: int
    author: str
    second: str | None
    note: str
    fates: dict[str, Fate]


class Concerned(BaseModel):
    """Members who are in the middle of one journey."""

    journey: str
    fate: Fate
    running: int = Field(description="Runs that are neither finished nor under the version asked about")
    holding: int = Field(description="Of these, how many hold an offer and are waited for")
    removed: dict[str, int] = Field(description="Runs in a step that the version no longer has, by step")
    ending: int = Field(description="Runs that would end: stopped, or nothing left for them")


class Preview(BaseModel):
    """What publishing would do."""

    version: str
    on_top_of: int = Field(description="The publication this was weighed against")
    changes: list[Change]
    raises: list[str] = Field(description="What may be spent more than before")
    needs_second: bool
    concerned: list[Concerned]


class Outcome(BaseModel):
    """publication is empty where the version now waits for a second person."""

    publication: Publication | None
    raises: list[str]


class Versions:
    """The versions of one ledger. Methods work in the transaction they are given."""

    def __init__(self, ledger: Ledger, mall: Mall, *, two_people: bool) -> None:
        """two_people  whether a version that may spend more needs a second person to publish it"""
        self._ledger, self._mall, self._two_people = ledger, mall, two_people
        self._shelf = Shelf(mall)

    def check(self, text: str) -> Checked:
        return check(text, self._mall)

    def text(self, tx: sa.Connection, version: str) -> str:
        """Raises NotSo."""
        found = tx.execute(sa.select(tables.book.c.text).where(tables.book.c.version == version)).scalar()
        if found is None:
            raise NotSo("no-such-version", f"there is no version {version}, in full as the list of versions shows it")
        return str(found)

    def all(self, tx: sa.Connection) -> list[Version]:
        """Every version, the newest first."""
        numbers: dict[str, list[int]] = {}
        p = tables.publication.c
        for version, number in tx.execute(sa.select(p.version, p.number).order_by(p.number)):
            numbers.setdefault(version, []).append(number)
        waiting = set(tx.execute(sa.select(tables.proposal.c.version).where(tables.WAITS)).scalars())
        b = tables.book.c
        rows = sa.select(b.version, b.made_ms, b.author, b.note, b.parent).order_by(b.made_ms.desc(), b.version)
        return [
            Version(**row, published=numbers.get(row["version"], []), waits=row["version"] in waiting)
            for row in tx.execute(rows).mappings()
        ]

    def publications(self, tx: sa.Connection, *, beyond: int = 0) -> list[Publication]:
        """Those with a number above *beyond*, oldest first."""
        p = tables.publication
        rows = tx.execute(sa.select(p).where(p.c.number > beyond).order_by(p.c.number)).mappings()
        return [Publication.model_validate(dict(row)) for row in rows]

    def in_force(self, tx: sa.Connection) -> Publication | None:
        p = tables.publication
        row = tx.execute(sa.select(p).order_by(p.c.number.desc()).limit(1)).mappings().first()
        return None if row is None else Publication.model_validate(dict(row))

    def number(self, tx: sa.Connection) -> int:
        """Of the publication in force; 0 before the first."""
        return tx.execute(sa.select(sa.func.max(tables.publication.c.number))).scalar() or 0

    def draft(self, tx: sa.Connection, text: str, *, author: str, note: str, parent: str | None, now_ms: int) -> str:
        """Keep a text under its version, whatever is still wrong with it; a text kept before stays whose it was."""
        version = version_of(text)
        row = {"version": version, "text": text, "made_ms": now_ms, "author": author, "note": note, "parent": parent}
        tx.execute(self._ledger.insert(tables.book).values(row).on_conflict_do_nothing())
        return version

    def preview(self, tx: sa.Connection, text: str, fates: Fates) -> Preview:
        """What publishing *text* would do now. Raises NotSo where it has errors, or a fate makes no sense."""
        book = self._readable(text)
        version = book.version
        force = self.in_force(tx)
        old = self._shelf.readable(tx, force.version) if force else None
        more = raises(old, book) if old else []
        return Preview(
            version=version,
            on_top_of=force.number if force else 0,
            changes=changes(self.text(tx, force.version), book.text) if force else [],
            raises=more,
            needs_second=self._needs_second(tx, version, more),
            concerned=self._concerned(tx, book, fates),
        )

    def publish(
        self, tx: sa.Connection, version: str, *, author: str, note: str, fates: Fates, now_ms: int,
        on_top_of: int | None = None,
    ) -> Outcome:  # fmt: skip
        """Put *version* in force, or have it wait for a second person. Raises NotSo.

        on_top_of  the publication the author looked at; another one since then is a refusal
        """
        mine = tables.proposal.c.version == version
        waits = tx.execute(sa.select(tables.proposal).where(mine, tables.WAITS)).mappings().first()
        if waits is not None:
            fates = {key: Fate.model_validate(fate) for key, fate in waits["fates"].items()} | dict(fates)
        seen = self.preview(tx, self.text(tx, version), fates)
        if on_top_of is not None and on_top_of != seen.on_top_of:
            raise NotSo(
                "published-meanwhile",
                f"publication {seen.on_top_of} came since you looked at {on_top_of}; preview again, then publish",
            )
        force = self.in_force(tx)
        if force is not None and force.version == version:
            raise NotSo("in-force", f"version {version} is in force already; there is nothing to publish")
        second: str | None = None
        if seen.needs_second:
            if waits is None or waits["on_top_of"] != seen.on_top_of:
                self._propose(tx, version, seen.on_top_of, author=author, note=note, fates=fates, now_ms=now_ms)
                return Outcome(publication=None, raises=seen.raises)
            if waits["author"] == author:
                raise NotSo(
                    "needs-second",
                    f"version {version} may spend more ({'; '.join(seen.raises)}), and you proposed it: "
                    "somebody else must publish it",
                )
            author, second, note = waits["author"], author, waits["note"] or note
        done = self._append(tx, version, seen.on_top_of, author, second, note, fates, now_ms)
        return Outcome(publication=done, raises=seen.raises)

    def withdraw(self, tx: sa.Connection, version: str, *, author: str, now_ms: int) -> None:
        """It waits for a second person no more; anybody who could agree may also take it back. Raises NotSo.

        It stays a draft, and who withdrew it stays on record: a file with that text is not proposed again at a start.
        """
        mine = sa.update(tables.proposal).where(tables.proposal.c.version == version, tables.WAITS)
        if tx.execute(mine.values(withdrawn_by=author, withdrawn_ms=now_ms)).rowcount == 0:
            self.text(tx, version)
            raise NotSo("not-waiting", f"version {version} waits for nobody; list the versions to see which do")

    def roll_back(self, tx: sa.Connection, *, author: str, note: str, fates: Fates, now_ms: int) -> Outcome:
        """Put the version in force that was so before the present one. Raises NotSo."""
        p = tables.publication.c
        number = self.number(tx)
        present = sa.select(p.version).where(p.number == number).scalar_subquery()
        before = sa.select(p.version).where(p.version != present).order_by(p.number.desc()).limit(1)
        version = tx.execute(before).scalar()
        if version is None:
            raise NotSo("nothing-before", "no other version was ever in force; there is nothing to roll back to")
        return self.publish(tx, version, author=author, note=note or "rolled back", fates=fates, now_ms=now_ms)

    def take_file(self, tx: sa.Connection, book: Book, now_ms: int) -> Outcome | None:
        """Publish the book of the file, unless it was published before: then what was published since stays."""
        for table in (tables.publication, tables.proposal):
            if tx.execute(sa.select(table.c.version).where(table.c.version == book.version).limit(1)).first():
                return None
        self.draft(tx, book.text, author=FILE, note="", parent=None, now_ms=now_ms)
        force = self.in_force(tx)
        old = self._shelf.readable(tx, force.version) if force else None
        more = raises(old, book) if old else []
        number = force.number if force else 0
        if self._needs_second(tx, book.version, more):
            self._propose(tx, book.version, number, author=FILE, note="", fates={}, now_ms=now_ms)
            return Outcome(publication=None, raises=more)
        done = self._append(tx, book.version, number, FILE, None, "", {}, now_ms)
        return Outcome(publication=done, raises=more)

    def _readable(self, text: str) -> Book:
        checked = self.check(text)
        if checked.book is None or checked.errors:
            places = "; ".join(fault.in_words() for fault in checked.errors[:3])
            more = f"; and {len(checked.errors) - 3} more" if len(checked.errors) > 3 else ""
            raise NotSo("has-errors", f"this text has errors, so it cannot be published: {places}{more}")
        return checked.book

    def _needs_second(self, tx: sa.Connection, version: str, more: list[str]) -> bool:
        if not self._two_people or not more:
            return False
        # What was in force before was agreed to then; going back to it must be quick.
        before = sa.select(tables.publication.c.number).where(tables.publication.c.version == version).limit(1)
        return tx.execute(before).first() is None

    def _concerned(self, tx: sa.Connection, book: Book, fates: Fates) -> list[Concerned]:
        i = tables.instance.c
        rows = tx.execute(
            sa.select(i.journey, i.version, i.step, i.phase, sa.func.count())
            .where(tables.RUNNING, i.version != book.version)
            .group_by(i.journey, i.version, i.step, i.phase)
        ).all()
        running = {row[0] for row in rows}
        for key, fate in fates.items():
            self._check_fate(tx, key, fate, book, running)
        found = {key: _nobody(key, fates) for key in sorted(running | set(fates))}
        for key, version, step, phase, count in rows:
            one = found[key]
            one.running += count
            one.holding += count if phase == "waiting" else 0
            journey = book.journeys.get(key)
            if journey is None or one.fate.steps.get(step, step) not in journey.index:
                one.removed[step] = one.removed.get(step, 0) + count
            if one.fate.fate == FINISH_OLD:
                continue
            old = self._shelf.readable(tx, version)
            goes_on = one.fate.fate == MOVE and old is not None and landing(step, key, one.fate, old, book) is not None
            one.ending += 0 if goes_on else count
        return list(found.values())

    def _check_fate(self, tx: sa.Connection, key: str, fate: Fate, book: Book, running: set[str]) -> None:
        if key not in book.journeys and key not in running:
            raise NotSo("no-such-journey", f"there is no journey '{key}' and nobody is in one; name one of the book's")
        if fate.fate != MOVE:
            return
        if key not in book.journeys:
            raise NotSo("nowhere-to-move", f"the version has no journey '{key}' to move to; choose finish_old or stop")
        for old, new in fate.steps.items():
            if new not in book.journeys[key].index:
                raise NotSo("no-such-step", f"'{key}' has no step '{new}' to rename '{old}' to")

    def _propose(
        self, tx: sa.Connection, version: str, on_top_of: int, *, author: str, note: str, fates: Fates, now_ms: int
    ) -> None:
        row = {
            "version": version, "on_top_of": on_top_of, "author": author, "note": note, "fates": _plain(fates),
            "at_ms": now_ms, "withdrawn_by": None, "withdrawn_ms": None,
        }  # fmt: skip
        insert = self._ledger.insert(tables.proposal).values(row)
        tx.execute(insert.on_conflict_do_update(index_elements=["version"], set_=row))

    def _append(
        self, tx: sa.Connection, version: str, on_top_of: int, author: str, second: str | None, note: str,
        fates: Fates, now_ms: int,
    ) -> Publication:  # fmt: skip
        row = {
            "number": on_top_of + 1, "version": version, "author": author, "second": second, "note": note,
            "fates": _plain(fates), "at_ms": now_ms,
        }  # fmt: skip
        insert = self._ledger.insert(tables.publication).values(row).on_conflict_do_nothing()
        if tx.execute(insert.returning(tables.publication.c.number)).first() is None:
            raise NotSo("published-meanwhile", "somebody else published just now; preview again, then publish")
        tx.execute(sa.delete(tables.proposal).where(tables.proposal.c.version == version))
        return Publication.model_validate(row)


def _nobody(key: str, fates: Fates) -> Concerned:
    return Concerned(journey=key, fate=fates.get(key, Fate()), running=0, holding=0, removed={}, ending=0)


def _plain(fates: Fates) -> dict[str, object]:
    return {key: fate.model_dump() for key, fate in fates.items()}

"""A YAML document whose every value knows where it stands, so that a mistake is told by line and column.

All mistakes of a document are collected and told together; reading goes on behind a broken value
with a stand-in, and no stand-in ever leaves: Faults.settle raises first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from engine.plainly import SaidPlainly, nearest
from rules.shape import MOST_MINOR, Part
from rules.times import Hours, NotTime, length_ms

T = TypeVar("T")
U = TypeVar("U")

# A book of hundreds of journeys is well under this; more is no book.
MOST_CHARACTERS = 1_000_000
# Nobody can read conditions nested deeper, and an alias to itself would nest for ever.
MOST_NESTING = 12
# A large book has some ten thousand; more come only of anchors that repeat each other.
MOST_VALUES = 200_000
_TWICE = re.compile(r'found duplicate key "([^"]*)"')
_DIRECTIVE = re.compile(r"^%YAML\s+(?!1\.2\b)(\S+)", re.MULTILINE)


ERROR, WARNING = "error", "warning"


class Fault(NamedTuple):
    """One mistake: where (line and column from 1), at which path, what is wrong and the way out.

    severity: an error is no book at all or one that cannot do what it says; a warning may be meant
    """

    line: int
    column: int
    path: str
    says: str
    severity: str = ERROR

    def in_words(self) -> str:
        """As part of a sentence about a text that has no name."""
        return f"line {self.line}, column {self.column}: {self.path + ': ' if self.path else ''}{self.says}"

    def text(self, name: str) -> str:
        kind = "" if self.severity == ERROR else f"{self.severity}: "
        return f"{name}:{self.line}:{self.column}: {kind}{self.path + ': ' if self.path else ''}{self.says}"


class Faults(list[Fault]):
    """What is wrong with a document so far; lines are its text, left how many values may still be read."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines, self.left = lines, MOST_VALUES


class SourceError(SaidPlainly):
    """A document that cannot be used; *faults* are all that was found wrong, in order of line."""

    def __init__(self, name: str, faults: Iterable[Fault]) -> None:
        self.name, self.faults = name, tuple(sorted(faults))
        super().__init__("\n".join(fault.text(name) for fault in self.faults))


class Spoilt(Exception):
    """This value is broken and its fault is noted; whoever reads a list or a field goes on without it."""


class Node:
    """One value of the document: where it stands, its path, and readers that note a fault when it does not fit."""

    def __init__(self, value: object, path: str, place: tuple[int, int], faults: Faults) -> None:
        self.value, self.path, self.place, self._faults = value, path, place, faults

    def fault(self, says: str, *, severity: str = ERROR) -> Spoilt:
        """Note what is wrong here; to be raised, or dropped where reading can go on."""
        self._faults.append(Fault(self.place[0] + 1, self.place[1] + 1, self.path, says, severity))
        return Spoilt()

    def fault_within(self, offset: int, says: str) -> Spoilt:
        """The same, at one character of a text that stands on one line, so that an editor jumps right there."""
        line, column = self.place  # of the key, where there is one
        starts = self._faults.lines[line].find(str(self.value), column) if line < len(self._faults.lines) else -1
        column = column if starts < 0 else starts + offset
        self._faults.append(Fault(line + 1, column + 1, self.path, says))
        return Spoilt()

    def text(self, like: str = "") -> str:
        """*like* is what could stand here, for whoever wrote something else."""
        if not isinstance(self.value, str):
            quotes = isinstance(self.value, bool | int | float)
            way_out = f"; write it like {like}" if like else "; put it in quotes" if quotes else ""
            raise self.fault(f"expected text, found {_shown(self.value)}{way_out}")
        if not self.value.strip():
            raise self.fault("nothing is written here; write something, or leave the key out")
        return str(self.value)

    def whole(self, least: int = 0, most: int = 2**53 - 1, like: str = "50") -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            quoted = isinstance(self.value, str) and self.value.isdecimal()
            way_out = "; take the quotes off" if quoted else f"; write digits only, such as {like}"
            raise self.fault(f"expected a whole number, found {_shown(self.value)}{way_out}")
        if not least <= self.value <= most:
            bounds = f"outside {least} to {most}" if most < MOST_MINOR else f"less than {least}"
            raise self.fault(f"{self.value} is {bounds if self.value < least or most < MOST_MINOR else 'too much'}")
        return int(self.value)

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fault(
                f"expected true or false, found {_shown(self.value)}; write one of the two, without quotes"
            )
        return self.value

    def one_of(self, known: Iterable[str], what: str) -> str:
        word, known = self.text(), tuple(known)
        if word not in known:
            raise self.fault(f"unknown {what} '{word}'; {nearest(word, known)}")
        return word

    def hours(self) -> Hours:
        self.text('"09:00-11:00"')
        return self.through(Hours.read)

    def through(self, read: Callable[[str], T]) -> T:
        """Read the text by *read*, whose ValueError says what is wrong."""
        try:
            return read(self.text())
        except ValueError as problem:
            raise self.fault(str(problem)) from problem

    def length_ms(self, *, least_ms: int = 0, instead: str = "") -> int:
        """A length of time; *instead* is a word that could stand here too."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            raise self.fault(f"{self.value} of what? give it a unit, such as {self.value}m for minutes")
        text = self.text()
        try:
            length = length_ms(text)
        except NotTime as problem:
            says = f"'{text}' is neither {instead} nor a length of time such as 30d" if instead else str(problem)
            raise self.fault(says) from None
        if length < least_ms:
            raise self.fault(f"'{text}' is no time at all; write a length such as 20m")
        return length

    def items(self) -> list[Node]:
        self._check_size()
        if not isinstance(self.value, CommentedSeq):
            like = f"; put it in brackets: [{self.value}]" if isinstance(self.value, str | int) else ""
            like = "; start each row of it with '-'" if isinstance(self.value, CommentedMap) else like
            raise self.fault(f"expected a list, found {_shown(self.value)}{like}")
        places = self.value.lc
        return [
            Node(item, f"{self.path}/{index}", _place(places.data, index, self.place), self._faults)
            for index, item in enumerate(self.value)
        ]

    def one_or_more(self) -> list[Node]:
        """A list, or one value standing for a list of one."""
        return self.items() if isinstance(self.value, CommentedSeq) else [self]

    def each(self, read: Callable[[Node], T]) -> tuple[T, ...]:
        """*read* every item; broken ones are noted and left out."""
        return _each(self.items(), read)

    def each_or_one(self, read: Callable[[Node], T]) -> tuple[T, ...]:
        nodes = self.one_or_more()
        if not nodes:
            raise self.fault("the list is empty; name at least one")
        return _each(nodes, read)

    def entries(self) -> dict[str, Node]:
        """A mapping with keys of the writer's own choice."""
        self._check_size()
        if not isinstance(self.value, CommentedMap):
            raise self.fault(f"expected a mapping, found {_shown(self.value)}")
        below: dict[str, Node] = {}
        for key, item in self.value.items():
            place = _place(self.value.lc.data, key, self.place)
            if not isinstance(key, str):
                Node(key, self.path, place, self._faults).fault(f"the name {_shown(key)} is no text; put it in quotes")
                continue
            below[key] = Node(item, f"{self.path}/{key}" if self.path else key, place, self._faults)
        return below

    def fields(self, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> Fields:
        """A mapping with our keys: unknown ones are refused with the likeliest meant, missing ones named."""
        entries, required = self.entries(), tuple(required)
        known = {*required, *optional}
        for key, node in entries.items():
            if key not in known:
                node.fault(f"unknown key '{key}'; {nearest(key, known)}")
        for key in required:
            if key not in entries:
                self.fault(f"'{key}' is missing")
        return Fields({key: node for key, node in entries.items() if key in known})

    def part(self, part: Part) -> Fields:
        if not isinstance(self.value, CommentedMap):
            keys = list(part.required or part.optional)
            like = ", ".join(f"{key}: ..." for key in (part.required or keys[:1]))
            says = f"expected a mapping with {', '.join(keys)}, found {_shown(self.value)}"
            raise self.fault(f"{says}; write it like {{{like}}}")
        return self.fields(required=part.required, optional=part.optional)

    def each_entry(self, read: Callable[[str, Node], T]) -> dict[str, T]:
        good: dict[str, T] = {}
        for key, node in self.entries().items():
            try:
                good[key] = read(key, node)
            except Spoilt:
                continue
        return good

    def _check_size(self) -> None:
        if self.path.count("/") > 2 * MOST_NESTING:
            raise self.fault("nested too deep to be read by anyone; put parts side by side instead")
        self._faults.left -= len(self.value) if isinstance(self.value, dict | list) else 0
        if self._faults.left < 0:
            raise self.fault("anchors (&, *) repeat each other without end here; write the values out")


class Fields(Mapping[str, Node]):
    """The known keys of a mapping that are there."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self._nodes = nodes

    def __getitem__(self, key: str) -> Node:
        return self._nodes[key]

    def __iter__(self) -> Any:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def take(self, key: str, read: Callable[[Node], T], otherwise: U) -> T | U:
        """*key* as *read* reads it; *otherwise* where it is absent or broken (its fault is noted then)."""
        if key not in self._nodes:
            return otherwise
        try:
            return read(self._nodes[key])
        except Spoilt:
            return otherwise


class Source:
    """A parsed document: its root node, the faults found so far, and the tree of its values, which nobody changes."""

    def __init__(self, text: str, name: str) -> None:
        """Parse YAML 1.2. Raises SourceError where it is no YAML at all."""
        self.name, self.text = name, text
        self.faults = Faults(text.splitlines() or [""])
        if len(text) > MOST_CHARACTERS:
            raise SourceError(name, [Fault(1, 1, "", f"{len(text)} characters is more than {MOST_CHARACTERS}")])
        older = _DIRECTIVE.search(text)
        if older:
            line = text.count("\n", 0, older.start()) + 1
            raise SourceError(name, [Fault(line, 1, "", f"YAML {older[1]} reads hours as numbers; drop the directive")])
        try:
            self.tree = _tree(text)
        except (YAMLError, ValueError, RecursionError) as problem:
            raise SourceError(name, [unreadable(problem)]) from problem
        self.root = Node(self.tree, "", (0, 0), self.faults)

    def at(self, path: str) -> Node:
        """The value at a path such as "journeys/day-out/steps/0". Raises LookupError where there is none."""
        node = self.root
        for name in filter(None, path.split("/")):
            node = node.items()[int(name)] if isinstance(node.value, CommentedSeq) else node.entries()[name]
        return node

    def settle(self) -> None:
        """Raise SourceError if anything was wrong."""
        if self.faults:
            raise SourceError(self.name, dict.fromkeys(self.faults))


@lru_cache(maxsize=8)  # whoever publishes a text has it checked, read and compared, and each begins here
def _tree(text: str) -> Any:
    return YAML(typ="rt").load(text)


def unreadable(problem: Exception) -> Fault:
    """What is wrong with a text that is no YAML, in words for who wrote it."""
    if isinstance(problem, MarkedYAMLError):
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Fault(line, column, "", _unreadable(problem))
    return Fault(1, 1, "", f"this is not YAML: {' '.join(str(problem).split())[:200]}")


def _unreadable(problem: MarkedYAMLError) -> str:
    says = " ".join(str(problem.problem or problem.context or "not YAML").split())
    twice = _TWICE.match(says)
    if twice:
        return f"'{twice[1]}' stands here a second time; rename one of the two, or take it out"
    if "'\\t'" in says:
        return "a tab cannot indent YAML; use spaces"
    if says.startswith("mapping values are not allowed"):
        return (
            "a ':' where none can stand; put the text around it in quotes, or see whether the line above lacks its own"
        )
    if says.startswith("expected <block end>"):
        return (
            "this does not go on with what stands above; indent it as its neighbours are, with a '-' before each item"
        )
    return f"{says}; look here and above for a quote or bracket left open, or a line indented wrongly"


def _each(nodes: list[Node], read: Callable[[Node], T]) -> tuple[T, ...]:
    good: list[T] = []
    for node in nodes:
        try:
            good.append(read(node))
        except Spoilt:
            continue
    return tuple(good)


def _place(places: dict[Any, Any] | None, key: object, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Line and column, from 0; what came by a merge key has no place of its own."""
    found = (places or {}).get(key)
    return (found[0], found[1]) if found else otherwise


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, CommentedMap):
        return "a mapping"
    if isinstance(value, CommentedSeq):
        return "a list"
    return f"'{str(value)[:60]}'"

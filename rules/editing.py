"""Small edits of the book's text, as a form makes them: everything else, comments and layout too, stays as it is.

The value's own place in the text is found and only that is written anew; what comes out is then read again and must
be exactly the old book with that one edit, or the edit is refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from engine.plainly import nearest
from rules.source import unreadable

Node = Any  # ruamel's nodes: their common class lacks what its kinds have
# A book has thousands; more come only of anchors that repeat each other.
MOST_VALUES = 100_000
Path = Annotated[str, Field(max_length=400, description='Such as "journeys/day-out/steps/0/wait"')]


class Edit(BaseModel):
    """One change of one value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    act: Literal["set", "remove", "insert", "move"] = Field(
        description="set a value (a new key of a mapping is added at its end); remove a key or an item; insert an item "
        "into the list at path, before `index`; move the item at path to `index` of its list"
    )
    path: Path
    value: Any = Field(None, description="With set and insert")
    index: int = Field(0, ge=0, le=10_000, description="With insert and move")


class NotEditable(ValueError):
    """The edit makes no sense, or cannot be made without touching anything else; the message says the way out."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """*text* with the edits made one after the other. Raises NotEditable."""
    for edit in edits:
        text = _edited(text, edit)
    return text


def _edited(text: str, edit: Edit) -> str:
    wanted = _apply(_load(text), edit)
    after = _Text(text).write(edit)
    try:
        same = _load(after) == wanted
    except NotEditable:
        same = False
    if not same:
        raise NotEditable(f"{edit.path}: this cannot be edited alone (an anchor, or an odd layout); edit the text")
    return after


def _load(text: str) -> Any:
    try:
        return _apart(YAML(typ="safe", pure=True).load(text), [MOST_VALUES])
    except (YAMLError, ValueError, RecursionError) as problem:
        raise NotEditable(f"this text is no YAML, so mend it by hand: {unreadable(problem).in_words()}") from None


def _apart(value: Any, left: list[int]) -> Any:
    """With what an anchor shares repeated, so that an edit of one place shows in no other."""
    left[0] -= 1
    if left[0] < 0:
        raise NotEditable("anchors repeat each other without end here; edit the text")
    if isinstance(value, dict):
        return {key: _apart(item, left) for key, item in value.items()}
    return [_apart(item, left) for item in value] if isinstance(value, list) else value


def _apply(tree: Any, edit: Edit) -> Any:
    """What the book should say afterwards."""
    *above, last = edit.path.split("/")
    holder = tree
    for name in above:
        holder = _below(holder, name, edit.path)
    if edit.act == "insert":
        items = _below(holder, last, edit.path)
        if not isinstance(items, list) or edit.index > len(items):
            most = f"; its places are 0 to {len(items)}" if isinstance(items, list) else ""
            raise NotEditable(f"{edit.path}: there is no list with a place {edit.index} to insert at{most}")
        items.insert(edit.index, edit.value)
    elif edit.act == "set" and isinstance(holder, dict):
        holder[last] = edit.value
    elif edit.act == "set":
        _below(holder, last, edit.path)
        holder[int(last)] = edit.value
    elif edit.act == "remove":
        _below(holder, last, edit.path)
        del holder[int(last) if isinstance(holder, list) else last]
    else:
        _below(holder, last, edit.path)
        if not isinstance(holder, list) or edit.index >= len(holder):
            most = f"; its places are 0 to {len(holder) - 1}" if isinstance(holder, list) else ""
            raise NotEditable(f"{edit.path}: there is no place {edit.index} in that list to move to{most}")
        holder.insert(edit.index, holder.pop(int(last)))
    return tree


def _below(holder: Any, name: str, path: str) -> Any:
    if isinstance(holder, dict) and name in holder:
        return holder[name]
    if isinstance(holder, list) and name.isdecimal() and int(name) < len(holder):
        return holder[int(name)]
    way_out = ""
    if isinstance(holder, dict):
        way_out = f"; {nearest(name, map(str, holder))}"
    elif isinstance(holder, list) and holder:
        way_out = f"; items of a list are counted from 0, here up to {len(holder) - 1}"
        ids = [item.get("id") if isinstance(item, dict) else None for item in holder]
        way_out += f", and '{name}' is number {ids.index(name)}" if name in ids else ""
    raise NotEditable(f"{path}: there is no '{name}'{way_out}")


class _Text:
    """A text with its nodes, each of which knows where it stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root = YAML(typ="rt").compose(io.StringIO(text))

    def write(self, edit: Edit) -> str:
        *above, last = edit.path.split("/")
        holder = self._at(above)
        if edit.act == "insert":
            items = self._at([*above, last])
            return self._insert(items, edit.index, _flow(edit.value))
        if isinstance(holder, MappingNode):
            keys = [key.value for key, _ in holder.value]
            if edit.act == "set":
                if last in keys:
                    return self._replace(holder.value[keys.index(last)][1], edit.value)
                return self._add(holder, f"{_flow(last)}: {_flow(edit.value)}")
            return self._cut(holder, keys.index(last))
        if edit.act == "set":
            return self._replace(holder.value[int(last)], edit.value)
        if edit.act == "remove":
            return self._cut(holder, int(last))
        return self._move(holder, int(last), edit.index)

    def _at(self, names: list[str]) -> Node:
        node = self._root
        for name in names:
            if isinstance(node, MappingNode):
                node = dict((key.value, value) for key, value in node.value).get(name)
                if node is None:  # it came by a merge key
                    raise NotEditable(f"{'/'.join(names)}: this comes from elsewhere (<<); edit it there, or the text")
            else:
                node = node.value[int(name)]
        return node

    # -- places -----------------------------------------------------------------------------------

    def _end(self, node: Node) -> int:
        """Where a node's own text ends; the marks of block collections run on to whatever comes next."""
        if isinstance(node, ScalarNode) or node.flow_style:
            end: int = node.end_mark.index
            return len(self._text[:end].rstrip()) if getattr(node, "style", None) in ("|", ">") else end
        if isinstance(node, MappingNode):
            return self._end(node.value[-1][1]) if node.value else node.end_mark.index
        return self._end(node.value[-1]) if node.value else node.end_mark.index

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """Behind the line break, or the end of the text."""
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1

    def _parts(self, node: Node) -> list[tuple[int, int]]:
        """From where to where each entry or item of a collection stands."""
        if isinstance(node, MappingNode):
            return [(key.start_mark.index, self._end(value)) for key, value in node.value]
        return [(item.start_mark.index, self._end(item)) for item in node.value]

    def _lines(self, items: Node, row: int) -> tuple[int, int]:
        """The whole lines of an item of a block list, with the comments right above it."""
        start, end = self._parts(items)[row]
        start = self._line_start(self._text.rfind("-", 0, start))
        floor = self._line_end(self._parts(items)[row - 1][1]) if row else 0
        while start > floor and self._text[self._line_start(start - 1) : start].lstrip().startswith("#"):
            start = self._line_start(start - 1)
        return start, self._line_end(end)

    # -- writing ----------------------------------------------------------------------------------

    def _splice(self, start: int, end: int, instead: str) -> str:
        return self._text[:start] + instead + self._text[end:]

    def _replace(self, node: Node, value: Any) -> str:
        style = getattr(node, "style", None)
        written = _flow(value)
        if isinstance(value, str) and style == '"':
            written = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, str) and style == "'" and "\n" not in value:
            written = "'" + value.replace("'", "''") + "'"
        start, end = node.start_mark.index, self._end(node)
        if start == end and self._text[start - 1 : start] == ":":
            written = " " + written  # there was nothing behind the colon
        return self._splice(start, end, written)

    def _add(self, holder: Node, entry: str) -> str:
        """A new entry at the end of a mapping."""
        if holder.flow_style or not holder.value:
            return self._insert(holder, len(holder.value), entry)
        indent = " " * holder.value[0][0].start_mark.column
        return self._new_line(self._line_end(self._end(holder)), indent + entry)

    def _insert(self, holder: Node, row: int, written: str) -> str:
        parts = self._parts(holder)
        if not parts:
            return self._splice(holder.start_mark.index + 1, holder.start_mark.index + 1, written)
        if holder.flow_style:
            if row < len(parts):
                return self._splice(parts[row][0], parts[row][0], f"{written}, ")
            return self._splice(parts[-1][1], parts[-1][1], f", {written}")
        indent = " " * (self._text.rfind("-", 0, parts[0][0]) - self._line_start(parts[0][0]))
        at = self._lines(holder, row)[0] if row < len(parts) else self._lines(holder, len(parts) - 1)[1]
        return self._new_line(at, f"{indent}- {written}")

    def _new_line(self, at: int, line: str) -> str:
        missing = "" if at == 0 or self._text[at - 1] == "\n" else "\n"
        return self._splice(at, at, f"{missing}{line}\n")

    def _cut(self, holder: Node, row: int) -> str:
        parts = self._parts(holder)
        start, end = parts[row]
        if holder.flow_style:
            if row + 1 < len(parts):
                return self._splice(start, parts[row + 1][0], "")
            return self._splice(parts[row - 1][1] if row else start, end, "")
        if len(parts) == 1:
            raise NotEditable("nothing would be left there; remove what holds it instead")
        if isinstance(holder, MappingNode):
            if self._text[self._line_start(start) : start].strip():  # behind a dash: the next one takes its place
                return self._splice(start, parts[row + 1][0], "")
            return self._splice(self._line_start(start), self._line_end(end), "")
        dash = self._line_start(self._text.rfind("-", 0, start))
        return self._splice(dash, self._line_end(end), "")

    def _move(self, items: Node, row: int, to: int) -> str:
        if row == to:
            return self._text
        if items.flow_style:
            parts = self._parts(items)
            written = [self._text[start:end] for start, end in parts]
            written.insert(to, written.pop(row))
            text = self._text
            for (start, end), instead in reversed(list(zip(parts, written, strict=True))):
                text = text[:start] + instead + text[end:]
            return text
        start, end = self._lines(items, row)
        chunk = self._text[start:end]
        at = self._lines(items, to)[0 if to < row else 1]
        if not chunk.endswith("\n"):
            chunk += "\n"
        if at <= start:
            return self._text[:at] + chunk + self._text[at:start] + self._text[end:]
        between = self._text[end:at]
        return self._text[:start] + between + ("" if between.endswith("\n") else "\n") + chunk + self._text[at:]


def _flow(value: Any) -> str:
    """A value on one line, as it may stand anywhere."""
    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 1_000_000
    yaml.representer.sort_base_mapping_type_on_output = False
    bare = isinstance(value, dict | list)  # in a list of one, a mapping of one key would lose its braces
    try:
        yaml.dump(value if bare else [value], out)
    except YAMLError:
        raise NotEditable("this value cannot be written as YAML") from None
    written = out.getvalue().strip()
    return written if bare else written.removeprefix("[").removesuffix("]")

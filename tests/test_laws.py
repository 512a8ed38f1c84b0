"""The laws of the house that no other tool holds. (Arrows between rooms: import-linter, in pyproject.toml.)"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from annotated_types import Ge, Gt, Le, Lt

from engine.settings import Settings
from tests.conftest import ROOT

# Pure: values in, values out. Time and chance are handed in, and nothing is read or written.
ROOMS = {
    "rules": "absence book codes decide events expression habits instance journey life off residents sayings segments "
    "shape standing times told when words",
    "engine": "batches belief calibration cells clocks coverage events feed fixes geo grid heading links liveness "
    "motion phones plainly position presence radio readings roster snapshot stays survey survey_worth surveyed "
    "tuning visits walking weighing zones",
    "sensors": "airframes frames wire",
}
PURE = [f"{room}.{name}" for room, names in ROOMS.items() for name in names.split()]
# These hold a border of their own (Plan.read, a YAML reader) around values that pure modules use.
VALUES = {"engine", "rules", "sensors", "engine.plan", "rules.source"}
CLOCK_AND_CHANCE = "time random secrets uuid"
SYSTEM = "os io pathlib shutil tempfile glob gzip subprocess multiprocessing signal logging"
WAITING = "asyncio threading queue concurrent selectors select"
OUTSIDE = (
    "socket ssl urllib http httpx httpx2 requests fastapi uvicorn paho redis sqlite3 sqlalchemy psycopg scapy rich"
)
IMPURE_PACKAGES = {name for names in (CLOCK_AND_CHANCE, SYSTEM, WAITING, OUTSIDE) for name in names.split()}
IMPURE_NAMES = {"now", "utcnow", "today", "urandom", "default_rng", "open", "print", "input"}
MOST_LINES, MOST_MEDIAN_LINES = 400, 150
NO_ROOM = re.compile(r"(^|_)(utils?|helpers?|common|managers?|base|misc)($|_)", re.IGNORECASE)
UNITS = ("_ms", "_s", "_m", "_dbm", "_bytes", "_km", "_percent")
# Numbers that count something, and say in their description what.
COUNTS = {"port", "k"}


def tracked(*suffixes: str) -> list[Path]:
    """Every file that git knows and that is there, by suffix; all of them where none is given."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [file for file in files if file.is_file() and (not suffixes or file.name.endswith(suffixes))]


def code() -> list[Path]:
    return [file for file in tracked(".py", ".ts", ".tsx") if not file.name.endswith(".d.ts")]


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of what a module imports; `from x import y` counts as x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def called(tree: ast.AST) -> Iterator[str]:
    """The last part of the name of each function that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def tree_of(module: str) -> ast.AST:
    return ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_knows_no_clock_no_chance_and_no_outside(module: str) -> None:
    tree = tree_of(module)
    assert {name.split(".")[0] for name in imported(tree)} & IMPURE_PACKAGES == set()
    assert set(called(tree)) & IMPURE_NAMES == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_builds_only_on_pure_ones(module: str) -> None:
    ours = {name for name in imported(tree_of(module)) if name.split(".")[0] in ("engine", "rules", "sensors")}
    assert {name for name in ours if not {name, name.rpartition(".")[0]} & {*PURE, *VALUES}} == set()


def test_a_sensor_and_the_crowd_read_no_ledger_no_web_framework_and_no_compiler() -> None:
    script = "import sys, engine.__main__, engine.sensing, engine.crowding; print(*sys.modules)"
    read = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(read.split()) & {"sqlalchemy", "fastapi", "numba", "cel"} == set()


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in code()}
    assert {name: length for name, length in lines.items() if length > MOST_LINES} == {}
    assert median(lines.values()) <= MOST_MEDIAN_LINES


def test_no_room_is_named_for_whatever_fits_nowhere_else() -> None:
    names = {part.split(".")[0] for file in code() for part in file.relative_to(ROOT).parts}
    assert sorted(name for name in names if NO_ROOM.search(name)) == []


def test_no_test_sleeps_or_mocks() -> None:
    for file in tracked(".py"):
        if file.is_relative_to(ROOT / "tests"):
            names = {part for name in imported(ast.parse(file.read_text())) for part in name.split(".")}
            assert names & {"sleep", "mock", "pytest_mock"} == set(), file


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_described_bounded_and_has_a_default(name: str) -> None:
    field = Settings.model_fields[name]
    assert len(field.description or "") > 10
    assert not field.is_required()
    if field.annotation in (int, float):
        assert name.endswith(UNITS) or name in COUNTS
        kinds = {type(bound) for bound in field.metadata}
        assert kinds & {Ge, Gt}, "no lower bound"
        assert kinds & {Le, Lt}, "no upper bound"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_stands_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_no_file_names_where_packages_come_from() -> None:
    # Split, so that this file does not break the law it holds.
    hosts = [b"pypi" + b".org", b"python" + b"hosted", b"npmjs" + b".org", b"npmjs" + b".com", b"deb.debian" + b".org"]
    hosts += [b"npm" + b"mirror", b"pypi" + b"-more"]
    naming = {str(file.relative_to(ROOT)) for file in tracked() for host in hosts if host in file.read_bytes()}
    assert naming == set()

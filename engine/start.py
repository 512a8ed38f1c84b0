"""What every program needs before it starts, and what it says when it cannot.

Light, for a sensor and the crowd start here, too; what else a command needs is in `engine.loading`.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import zones_file
from engine.plainly import CannotStart, nearest
from engine.plan import Plan
from engine.settings import NOT_SETTINGS, SETTINGS_FILE, Settings


def settings(**given: Any) -> Settings:
    """The settings, with what the command line gave. Raises CannotStart."""
    named = os.environ.get(SETTINGS_FILE)
    if named is not None and not Path(named).is_file():
        raise CannotStart(f"no settings at {named}: {SETTINGS_FILE} must name a file, or not be set")
    known = {*NOT_SETTINGS, *(f"SOJOURN_{name.upper()}" for name in Settings.model_fields)}
    for name in sorted(set(os.environ) - known):
        if name.startswith("SOJOURN_"):
            raise CannotStart(f"{name} is no setting: {nearest(name, known)}")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise CannotStart(f"cannot read {named or 'sojourn.toml'}: {problem}") from None
    except ValidationError as problem:
        fault = problem.errors()[0]
        name = "SOJOURN_" + "_".join(map(str, fault["loc"])).upper()
        raise CannotStart(f"{name}: {fault['msg']}; see the settings in README.md") from None


def read_plan(path: Path) -> Plan:
    try:
        return zones_file.read(path)
    except OSError as problem:
        raise CannotStart(
            f"no map at {path} ({problem.strerror}): start in the project's folder, or set SOJOURN_ZONES_PATH"
        ) from None


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The socket to answer on. Raises CannotStart where it is taken or not ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as problem:
            raise CannotStart(
                f"cannot serve on {host} port {port} ({problem.strerror}): stop what uses it, or choose another --port"
            ) from None
        yield taken


def data_folder(settings: Settings) -> Path:
    folder = settings.data_folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise CannotStart(
            f"cannot write to the data folder {folder} ({problem.strerror}): make it writable, or name another one"
        ) from None
    return folder


def book_text(path: Path) -> str:
    """A rule book as it is written. Raises CannotStart."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise CannotStart(
            f"no rule book at {path} ({problem.strerror}): name another one, or set SOJOURN_BOOK_PATH"
        ) from None
    except UnicodeDecodeError as problem:
        raise CannotStart(f"{path} is no text in UTF-8 (byte {problem.start}): save it again as UTF-8") from None

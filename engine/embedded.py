"""Servers from a wheel that run beside us, for as long as we do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine import guard
from engine.plainly import SaidPlainly

# Both servers answer within 0.3 s on two idle cores; a busy machine may need many times that.
# A first start where nobody ran `make setup` compiles the inner loops, which takes a slow machine most of this.
START_S = 90.0
PAUSE_S = 0.02
LAST_WORDS = 400


class NotStarted(SaidPlainly):
    """A server of ours ended, or did not answer in time; the message carries its last words."""


@contextmanager
def beside(
    command: Sequence[str],
    *,
    log: Path,
    answers: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Iterator[None]:
    """Run *command* until the block is left or this process ends, even by kill -9.

    log      takes what the server prints, anew on each start
    answers  true once the server can be used
    environment  its environment variables; ours where not given
    name     what people call it; the program's own where not given

    It runs in a session of its own: Ctrl-C in a terminal reaches us, and we stop it when we are done.
    Raises NotStarted.
    """
    with log.open("wb") as output:
        watched = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment,
        )
    assert watched.stdin is not None
    try:
        _until(watched, answers, name or Path(command[0]).name, log)
        yield
    finally:
        watched.stdin.close()
        watched.wait()


def _until(watched: subprocess.Popen[bytes], answers: Callable[[], bool], name: str, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not answers():
        try:
            verdict = watched.wait(PAUSE_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline_s:
                continue
            says = f"{name} did not answer within {START_S:.0f} s; start again, for a first one is slow, or see {log}"
            raise NotStarted(says + _last_words(log)) from None
        raise NotStarted(f"{name} ended with {verdict}{_last_words(log)}")


def _last_words(log: Path) -> str:
    """The end of a log on one line, behind a colon."""
    words = " ".join(log.read_text(errors="replace").split())
    return f": {words[-LAST_WORDS:]}" if words else ""

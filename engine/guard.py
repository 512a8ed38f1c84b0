"""Runs one command and ends it when whoever started us is gone, however that came about.

Started as `python guard.py COMMAND...` with a pipe as standard input that nobody writes to. The pipe
closes when its other end is closed on purpose and also when that process is killed, so no server of
ours outlives us. It needs the standard library alone and knows nothing of what it guards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

# Servers we guard keep nothing on disk that a hard stop could spoil.
GRACE_S = 3.0


def guard(command: list[str]) -> None:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # Ends us with the server's own verdict as soon as it stops; a signal's number is negative there.
    threading.Thread(target=lambda: os._exit(abs(server.wait())), daemon=True).start()
    sys.stdin.buffer.read()
    server.terminate()
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    guard(sys.argv[1:])

"""The servers that we start ourselves: where they listen, how they end, and what a restart keeps."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from engine.broker import Subscriber, client, open_broker
from engine.embedded import NotStarted, beside
from engine.live import open_live

WAIT_S = 20.0
# Starts both, says so, and waits; Ctrl-C asks both whether they still answer.
PARENT = """
import signal, sys
from pathlib import Path
from threading import Event
from engine.broker import Subscriber, open_broker
from engine.live import open_live
folder = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
with open_broker("embedded://", folder) as url, open_live("embedded://", folder) as live:
    try:
        print("up", flush=True)  # inside: the signal may come with the line
        Event().wait()
    except KeyboardInterrupt:
        print(live.ping(), Subscriber(url, "demo").wait_connected(10), flush=True)
"""


@contextmanager
def parent(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A process that has both servers beside it, and all that it started."""
    command = [sys.executable, "-c", PARENT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process, psutil.Process(process.pid).children(recursive=True)


def names(processes: list[psutil.Process]) -> list[str]:
    return [process.name() for process in processes]


def test_servers_end_with_a_parent_that_is_killed(tmp_path):
    with parent(tmp_path) as (process, children):
        assert "valkey-server" in names(children)
        process.kill()
        _, alive = psutil.wait_procs(children, WAIT_S)
    assert names(alive) == []


def test_servers_outlast_ctrl_c_until_their_parent_is_done(tmp_path):
    with parent(tmp_path) as (process, children):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "True True\n"
        process.kill()
        psutil.wait_procs(children, WAIT_S)


def test_servers_are_open_to_this_machine_alone(tmp_path):
    with parent(tmp_path) as (process, children):
        listening = {
            connection.laddr.ip
            for child in children
            for connection in child.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        process.kill()
        psutil.wait_procs(children, WAIT_S)
    assert listening == {"127.0.0.1"}


def test_the_broker_is_found_where_it_was(tmp_path):
    with open_broker("embedded://", tmp_path) as first:
        pass
    with open_broker("embedded://", tmp_path) as second:
        assert second == first


def test_a_broker_whose_port_was_taken_meanwhile_moves(tmp_path):
    with open_broker("embedded://", tmp_path) as first:
        pass
    with socket.create_server(("127.0.0.1", urlsplit(first).port or 0)), open_broker("embedded://", tmp_path) as second:
        assert second != first


def test_whoever_has_no_password_cannot_speak_to_our_broker_in_a_sensors_name(tmp_path):
    with open_broker("embedded://", tmp_path) as url:
        refused, answer = threading.Event(), []
        stranger = client(f"mqtt://127.0.0.1:{urlsplit(url).port}", "stranger")
        stranger.on_connect = lambda _client, _data, _flags, reason, _properties: answer.append(reason.is_failure)
        stranger.on_disconnect = lambda *_: refused.set()
        stranger.connect(stranger.host, stranger.port)
        stranger.loop_start()
        assert refused.wait(WAIT_S) and not any(failed is False for failed in answer)
        stranger.disconnect()
        stranger.loop_stop()


def test_the_password_of_our_broker_is_its_owners_alone(tmp_path):
    with open_broker("embedded://", tmp_path):
        kept = [tmp_path / name for name in ("broker.key", "broker.toml")]
    assert [stat.S_IMODE(file.stat().st_mode) for file in kept] == [0o600, 0o600]


def test_the_engine_finds_back_to_a_broker_that_was_restarted_and_gives_it_the_list(tmp_path):
    with open_broker("embedded://", tmp_path) as url:
        engine = Subscriber(url, "demo")
        assert engine.wait_connected(WAIT_S)
        engine.publish_retained("sojourn/demo/health/s1", b"kept")
        before = engine.take(WAIT_S)
    with open_broker("embedded://", tmp_path):
        after = engine.take(WAIT_S)
        engine.acknowledge(before)
        engine.acknowledge(after)
        engine.publish_retained("sojourn/demo/health/s1", b"new")
        told = [message.payload for message in before + after]
        # What a broker keeps it may tell more than once to whoever comes back.
        while (newest := [message.payload for message in engine.take(WAIT_S)]) == [b"kept"]:
            told += newest
        assert (set(told), len(told) > 1, newest[-1:]) == ({b"kept"}, True, [b"new"])
        engine.close()


def test_live_state_starts_in_a_folder_too_deep_for_a_socket(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with open_live("embedded://", deep) as client:
        assert client.ping()


def test_a_server_that_cannot_start_is_one_line_with_its_last_words(tmp_path):
    words = [sys.executable, "-c", "raise SystemExit('no room left')"]
    with (
        pytest.raises(NotStarted, match="ended with 1: no room left"),
        beside(words, log=tmp_path / "log", answers=lambda: False),
    ):
        pass


def test_an_unknown_scheme_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(NotStarted, match="embedded://, mqtt://, mqtts://"):
        open_broker("amqp://somewhere", tmp_path)

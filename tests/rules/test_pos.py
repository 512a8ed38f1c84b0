"""The example client of the POS guide, against a real server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading

import pytest

from engine import problems
from rules import pos
from rules.pos import NoAnswer, Pos
from tests.conftest import ROOT
from tests.tilling import served


@pytest.fixture
def till(site):
    with served(site.app) as url:
        yield Pos(url, site.access.key("shop", "cafe-luna"), till="2", wait=lambda _: None)


def test_a_till_validates_redeems_and_undoes(site, till, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    assert till.validate(code).body["offer"] == "coffee"
    spent = till.redeem(code, amount_minor=2_400, receipt="R-17")
    assert (spent.ok, spent.body["shop"]) == (True, "cafe-luna")
    assert till.undo(spent.body["redemption"]).body["state"] == "issued"
    assert till.redeem(code).ok


def test_a_no_is_an_answer(site, till, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    till.redeem(code)
    refused = till.redeem(code)
    assert (refused.ok, refused.status, refused.body["type"]) == (False, 409, "/problems/already-redeemed")


def test_a_repeated_sale_counts_once(site, till, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    assert till.redeem(code, sale="s-1") == till.redeem(code, sale="s-1")


def test_a_till_that_lost_the_answer_asks_again_by_itself(site, till, a_coffee):
    """A line that breaks after the request has gone out: the sale was counted, and only nobody heard."""
    code = site.deliver(a_coffee(member=site.ana))
    host, _, port = till._url.removeprefix("http://").partition(":")
    with socket.create_server(("127.0.0.1", 0)) as line:

        def break_once_then_pass_on():
            for keep in (False, True):
                near, _ = line.accept()
                with near, socket.create_connection((host, int(port))) as far:
                    request = b""
                    while (wants := re.search(rb"Content-Length: (\d+)\r\n", request)) is None or len(
                        request.partition(b"\r\n\r\n")[2]
                    ) < int(wants[1]):
                        request += near.recv(65_536)
                    far.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                    answer = b"".join(iter(lambda far=far: far.recv(65_536), b""))
                    if keep:
                        near.sendall(answer)

        worker = threading.Thread(target=break_once_then_pass_on)
        worker.start()
        broken = Pos(f"http://127.0.0.1:{line.getsockname()[1]}", till._key, wait=lambda _: None)
        assert broken.redeem(code).ok
        worker.join()


def test_a_till_that_reaches_nobody_says_so_and_waits_longer_each_time():
    waits: list[float] = []
    with pytest.raises(NoAnswer, match="same key"):
        Pos("http://127.0.0.1:1", "key", wait=waits.append).redeem("x")
    assert waits == list(pos.PAUSES_S)


def test_it_runs_by_itself_with_nothing_but_the_standard_library(site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    with served(site.app) as url:
        command = [sys.executable, "-I", "-S", str(ROOT / "rules" / "pos.py"), "--url", url]
        command += ["--key", site.access.key("shop", "cafe-luna"), "redeem", code, "--amount", "2400"]
        first, second = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, json.loads(first.stdout)["offer"]) == (0, "coffee")
    assert (second.returncode, json.loads(second.stdout)["type"]) == (1, "/problems/already-redeemed")


def test_the_guide_names_every_problem_a_till_can_meet():
    guide = (ROOT / "rules" / "POS.md").read_text()
    sources = [ROOT / "rules" / name for name in ("redemption.py", "idempotency.py", "api.py")]
    named = {kind for file in sources for kind in re.findall(r'Problem\(\s*"([a-z-]+)"', file.read_text())}
    named |= {"not-signed-in", "not-allowed", "malformed-request"}
    assert problems.TYPES and {kind for kind in named if f"`{kind}`" not in guide} == set()

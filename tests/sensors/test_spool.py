"""What waits for the broker waits in order, survives the process, and has a bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.spool import MOST_BYTES, OLDEST_MS, Post, Spool


def post(at_ms: int = 0, payload: bytes = b"x") -> Post:
    return Post(at_ms, "topic", "application/msgpack", payload)


def numbers(spool: Spool) -> list[int]:
    return [number for number, _ in spool.after(0, 1_000)]


def test_posts_come_back_as_they_went_in(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.keep([(1, post(5, b"a")), (2, post(6, b"b"))])
    assert spool.after(0, 10) == [(1, post(5, b"a")), (2, post(6, b"b"))]
    assert spool.after(1, 10) == [(2, post(6, b"b"))]
    assert spool.after(0, 1) == [(1, post(5, b"a"))]


def test_a_later_put_of_an_earlier_number_comes_first(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.keep([(7, post()), (8, post())])
    spool.keep([(5, post()), (6, post())])
    assert numbers(spool) == [5, 6, 7, 8]


def test_the_next_process_finds_what_this_one_left(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.keep([(1, post()), (2, post()), (3, post())])
    spool.remove([1])
    # Not closed: a killed process does not either.
    after = Spool(tmp_path / "spool")
    assert (numbers(after), len(after), after.last_number) == ([2, 3], 2, 3)


def test_removing_what_gave_way_already_is_nobodys_loss(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.keep([(1, post())])
    spool.remove([1, 1, 99])
    assert (len(spool), spool.lost) == (0, 0)


def test_the_oldest_give_way_when_there_are_too_many_bytes(tmp_path):
    spool = Spool(tmp_path / "spool", most_bytes=3_500)
    for number in range(1, 6):
        spool.keep([(number, post(payload=bytes(1_000)))])
    assert (numbers(spool), spool.lost) == ([3, 4, 5], 2)


def test_what_no_epoch_remembers_gives_way(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.keep([(1, post(0)), (2, post(1)), (3, post(OLDEST_MS + 1))])
    assert (numbers(spool), spool.lost) == ([2, 3], 1)


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OSError, match=r"cannot keep a spool in .*nowhere"):
        Spool(tmp_path / "nowhere" / "spool")


def test_a_file_that_is_no_spool_says_so(tmp_path):
    (tmp_path / "spool").write_bytes(b"a letter to the editor, long enough to be no database" * 20)
    with pytest.raises(OSError, match="cannot keep a spool"):
        Spool(tmp_path / "spool")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3_000), max_size=6), max_size=10), st.integers(1_000, 20_000))
def test_whatever_comes_the_newest_that_fit_are_kept_and_the_rest_is_counted(tmp_path_factory, puts, most_bytes):
    path = tmp_path_factory.mktemp("spool") / "spool"
    spool, number = Spool(path, most_bytes=most_bytes), 0
    sizes: dict[int, int] = {}
    for put in puts:
        first = number + 1
        number += len(put)
        sizes |= zip(range(first, number + 1), put, strict=True)
        spool.keep([(n, post(payload=bytes(sizes[n]))) for n in range(first, number + 1)])
    left = numbers(spool)
    assert left == list(range(number - len(left) + 1, number + 1))
    assert (len(spool), spool.lost) == (len(left), number - len(left))
    assert sum(sizes[n] for n in left) <= most_bytes
    spool.close()
    assert numbers(Spool(path)) == left


def test_the_default_bound_is_an_hour_of_a_large_mall():
    assert MOST_BYTES >= 60 * 3_600 * 900

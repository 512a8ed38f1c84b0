"""What sensors hear of each other is gathered in event time, and once enough is known the radio is fitted to it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.covering import kept_radio
from engine.events import PresenceEvent
from engine.ingest import SNAPSHOT, Snapshot
from engine.ledger import open_ledger
from engine.links import DAY_MS, FIRST_MS, HOUR_MS, Heard, Links, heard
from engine.presence import Presence
from engine.radio import USUAL, Propagation, Radio
from engine.snapshot import fitted
from engine.tuning import MINUTE_MS, Tuning

NOON_MS = 1_790_000_000_000
ANA = 7
# Steeper than usual, and with a fixed loss between levels.
TRUE = Propagation(at_1_m_dbm=-34.0, exponent=3.5, floor_db=10.0, detour_m=0.0)


def beats(plan, from_ms: int, for_ms: int) -> Heard:
    """Every sensor tells every ten seconds how loud it hears each other, without noise."""
    away_m = np.hypot(*(plan.anchors_m[:, None] - plan.anchors_m).transpose(2, 0, 1))
    levels = np.abs(plan.sensor_level[:, None] - plan.sensor_level)
    dbm = np.rint(TRUE.mean_dbm(away_m, levels)).astype(np.int64)
    receiver, transmitter = np.nonzero((dbm > -88) & ~np.eye(len(dbm), dtype=np.bool_))
    times = np.arange(from_ms, from_ms + for_ms, 10_000)
    return heard(
        np.repeat(times, len(receiver)), np.tile(receiver, len(times)), np.tile(transmitter, len(times)),
        np.tile(dbm[receiver, transmitter], len(times)),
    )  # fmt: skip


def at(told: Heard, rows) -> Heard:
    return Heard(*(column[rows] for column in told))


def test_nothing_is_fitted_before_ten_minutes_were_heard(plan):
    links = Links(plan)
    links.tell(beats(plan, NOON_MS, FIRST_MS))
    assert links.close(NOON_MS + FIRST_MS - 1) is None
    found = links.close(NOON_MS + FIRST_MS)
    assert found is not None and abs(found.exponent - TRUE.exponent) <= 0.5
    assert links.fitted_ms == NOON_MS + FIRST_MS


def test_a_fitted_model_is_nearer_to_the_truth_than_the_usual_one(plan):
    links = Links(plan)
    links.tell(beats(plan, NOON_MS, FIRST_MS))
    found = links.close(NOON_MS + FIRST_MS)
    true, usual, ours = (Radio.of(plan, each).mean_dbm for each in (TRUE, USUAL, found._replace(sensor_db=None)))
    assert np.abs(np.diff(ours - true)).mean() < np.abs(np.diff(usual - true)).mean() / 2


def test_too_few_links_are_waited_for(plan):
    links, told = Links(plan), beats(plan, NOON_MS, 2 * FIRST_MS)
    links.tell(at(told, told.receiver == 0))
    assert links.close(NOON_MS + 5 * FIRST_MS) is None
    links.tell(beats(plan, NOON_MS + 5 * FIRST_MS, FIRST_MS))
    assert links.close(NOON_MS + 7 * FIRST_MS) is not None


def test_the_model_is_fitted_again_at_four_in_the_night_by_the_sun(plan):
    shanghai = replace(plan, anchor=plan.anchor._replace(lon=120.0))
    links = Links(shanghai)
    links.tell(beats(plan, NOON_MS, FIRST_MS))
    links.close(NOON_MS + FIRST_MS)
    night_ms = (NOON_MS + 8 * HOUR_MS) // DAY_MS * DAY_MS - 8 * HOUR_MS + DAY_MS + 4 * HOUR_MS
    assert links.close(night_ms - 1) is None
    assert links.close(night_ms) is not None
    assert links.fitted_ms == night_ms


def test_a_night_without_news_leaves_the_model_as_it_is(plan):
    links = Links(plan)
    links.tell(beats(plan, NOON_MS, FIRST_MS))
    first = links.close(NOON_MS + FIRST_MS)
    again = links.close(NOON_MS + 2 * DAY_MS)  # by the same links, which the first fit left for the night
    assert np.array_equal(again.sensor_db, first.sensor_db) and again[:5] == first[:5]
    assert links.close(NOON_MS + 4 * DAY_MS) is None
    assert links.fitted is again


def test_a_deaf_sensor_is_no_proof_of_how_signals_fade(plan):
    whole, deaf, told = Links(plan), Links(plan), beats(plan, NOON_MS, FIRST_MS)
    whole.tell(told)
    deaf.tell(at(told, told.receiver != 0))
    one, other = (links.close(NOON_MS + FIRST_MS) for links in (whole, deaf))
    assert abs(one.exponent - other.exponent) <= 0.5 and abs(one.at_1_m_dbm - other.at_1_m_dbm) < 4


@pytest.fixture(scope="module")
def closed(plan):
    """What is told of the first ten minutes, told at once and closed."""
    links, told = Links(plan), beats(plan, NOON_MS, FIRST_MS)
    links.tell(told)
    links.close(NOON_MS + 700_000)
    return told, links.keep()


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 700), max_size=4))
def test_neither_the_order_of_what_is_told_nor_the_cuts_matter(plan, closed, chance, cuts):
    told, one = closed
    shuffled = at(told, np.array(chance.sample(range(len(told.at_ms)), len(told.at_ms))))
    parts = Links(plan)
    parts.tell(at(shuffled, slice(0, 50)))
    parts.tell(at(shuffled, slice(50, None)))
    for second in sorted([*cuts, 700]):
        parts.close(NOON_MS + second * 1_000)
    other = parts.keep()
    assert all(np.array_equal(*pair) for pair in zip(one.pairs, other.pairs, strict=True))
    assert (one.due_ms, one.fitted_ms, one.fitted[:5]) == (other.due_ms, other.fitted_ms, other.fitted[:5])


# -- presence -------------------------------------------------------------------------------------


def morning(plan, hear, cuts: list[int], *, restart_at: int | None = None):
    """Ana in the café for twenty minutes, in which the model is fitted; cut and restarted as one likes."""
    presence, told, links = Presence(plan, Tuning()), [], beats(plan, NOON_MS, 20 * MINUTE_MS)
    readings = hear(ANA, "cafe-L1", range(NOON_MS, NOON_MS + 20 * MINUTE_MS, 5_000))
    marks = sorted({*cuts, 0, 20 * 60})
    for number, (from_s, until_s) in enumerate(pairwise(marks)):
        if number == restart_at:
            blob, presence = presence.snapshot(), Presence(plan, Tuning())
            presence.restore(blob)
        span = (NOON_MS + from_s * 1_000, NOON_MS + until_s * 1_000)
        presence.hear_links(at(links, (links.at_ms >= span[0]) & (links.at_ms < span[1])))
        told += presence.absorb(readings.at((readings.t_ms >= span[0]) & (readings.t_ms < span[1])))
    return presence, told


@pytest.fixture(scope="module")
def whole(plan, hear):
    return morning(plan, hear, [])


def test_a_new_model_keeps_everybody_where_they_are_believed(whole):
    presence, told = whole
    assert presence.links.fitted is not None
    assert [type(event).__name__ for event in told].count("ZoneEntered") == 1
    where = presence.where()
    assert np.hypot(where.x_m[0] - 10, where.y_m[0] - 6) < 5


def test_the_instant_of_a_fit_does_not_depend_on_how_the_stream_is_cut(plan, hear, whole):
    presence, told = morning(plan, hear, [1, 599, 600, 601, 602, 603, 900])
    assert told == whole[1]
    assert presence.snapshot() == whole[0].snapshot()


def test_a_restart_goes_on_with_the_fitted_model(plan, hear, whole):
    for restart_at in (1, 2):
        presence, told = morning(plan, hear, [500, 900], restart_at=restart_at)
        assert told == whole[1]
        assert presence.snapshot() == whole[0].snapshot()
        assert np.array_equal(presence.radio.mean_dbm, whole[0].radio.mean_dbm)


def test_a_model_finds_its_sensors_again_by_their_keys(plan, whole):
    blob, model = whole[0].snapshot(), whole[0].links.fitted
    turned = replace(plan, sensors=plan.sensors[::-1])
    assert np.allclose(fitted(blob, turned).sensor_db, model.sensor_db[::-1])
    fewer = Presence(replace(plan, sensors=plan.sensors[1:]), Tuning())
    fewer.restore(blob)
    assert np.allclose(fewer.links.fitted.sensor_db, model.sensor_db[1:])


def test_a_surveyed_model_is_not_fitted_over(plan):
    presence = Presence(plan, Tuning(), Radio.of(plan))
    presence.hear_links(beats(plan, NOON_MS, FIRST_MS))
    presence.expire(NOON_MS + 10**7)
    assert presence.links.fitted is None


def test_a_check_goes_by_the_model_that_the_engine_fitted(plan, whole, tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent)
    with ledger.write() as tx:
        kept = Snapshot(whole[0].snapshot(), b"", b"", 0)
        ledger.keep(tx, SNAPSHOT, msgspec.msgpack.encode(kept), NOON_MS)
    assert np.array_equal(kept_radio(plan, ledger).mean_dbm, whole[0].radio.mean_dbm)
    ledger.close()

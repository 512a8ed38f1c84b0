"""Who is on the list has a handle; nobody else has anything."""

from __future__ import annotations

import pytest

from sensors import consent as consent_module
from sensors.consent import ConsentFilter

HOUR_MS = 3_600_000
ANA, BEN, STRANGER = (bytes([2, 0, 0, 0, 0, last]) for last in range(3))


@pytest.fixture
def consent() -> ConsentFilter:
    return ConsentFilter("demo")


def test_without_a_list_nobody_has_a_handle(consent):
    assert consent.handle(ANA, 0) is None
    assert consent.why(0) == "no-allow-list"


def test_a_member_has_the_handle_of_the_epoch(consent, epoch_of, list_of):
    assert consent.take(list_of(epoch_of(7, {ANA: 41, BEN: 42})), 0) == ""
    assert [consent.handle(address, 0) for address in (ANA, BEN, STRANGER)] == [(7, 41), (7, 42), None]
    assert consent.why(0) == ""


def test_when_the_epoch_ends_the_handle_ends(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {ANA: 41}, until_ms=10 * HOUR_MS)), 0)
    assert consent.handle(ANA, 10 * HOUR_MS - 1) == (1, 41)
    assert consent.handle(ANA, 10 * HOUR_MS) is None
    assert consent.why(10 * HOUR_MS) == "allow-list-expired"


def test_before_the_epoch_begins_there_is_no_handle(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {ANA: 41}, from_ms=HOUR_MS)), 0)
    assert [consent.handle(ANA, at_ms) for at_ms in (HOUR_MS - 1, HOUR_MS)] == [None, (1, 41)]


def test_where_epochs_overlap_the_newer_one_names_the_device(consent, epoch_of, list_of):
    old = epoch_of(1, {ANA: 41, BEN: 42}, until_ms=24 * HOUR_MS)
    new = epoch_of(2, {ANA: 51}, from_ms=23 * HOUR_MS, until_ms=48 * HOUR_MS)
    consent.take(list_of(old, new), 0)
    at = [22 * HOUR_MS, 23 * HOUR_MS, 24 * HOUR_MS]
    assert [consent.handle(ANA, at_ms) for at_ms in at] == [(1, 41), (2, 51), (2, 51)]
    assert [consent.handle(BEN, at_ms) for at_ms in at] == [(1, 42), (1, 42), None]


def test_a_frame_from_before_the_change_is_named_as_it_was_then(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {ANA: 41}, until_ms=100), epoch_of(2, {ANA: 51}, from_ms=100)), 0)
    assert [consent.handle(ANA, at_ms) for at_ms in (99, 100, 99, 101)] == [(1, 41), (2, 51), (1, 41), (2, 51)]


def test_a_withdrawn_consent_silences_at_once(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {ANA: 41, BEN: 42}), version=1), 0)
    assert consent.handle(ANA, 0) == (1, 41)
    consent.take(list_of(epoch_of(1, {BEN: 42}), version=2), 0)
    assert [consent.handle(ANA, 0), consent.handle(BEN, 0)] == [None, (1, 42)]


def test_a_new_member_is_heard_with_the_next_list_though_asked_for_before(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {}), version=1), 0)
    assert consent.handle(ANA, 0) is None
    consent.take(list_of(epoch_of(1, {ANA: 41}), version=2), 0)
    assert consent.handle(ANA, 0) == (1, 41)


def test_an_older_list_cannot_undo_a_withdrawal(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {BEN: 42}), version=2), 0)
    assert consent.take(list_of(epoch_of(1, {ANA: 41, BEN: 42}), version=1), 0) == "list-older-than-ours"
    assert (consent.handle(ANA, 0), consent.list_version) == (None, 2)


@pytest.mark.parametrize(("at_ms", "why"), [(24 * HOUR_MS - 1, ""), (24 * HOUR_MS, "list-expired")])
def test_a_list_whose_every_epoch_is_over_is_refused(consent, epoch_of, list_of, at_ms, why):
    assert consent.take(list_of(epoch_of(1, {ANA: 41})), at_ms) == why


def test_another_malls_list_is_refused(consent, epoch_of, list_of):
    assert consent.take(list_of(epoch_of(1, {ANA: 41}), site="other"), 0) == "list-for-another-site"


def test_a_digest_under_another_site_or_key_does_not_match(epoch_of, list_of):
    elsewhere = ConsentFilter("demo")
    listed = epoch_of(1, {ANA: 41})
    elsewhere.take(list_of(type(listed)(1, 0, HOUR_MS, bytes(32), listed.digests, listed.handles)), 0)
    assert elsewhere.handle(ANA, 0) is None


def test_passers_by_do_not_fill_the_memory_and_members_stay_known(consent, epoch_of, list_of):
    consent.take(list_of(epoch_of(1, {ANA: 41})), 0)
    for passer_by in range(consent_module.MOST_ANSWERS + 10):
        assert consent.handle(b"\x06\x00" + passer_by.to_bytes(4, "big"), 0) is None
    assert len(consent._window.answers) <= consent_module.MOST_ANSWERS
    assert consent.handle(ANA, 0) == (1, 41)

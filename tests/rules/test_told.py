"""What a member is told of why they got a coupon: about them, in plain words of both languages."""

from __future__ import annotations

import re

import pytest

from rules.told import TOLD, told
from rules.words import VOCABULARY


@pytest.mark.parametrize(
    ("word", "seen", "english", "chinese"),
    [
        ("present", "6m59s of 4m", "You had been here for 6 min.", "您已到店 6 分钟。"),
        ("present", "40s of 30s", "You had been here for 40 s.", "您已到店 40 秒。"),
        ("stayed", "1h5m of 10m", "You had spent 1 h 5 min where it goes with.", "您在相关区域停留了 1 小时 5 分钟。"),
        ("absence", "away for 30d4h", "You had not been here for 30 days 4 h.", "您已有 30 天 4 小时没来。"),
        ("time", "10:00 of 8-12", "It was 10:00, and this is given at 8-12.", "当时 10:00，此优惠在 8-12 发放。"),
        ("member", "2 of 8 per visit", "You had got 2 of at most 8 per visit.", "这次到访内您已收到 2 张，上限 8 张。"),
        ("member", "2 of 40 per 30d", "You had got 2 of at most 40 per 30 days.", "30 天内您已收到 2 张，上限 40 张。"),
        ("visits", "1 visit within 1d", "Your visits within 1 day: 1.", "1 天内您来过 1 次。"),
    ],
)  # fmt: skip
def test_it_is_told_about_the_member(word, seen, english, chinese):
    assert told([(word, seen)]) == [{"en": english, "zh-Hans": chinese}]


@pytest.mark.parametrize("ours", ["holdout", "news", "ledger", "priority", "jitter"])
def test_our_own_affairs_are_not_told(ours):
    assert told([(ours, "not held out")]) == []


def test_the_same_is_said_once():
    assert len(told([("consent", "granted"), ("consent", "granted")])) == 1


@pytest.mark.parametrize("word", VOCABULARY)
def test_every_word_of_the_vocabulary_can_be_told(word):
    assert word in TOLD


@pytest.mark.parametrize("word", TOLD)
def test_each_sentence_takes_from_what_was_seen_only_what_is_there(word):
    pattern, *sentences = TOLD[word]
    groups = re.compile(pattern).groups
    assert all(int(group) <= groups for said in sentences for group in re.findall(r"\\(\d)", said))

"""Every word of the book and everything a trace sees can be said in both languages."""

from __future__ import annotations

import re

import pytest

from rules.sayings import ASKED, SAYINGS, asked, say, seen
from rules.words import VOCABULARY

HAN = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("word", VOCABULARY)
def test_every_word_of_the_vocabulary_can_be_asked_in_both_languages(word):
    assert word in ASKED
    assert HAN.search(asked(word)["zh-Hans"]) and not HAN.search(asked(word)["en"])


@pytest.mark.parametrize("code", SAYINGS)
def test_both_languages_of_a_saying_use_the_same_fields(code):
    english, chinese = (sorted(re.findall(r"{(\w+)}", text)) for text in SAYINGS[code])
    assert english == chinese


@pytest.mark.parametrize(
    ("trace", "chinese"),
    [
        ("09:00 of 07:00-11:00", "09:00，时段 07:00-11:00"),
        ("1h30m of 2h", "1 小时 30 分钟，需要 2 小时"),
        ("2 of 3 per visit", "每次到访已 2 次，上限 3 次"),
        ("7 of 20 per 30d", "30 天内已 7 次，上限 20 次"),
        ("last 5m ago of 20m, redeemed since", "距上个 5 分钟，间隔 20 分钟，其间已核销"),
        ("not redeemed; was there", "未核销；到过"),
        ("in cafe-luna, stride", "位于 cafe-luna, stride"),
        ("sat", "周六"),
        ("what nobody foresaw", "what nobody foresaw"),
    ],
)
def test_what_a_trace_saw_is_said_in_chinese(trace, chinese):
    assert seen(trace) == {"en": trace, "zh-Hans": chinese}


def test_a_field_may_have_a_text_for_each_language():
    said = say("not-yet", there="coffee", why={"en": "Because.", "zh-Hans": "因为。"})
    assert (said["en"][-8:], said["zh-Hans"][-3:]) == ("Because.", "因为。")

"""Why a member got a coupon, told to that member: what was so of them, in plain words, and nothing of our own affairs.

Pure. Operators read the whole trace (rules.sayings); a member is not helped by how fresh our news were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from rules.book import Texts
from rules.sayings import LANGUAGES

_SPAN = r"((?:\d+[dhms])+)"
# By word of `when` or place among the limits: what a trace saw -> what a member is told, in English and Chinese.
# What is not here is not told.
TOLD: Mapping[str, tuple[str, str, str]] = {
    "time": (r"(\d\d:\d\d) of (.+)", r"It was \1, and this is given at \2.", r"当时 \1，此优惠在 \2 发放。"),
    "days": (r".+", "It is given on that day of the week.", "当天会发放此优惠。"),
    "present": (f"{_SPAN} of .+", r"You had been here for \1.", r"您已到店 \1。"),
    "unseen": (f"{_SPAN} of .+", r"We had not seen you for \1.", r"我们已有 \1 没有见到您。"),
    "in_zone": (r".+", "You were in a place that it goes with.", "您正在与之相关的区域。"),
    "stayed": (f"{_SPAN} of .+", r"You had spent \1 where it goes with.", r"您在相关区域停留了 \1。"),
    "visited": (r".+", "You had been to a place that it goes with.", "您到过与之相关的区域。"),
    "redeemed": (r".+", "You had used the offer before it.", "您已使用前一个优惠。"),
    "not_redeemed": (r".+", "You had not used such an offer yet.", "您还没有使用过同类优惠。"),
    "birthday": (r".+", "It was your birthday, or close to it.", "当天是您的生日，或临近生日。"),
    "segment": (
        r".+",
        "It goes by what you told us, and by how often and where you were here.",
        "依据您提供的信息，以及您来访的次数和常去之处。",
    ),
    "visits": (rf"(\d+) visits? within {_SPAN}", r"Your visits within \2: \1.", r"\2内您来过 \1 次。"),
    "spend": (r".+", "It goes by how much you had spent.", "依据您的消费金额。"),
    "capacity": (r".+", "There was room for one more.", "还有名额。"),
    "any": (r".+", "One of several things that it asks was so.", "满足了其中一个条件。"),
    "all": (r".+", "Several things that it asks were so.", "满足了多个条件。"),
    "none": (r".+", "Nothing that rules it out was so.", "没有不适用的情形。"),
    "if": (r".+", "A rule of the mall's own held.", "满足了商场的规则。"),
    "wait": (r".+", "You had not used the one before, and this one is better.", "前一张未使用，这张更优惠。"),
    "consent": (r".+", "You allow offers made for you.", "您同意接收个性化优惠。"),
    "presence": (r"heard", "You were here.", "您在商场。"),
    "absence": (f"away for {_SPAN}", r"You had not been here for \1.", r"您已有 \1没来。"),
    "quiet": (r"\d\d:\d\d, quiet (.+)", r"It was not between \1, when we send nothing.", r"不在免打扰时段 \1。"),
    "live": (r".+", "You held no other coupon.", "您手上没有其他优惠券。"),
    "member": (
        r"(\d+) of (\d+) per (\S+)",
        r"You had got \1 of at most \2 per \3.",
        r"\3内您已收到 \1 张，上限 \2 张。",
    ),
    "chance": (r".+ under (.+)", r"Chance had a say, with a probability of \1.", r"按概率发放，概率为 \1。"),
}
# What a member's limit is counted by, where that is no length of time.
_VISIT = ("visit内", "这次到访内")
_LENGTH = re.compile(r"(?<![A-Za-z\d:.-])(?:\d+[dhms])+(?![A-Za-z\d])")
_UNIT = re.compile(r"(\d+)([dhms])")
# Seconds matter to nobody who has been somewhere for minutes.
_UNITS = ({"d": " days", "h": " h", "m": " min", "s": " s"}, {"d": " 天", "h": " 小时", "m": " 分钟", "s": " 秒"})


def told(seen: Iterable[tuple[str, str]]) -> list[Texts]:
    """(word, what was seen) of each row that held -> a sentence in every language, each said once."""
    sentences: list[Texts] = []
    for word, text in seen:
        pattern, english, chinese = TOLD.get(word, ("(?!)", "", ""))
        match = re.fullmatch(pattern, text)
        if match is None:
            continue
        said = (match.expand(english), match.expand(chinese).replace(*_VISIT))
        sentence = {
            language: _LENGTH.sub(partial(_spelt, units), text)
            for language, text, units in zip(LANGUAGES, said, _UNITS, strict=True)
        }
        if sentence not in sentences:
            sentences.append(sentence)
    return sentences


def _spelt(units: Mapping[str, str], length: re.Match[str]) -> str:
    parts = _UNIT.findall(length[0])
    coarse = [part for part in parts if part[1] != "s"] or parts
    said = " ".join(f"{number}{units[unit]}" for number, unit in coarse)
    return re.sub(r"\b1 days", "1 day", said)

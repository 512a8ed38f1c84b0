"""What was decided, said to a person in every language of the pages: verdicts, reasons, and the lines of a trace.

Pure. Traces keep what was seen in short English; here is what that means in plain words, in English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rules.book import Texts

LANGUAGES = ENGLISH, CHINESE = "en", "zh-Hans"

# code -> English and Chinese; the fields in braces are those given to `say`, which may be Texts themselves.
SAYINGS: Mapping[str, tuple[str, str]] = {
    # the member at that moment
    "here": ("In the mall since {since}, {place}. {running}", "{since} 起在商场，{place}。{running}"),
    "away": ("Not in the mall at that moment. {last}", "那时不在商场。{last}"),
    "last-visit": ("The last visit ended at {at}.", "上次到访于 {at} 结束。"),
    "no-visit": ("No visit is known before.", "此前没有到访记录。"),
    "unfollowed": ("Not followed: no consent to presence {since}.", "未记录行踪：{since}没有同意使用到店信息。"),
    "running": ("Running: {journeys}.", "正在进行：{journeys}。"),
    "none-running": ("No journey was running.", "没有正在进行的旅程。"),
    # journeys and steps
    "no-event": (
        "No event would have triggered it: it starts with {event}, and none came in this visit.",
        "没有触发它的事件：它由 {event} 开始，而这次到访没有发生。",
    ),
    "not-away": (
        "It is for members who are away, and this one was in the mall.",
        "它只发给不在商场的会员，而该会员那时在商场。",
    ),
    "not-long-away": ("Not away for long enough: {seen}.", "离开得还不够久：{seen}。"),
    "absence-unknown": (
        "Nobody knows for how long this member has been away: no visit is known, or none was looked for.",
        "不知道该会员离开了多久：没有到访记录，或未同意记录到访。",
    ),
    "untold": (
        "The event that starts it came, but nothing was decided: the book had no such journey then, "
        "or the decision is older than traces are kept.",
        "触发事件来过，但没有留下决定：当时规则里没有这个旅程，或记录已过保留期。",
    ),
    "once": (
        "It had not started because it may run once in a while and had run before: {seen}.",
        "没有开始，因为它在一段时间内只进行一次：{seen}。",
    ),
    "not-started": (
        "It had not started because this did not hold: {asked} ({seen}).",
        "没有开始，因为条件不成立：{asked}（{seen}）。",
    ),
    "not-yet": ("Its turn had not come: the chain was at step {there}. {why}", "还没轮到它：当时在步骤 {there}。{why}"),
    "passed-over": (
        "The chain went on without it: it was at step {there}. {why}",
        "旅程没有经过它：当时在步骤 {there}。{why}",
    ),
    "started": ("It had just started.", "它刚刚开始。"),
    "waits": ("Waiting for: {asked} ({seen}).", "在等待：{asked}（{seen}）。"),
    "jitter": (
        "Waiting for this member's own short delay, so that not everybody is sent at once ({seen}).",
        "在等待为该会员错开的片刻，以免同时发给所有人（{seen}）。",
    ),
    "no-consent": ("No consent to personal offers {since}.", "{since}没有同意接收个人优惠。"),
    "resident": (
        "Kept out of offers, as staff and fixed devices are: {seen}.",
        "视为员工或固定设备，不发放优惠：{seen}。",
    ),
    "late": (
        "What led to it was heard late, so it was asked again a little later.",
        "触发它的消息来得晚，因此稍后再问。",
    ),
    "not-present": ("The member was not heard then and may have left.", "那时听不到该会员，可能已经离开。"),
    "quiet-hours": ("Quiet hours: nothing is sent ({seen}).", "免打扰时段，不发送（{seen}）。"),
    "live-offer": ("The member held a live offer already: {seen}.", "该会员手上还有有效的优惠：{seen}。"),
    "cap": ("A cap was reached: {seen}.", "已达次数上限：{seen}。"),
    "gap": ("Too soon after the last offer: {seen}.", "距上一个优惠太近：{seen}。"),
    "budget": ("No money left in the budget: {scope}.", "预算已用完：{scope}。"),
    "capacity": ("The offer's capacity was reached: {scope}.", "该优惠的名额已满：{scope}。"),
    "closed": ("Closed for now: {scope}.", "暂时关闭：{scope}。"),
    "taken-out": ("Taken out for now: {scope}.", "暂时停发：{scope}。"),
    "switched-off": (
        "Switched off since {at}: {what}, by {by} ({why}). It goes on where it was.",
        "自 {at} 起由 {by} 关闭：{what}（{why}）。恢复后从原处继续。",
    ),
    "was-off": ("Held where it was, as this was switched off: {what}.", "暂停在原处，因为已被关闭：{what}。"),
    "the-mall": ("the whole mall", "全商场"),
    "no-reason": ("no reason was given", "未说明原因"),
    "superseded-not-live": (
        "The coupon it would have replaced had just been redeemed or had ended.",
        "要替换的券刚刚被核销或已结束。",
    ),
    "paused": ("Paused by a journey of higher priority: {by}.", "被优先级更高的旅程暂停：{by}。"),
    "issued": ("Given at {at}: {offer}. {outcome}", "{at} 已发放：{offer}。{outcome}"),
    "ghost": (
        "The member was held out: {offer} was decided at {at} and, by design, not sent.",
        "该会员属于对照组：{at} 决定了 {offer}，但按设计不发送。",
    ),
    "chance": (
        "Left to chance, and chance said no: {offer} was to be sent with a probability of {seen}.",
        "按概率发放而未抽中：{offer} 的发放概率为 {seen}。",
    ),
    "chance-over": (
        "Done at {at}: what chance had left out was waited for as if it had been sent.",
        "{at} 结束：按概率未发放的，等待照常。",
    ),
    "skipped": ("Skipped: {asked} could no longer hold ({seen}).", "已跳过：{asked}不可能再成立（{seen}）。"),
    "patience": ("Skipped: its patience was over before it was ready.", "已跳过：耐心用完时条件仍未成立。"),
    "redeemed": (
        "Done: {offer} was redeemed, and the chain went on at {at}.",
        "已完成：{offer} 已核销，{at} 进入下一步。",
    ),
    "exhausted": (
        "Done at {at}: the offer stayed unredeemed and there was no better one.",
        "{at} 结束：优惠未核销，也没有更好的了。",
    ),
    "no-upgrade": (
        "Done at {at}: no better offer was left to this member ({seen}).",
        "{at} 结束：该会员的升级次数已用完（{seen}）。",
    ),
    "gave-way": ("It gave way at {at}: the next step was ready.", "{at} 让位：下一步已就绪。"),
    "no-upgrade-wanted": (
        "Done at {at}: a better offer was not wanted, as this did not hold: {asked} ({seen}).",
        "{at} 结束：不再升级，因为条件不成立：{asked}（{seen}）。",
    ),
    "joined": ("The chain went on from here at {at}, as {by} ended.", "{at} 因 {by} 结束而从这里继续。"),
    "visit-ended": ("It ended with the visit at {at}.", "它随到访在 {at} 结束。"),
    "came-back": ("It ended at {at}: the member came in.", "它在 {at} 结束：会员到店了。"),
    "version-unusable": (
        "It ended at {at}: the plan no longer has what its version of the book speaks of.",
        "它在 {at} 结束：平面图已没有该版本规则所指的内容。",
    ),
    "book-changed": (
        "It ended at {at}: another version of the book was published, which stopped it.",
        "它在 {at} 结束：新发布的规则停止了它。",
    ),
    "step-removed": (
        "It ended at {at}: of what was left to it, the version published then has nothing.",
        "它在 {at} 结束：新发布的规则里已没有它余下的步骤。",
    ),
    "other": ("{verdict}: {reason}.", "{verdict}：{reason}。"),
    # what became of an offer
    "is-out": ("It was out and unredeemed; waited for until {until}.", "当时未核销，等待到 {until}。"),
    "was-redeemed": ("Redeemed at {at}.", "{at} 已核销。"),
    "was-superseded": ("A better offer took its place at {at}.", "{at} 被更好的优惠取代。"),
    "was-void": ("Taken back at {at}.", "{at} 已收回。"),
    "was-closed": ("Taken back at {at}, as its shop closed.", "{at} 因商店关闭而收回。"),
    "was-expired": ("It ran out at {at}.", "{at} 已过期。"),
    # parts of sentences
    "since": ("since {at}", "自 {at} 起"),
    "never": ("so far", "至今"),
    "in": ("in {zones}", "位于 {zones}"),
    "nowhere": ("in no zone", "不在任何区域"),
}

# What a row of a trace asks: by its word of `when`, or by where it stands.
ASKED: Mapping[str, tuple[str, str]] = {
    "time": ("the time of day", "时段"),
    "days": ("the day of the week", "星期"),
    "present": ("present in the mall for a while", "在商场停留一段时间"),
    "unseen": ("not heard for a while", "一段时间听不到"),
    "in_zone": ("in a certain zone", "在指定区域"),
    "stayed": ("a stay in a certain zone", "在指定区域停留"),
    "visited": ("a certain zone visited", "到过指定区域"),
    "redeemed": ("a certain offer redeemed", "已核销指定优惠"),
    "not_redeemed": ("a certain offer not redeemed", "未核销指定优惠"),
    "birthday": ("the birthday", "生日"),
    "segment": ("belongs to a group", "属于指定人群"),
    "visits": ("how often visited", "到访次数"),
    "spend": ("how much was spent", "消费金额"),
    "capacity": ("room for another", "尚有名额"),
    "all": ("all of several", "同时成立"),
    "any": ("any of several", "任一成立"),
    "none": ("none of several", "均不成立"),
    "if": ("the book's own formula", "规则中的公式"),
    "consent": ("consent to personal offers", "同意接收个人优惠"),
    "resident": ("a visitor, and not staff or a fixed device", "是顾客，而非员工或固定设备"),
    "news": ("fresh news", "消息及时"),
    "presence": ("heard now", "现在听得到"),
    "absence": ("away from the mall", "不在商场"),
    "quiet": ("outside quiet hours", "不在免打扰时段"),
    "live": ("no other live offer", "没有其他有效优惠"),
    "member": ("the member's limit of offers", "会员的优惠次数"),
    "upgrades": ("the limit of better offers", "升级次数"),
    "holdout": ("not held out", "不属于对照组"),
    "chance": ("the draw", "抽签"),
    "jitter": ("the member's own delay", "错开的片刻"),
    "wait": ("the wait", "等待"),
    "try": ("the offer that was out", "已发放的优惠"),
    "once": ("not too soon after the last run", "距上次已久"),
    "ledger": ("money and coupons at that instant", "当时的预算与券"),
    "priority": ("no journey of higher priority", "没有优先级更高的旅程"),
    "mall": ("the mall's switch", "全商场的开关"),
    "journey": ("the journey's switch", "旅程的开关"),
    "offer": ("the offer's switch", "优惠的开关"),
    "shop": ("an open shop", "商店在营业"),
}  # fmt: skip

_DAYS = dict(zip(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "一二三四五六日", strict=True))
_PER = {"visit": "每次到访", "step": "每个步骤"}
# What traces see, as rules.words and rules.decide write it -> the same in Chinese.
_SEEN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), chinese)
    for pattern, chinese in (
        (r"(\d\d:\d\d) of (.+)", r"\1，时段 \2"),
        (r"(\d\d:\d\d), quiet (.+)", r"\1，免打扰 \2"),
        (r"not here, (\S+) needed", r"不在商场，需要 \1"),
        (r"not here", "不在商场"),
        (r"not away", "没有离开"),
        (r"away for (\S+)", r"已离开 \1"),
        (r"silent after (\S+)", r"\1 后听不到"),
        (r"heard, (\S+) of silence needed", r"听得到，需要静默 \1"),
        (r"(\d+) of (\d+) per (visit|step)", r"\3已 \1 次，上限 \2 次"),
        (r"(\d+) of (\d+) per (\S+)", r"\3内已 \1 次，上限 \2 次"),
        (r"in no zone", "不在任何区域"),
        (r"in (.+)", r"位于 \1"),
        (r"was there", "到过"),
        (r"not yet there", "还没去过"),
        (r"redeemed", "已核销"),
        (r"not redeemed", "未核销"),
        (r"(\S+) redeemed", r"\1 已核销"),
        (r"birthday not told", "没有提供生日"),
        (r"birthday (\S+), today (\S+)", r"生日 \1，今天 \2"),
        (r"lives at no known distance", "不知住处远近"),
        (r"lives (\S+) km away", r"住处相距 \1 公里"),
        (r"reads (\S+)", r"语言为 \1"),
        (r"belongs", "属于"),
        (r"(\d+) visits? within (\S+)", r"\2内到访 \1 次"),
        (r"(\d+) redemptions? within (\S+)", r"\2内核销 \1 次"),
        (r"spent (-?\d+) of (\d+) within the visit", r"本次到访消费 \1，需要 \2"),
        (r"spent (-?\d+) of (\d+) within (\S+)", r"\3内消费 \1，需要 \2"),
        (r"room for (\d+) of (\d+)", r"还有 \1 个名额，需要 \2"),
        (r"never stayed there", "从未在那里停留"),
        (r"more time in (\S+)", r"在 \1 停留更久"),
        (r"(\S+) there, nowhere more", r"在那里 \1，没有更久的地方"),
        (r"(\S+) not known", r"不知道 \1"),
        (r"(\S+) is (\S+)", r"\1 为 \2"),
        (r"(\S+) under (\S+)", r"抽到 \1，发放概率 \2"),
        (r"always so", "总是成立"),
        (r"failed: (.+)", r"出错：\1"),
        (r"here for (\S+) at a time", r"一次停留 \1"),
        (r"here for (\S+) on (\d+) of (\d+) days", r"\3 天里有 \2 天停留 \1 以上"),
        (r"resident: yes", "商场标记为员工或固定设备"),
        (r"resident: no", "商场标记为顾客"),
        (r"granted", "已同意"),
        (r"no (personal_offers)", "未同意"),
        (r"fresh", "及时"),
        (r"late", "来晚了"),
        (r"heard", "听得到"),
        (r"silent", "听不到"),
        (r"none", "没有"),
        (r"first offer", "第一个优惠"),
        (r"last (\S+) ago of (\S+), redeemed since", r"距上个 \1，间隔 \2，其间已核销"),
        (r"last (\S+) ago of (\S+), taken back since", r"距上个 \1，间隔 \2，其间已收回"),
        (r"off until (\S+ \S+)", r"关闭至 \1"),
        (r"off", "已关闭"),
        (r"taken back, as its shop closed", "商店关闭，已收回"),
        (r"last (\S+) ago of (\S+)", r"距上个 \1，间隔 \2"),
        (r"not held out", "不属于对照组"),
        (r"held out", "属于对照组"),
        (r"unredeemed when the wait was over", "等待结束时未核销"),
        (r"(\S+) to go", r"还有 \1"),
        (r"ran (\S+) ago", r"\1前进行过"),
        (r"(\S+) runs", r"\1 正在进行"),
        (r"(\S+) of (\S+)", r"\1，需要 \2"),
    )
)
_LENGTH = re.compile(r"(?<![A-Za-z\d])(?:\d+[dhms])+(?![A-Za-z\d])")
_UNIT = re.compile(r"(\d+)([dhms])")
_UNITS = {"d": " 天", "h": " 小时", "m": " 分钟", "s": " 秒"}


def say(code: str, **fields: str | Texts) -> Texts:
    """The sentence of *code* in every language; a field that is Texts is put in in each one's own."""
    return {
        language: saying.format_map({name: _in(language, field) for name, field in fields.items()}).strip()
        for language, saying in zip(LANGUAGES, SAYINGS[code], strict=True)
    }


def asked(word: str) -> Texts:
    """What a row of a trace asks; *word* is its word of `when` or the last name of its path."""
    english, chinese = ASKED.get(word, (word, word))
    return {ENGLISH: english, CHINESE: chinese}


def seen(text: str) -> Texts:
    """What a trace saw; what nobody has words for stays as it was written."""
    return {ENGLISH: text, CHINESE: "；".join(_chinese(part) for part in text.split("; "))}


def joined(texts: list[str]) -> Texts:
    """Names in a row."""
    return {ENGLISH: ", ".join(texts), CHINESE: "、".join(texts)}


def _chinese(part: str) -> str:
    if part in _DAYS:
        return f"周{_DAYS[part]}"
    for pattern, chinese in _SEEN:
        match = pattern.fullmatch(part)
        if match is not None:
            said = match.expand(chinese)
            for word, own in _PER.items():
                said = said.replace(word, own)
            return _LENGTH.sub(lambda length: " ".join(n + _UNITS[unit] for n, unit in _UNIT.findall(length[0])), said)
    return part


def _in(language: str, field: str | Texts) -> str:
    return field if isinstance(field, str) else field[language]

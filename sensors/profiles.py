"""Who the simulated members say they are when they sign up: invented, seeded, the same for the same seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Enough birthdays on the day of a demo that the birthday coffee is seen, few enough that it stays special.
BIRTHDAY_TODAY = 0.04
READS_CHINESE = 0.7
HOME_MEDIAN_KM, HOME_SPREAD, HOME_FARTHEST_KM = 6.0, 1.0, 150.0
DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_FAMILY = (
    ("王", "Wang"), ("李", "Li"), ("张", "Zhang"), ("刘", "Liu"), ("陈", "Chen"), ("杨", "Yang"), ("赵", "Zhao"),
    ("黄", "Huang"), ("周", "Zhou"), ("吴", "Wu"), ("徐", "Xu"), ("孙", "Sun"), ("胡", "Hu"), ("林", "Lin"),
)  # fmt: skip
_GIVEN = (
    ("安然", "Anran"), ("博文", "Bowen"), ("晨曦", "Chenxi"), ("丹青", "Danqing"), ("恩惠", "Enhui"), ("芳", "Fang"),
    ("国栋", "Guodong"), ("海燕", "Haiyan"), ("佳怡", "Jiayi"), ("凯", "Kai"), ("乐天", "Letian"), ("敏", "Min"),
    ("宁", "Ning"), ("鹏飞", "Pengfei"), ("晴", "Qing"), ("瑞", "Rui"), ("思远", "Siyuan"), ("婷", "Ting"),
    ("文静", "Wenjing"), ("晓东", "Xiaodong"), ("雅琴", "Yaqin"), ("泽宇", "Zeyu"),
)  # fmt: skip


class Profile(NamedTuple):
    """birthday as MM-DD; home_km is how far away the member lives."""

    login: str
    name: str
    birthday: str
    language: str
    home_km: float


def login_of(member: int) -> str:
    """What the member at this index of the crowd signs in with."""
    return f"member-{member + 1:04d}"


def profiles(members: int, seed: int, today: str) -> list[Profile]:
    """One for each member, by index in the crowd.

    today  MM-DD; the share BIRTHDAY_TODAY, and nobody else, was born on it
    """
    rng = np.random.default_rng([seed, members])
    born_today = rng.permutation(members) < round(BIRTHDAY_TODAY * members)
    other_days = [f"{month:02d}-{day + 1:02d}" for month, days in enumerate(DAYS_OF_MONTH, 1) for day in range(days)]
    other_days.remove(today)
    found = []
    for member in range(members):
        family, given = _FAMILY[rng.integers(len(_FAMILY))], _GIVEN[rng.integers(len(_GIVEN))]
        chinese = bool(rng.random() < READS_CHINESE)
        away_km = min(HOME_MEDIAN_KM * rng.lognormal(0.0, HOME_SPREAD), HOME_FARTHEST_KM)
        birthday = today if born_today[member] else other_days[rng.integers(len(other_days))]
        found.append(
            Profile(
                login=login_of(member),
                name=family[0] + given[0] if chinese else f"{given[1]} {family[1]}",
                birthday=birthday,
                language="zh-Hans" if chinese else "en",
                home_km=round(float(away_km), 1),
            )
        )
    return found

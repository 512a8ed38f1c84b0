"""How presence judges evidence: every constant with its unit, its bounds and the reason for its value.

All instants are event time, so a faster clock needs no other values. The numbers hang together; where one must
exceed another, Tuning checks it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

SECOND_MS = 1_000
MINUTE_MS = 60_000
# One window more than are needed to agree: a single stray sighting must neither make nor prevent a stay. A third would
# repeat the same error of whoever stands, and cost another five seconds.
WINDOWS = 3
AGREEING = 2


class Tuning(BaseModel):
    """What separates a sighting from a stay, and silence from departure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lateness_ms: int = Field(
        default=2_000, ge=0, le=600_000,
        description="How long a second of event time stays open for stragglers: a batch gathers 1 s and travels well "
        "under 1 s. Every event is later by this much; whatever comes later still counts for nothing.",
    )  # fmt: skip
    news_ms: int = Field(
        default=4_000, ge=0, le=60_000,
        description="What is heard again sooner than this counts for less, in proportion: the same walls and bodies "
        "bend it, so it repeats the same error. A phone in use is heard about every 5 s.",
    )  # fmt: skip
    phone_db: float = Field(
        default=3.0, ge=0, le=10,
        description="How far phones differ in loudness (one standard deviation), before anything was heard of one. "
        "More lets the model explain too much by the phone; how loud each is gets learnt as it is heard.",
    )  # fmt: skip
    window_ms: int = Field(
        default=4_000, ge=0, le=60_000,
        description="Least time between two windows, the votes about a member's zone: a phone in use is heard about "
        "every 5 s, and votes closer together would repeat the same noise.",
    )  # fmt: skip
    enter_p: float = Field(
        default=0.65, gt=0.5, le=1,
        description="Probability a zone needs for the vote of somebody who walks. Above one half, so that no two zones "
        "can win a window.",
    )  # fmt: skip
    standing_p: float = Field(
        default=0.35, ge=0, lt=0.5,
        description="So much more it needs for the vote of somebody who surely stands: their windows repeat the same "
        "error. 0.7 for everybody enters zones a second later, and 3 s later in the slowest tenth.",
    )  # fmt: skip
    sure_p: float = Field(
        default=0.98, gt=0.5, le=1,
        description="A window this sure of a zone needs no second one, so the median entry is told 0.6 s sooner. 0.95 "
        "would gain another 0.3 s, and cost a tenth more false entries where the floor was surveyed.",
    )  # fmt: skip
    leave_p: float = Field(
        default=0.15, ge=0, lt=0.5,
        description="Below this the member is elsewhere. Far below enter_p: between the two, nothing changes.",
    )  # fmt: skip
    leave_ms: int = Field(
        default=30_000, ge=0, le=600_000,
        description="How long elsewhere ends a stay: six windows; fewer lets one bad stretch of signal end it.",
    )  # fmt: skip
    mean_ms: int = Field(
        default=45_000, ge=1_000, le=600_000,
        description="Over how long a zone's probability is averaged for dwell marks: most of the shortest one.",
    )  # fmt: skip
    dwell_p: float = Field(
        default=0.8, ge=0.5, lt=1,
        description="Average probability a zone needs for a dwell mark, on which coupons go out: with 0.75 one in six "
        "more is in a wrong zone, with 0.85 one in twelve is not told.",
    )  # fmt: skip
    merge_ms: int = Field(
        default=60_000, ge=0, le=600_000,
        description="Back in the same zone within this: the same stay, for nobody shops anew in under a minute.",
    )  # fmt: skip
    hold_ms: int = Field(
        default=180_000, ge=10_000, le=3_600_000,
        description="Silence for which the last zone is still believed: phones with their screen off sleep 1-5 min.",
    )  # fmt: skip
    silent_ms: int = Field(
        default=300_000, ge=10_000, le=3_600_000,
        description="Silence after which a visit counts as silent and the member is not shown as present: the "
        "longest sleep of an associated phone.",
    )  # fmt: skip
    inactive_ms: int = Field(
        default=600_000, ge=10_000, le=7_200_000,
        description="Silence that ends the stay in a zone: twice the longest sleep, so it is no longer the phone.",
    )  # fmt: skip
    close_ms: int = Field(
        default=900_000, ge=10_000, le=14_400_000,
        description="Silence that ends the visit, dated back to the last evidence. Shorter would split visits in two.",
    )  # fmt: skip
    newcomer_ms: int = Field(
        default=60_000, ge=1_000, le=600_000,
        description="A visit starts with a second window within this of the last evidence: someone who passes in the "
        "street and is heard once has not visited.",
    )  # fmt: skip
    dwell_marks_ms: tuple[int, ...] = Field(
        default=tuple(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 240, 480, 720)),
        max_length=32,
        description="Lengths of stay worth telling. They rise in steps a rule can use; rules may name only these. The "
        "last are those of staff and of devices that stay.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Tuning:
        if not self.hold_ms <= self.silent_ms <= self.inactive_ms < self.close_ms:
            raise ValueError("hold_ms <= silent_ms <= inactive_ms < close_ms must hold: silence deepens step by step")
        if self.enter_p + self.standing_p > 1:
            raise ValueError("enter_p + standing_p must not exceed 1, or who stands would never be in a zone")
        if self.sure_p < self.enter_p:
            raise ValueError("sure_p must not be below enter_p: one window would then be asked less than two")
        if self.newcomer_ms > self.close_ms:
            raise ValueError("newcomer_ms must not exceed close_ms")
        if self.merge_ms >= self.inactive_ms:
            raise ValueError("merge_ms must be below inactive_ms: a stay ended by silence is over")
        marks = self.dwell_marks_ms
        if any(mark <= 0 for mark in marks) or list(marks) != sorted(set(marks)):
            raise ValueError("dwell_marks_ms must be positive and rise")
        return self

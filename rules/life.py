"""The life of a coupon, on one screen: what is not in the table does not happen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    ISSUED = "issued"
    REDEEMED = "redeemed"
    VOID = "void"
    EXPIRED = "expired"


class Act(StrEnum):
    ISSUE = "issue"
    REDEEM = "redeem"
    VOID = "void"
    EXPIRE = "expire"
    RESTORE = "restore"
    OPEN = "open"


LIFE: Mapping[tuple[State | None, Act], State] = {
    (None, Act.ISSUE): State.ISSUED,
    # Its member looked at its code; that changes what is known of it, and not what may be done with it.
    (State.ISSUED, Act.OPEN): State.ISSUED,
    (State.ISSUED, Act.REDEEM): State.REDEEMED,
    (State.ISSUED, Act.VOID): State.VOID,
    (State.ISSUED, Act.EXPIRE): State.EXPIRED,
    (State.REDEEMED, Act.RESTORE): State.ISSUED,
    # Undone at the till when it can no longer live: its time is over, or the member holds another by now.
    (State.REDEEMED, Act.VOID): State.VOID,
}

# Nothing happens to these any more.
ENDS = frozenset(State) - {state for state, _ in LIFE}


class NotInLife(ValueError):
    """This cannot happen to a coupon in this state."""

    def __init__(self, state: State | None, act: Act) -> None:
        super().__init__(f"{act} cannot happen to a coupon that is {state or 'not yet given'}")
        self.state, self.act = state, act


def after(state: State | None, act: Act) -> State:
    """What *act* makes of a coupon that is *state*; None is no coupon yet. Raises NotInLife."""
    try:
        return LIFE[state, act]
    except KeyError:
        raise NotInLife(state, act) from None

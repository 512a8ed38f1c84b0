"""Coupon codes: short enough to say aloud, too many to guess, and able to tell a slip of the finger.

A code is derived from its coupon, not drawn: issuing again gives the same code, the wallet can show it
again, and yet the ledger holds only a keyed digest of it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O (they read as 1, 1, 0) and no U
LOOK_ALIKE = {"O": "0", "I": "1", "L": "1"}
NO_VALUE = 255
# As bytes.translate wants them: value -> letter, and character -> value.
LETTERS = ALPHABET.encode().ljust(256)
VALUES = bytes(
    NO_VALUE if (at := ALPHABET.find(LOOK_ALIKE.get(chr(code), chr(code)))) < 0 else at for code in range(256)
)
LENGTH = 12  # of 5 bits: at a million guesses against 100,000 live codes, 1 in 10 million hits
SHIFTS = range(5 * (LENGTH - 1), -1, -5)
TAIL = 4

# The field of 32 elements, by the primitive polynomial x^5 + x^2 + 1: doubling walks through all 31 non-zero ones.
OVERFLOW, POLYNOMIAL = 0b100000, 0b100101
DOUBLE = tuple(value << 1 ^ (POLYNOMIAL if value << 1 & OVERFLOW else 0) for value in range(32))


class BadCode(ValueError):
    """What was typed cannot be a code; *reason* is length, character or check."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_value(values: Iterable[int]) -> int:
    """The check character's value, so that the sum of value times power of two, in the field, is zero.

    Every place has its own non-zero weight, so one wrong character or two that changed places, next to
    each other or not, always show. The modulo-37 check does the same with characters few people can type.
    """
    total = 0
    for value in values:
        total = DOUBLE[total ^ value]
    return total


def _grouped(values: bytes) -> str:
    text = values.translate(LETTERS).decode()
    return f"{text[:4]}-{text[4:8]}-{text[8:12]}-{text[12]}"


def parse(typed: str) -> str:
    """The code as we write it, XXXX-XXXX-XXXX-C, from what somebody typed. Raises BadCode."""
    values = typed.upper().encode("ascii", "replace").translate(VALUES, b"- ")
    if len(values) != LENGTH + 1:
        raise BadCode("length")
    if NO_VALUE in values:
        raise BadCode("character")
    if check_value(values[:-1]) != values[-1]:
        raise BadCode("check")
    return _grouped(values)


def tail(code: str) -> str:
    """What support may see of a code."""
    return code.replace("-", "")[-TAIL:]


class Codes:
    """Makes the codes of one site.

    code_key  derives codes; with a copy of the ledger it makes every code, so it stays with the engine
    pepper    keys the digests: the ledger alone does not let anybody try codes
    """

    def __init__(self, code_key: bytes, pepper: bytes) -> None:
        # Kept begun: to set up a key takes longer than the digest of one code.
        self._code_key, self._pepper = (hmac.new(key, digestmod="sha256") for key in (code_key, pepper))

    def of(self, coupon: str, turn: int = 0) -> str:
        """The code of a coupon; *turn* rises only if it met another coupon's."""
        drawn = _digest(self._code_key, f"{coupon}\0{turn}")
        bits = int.from_bytes(drawn[:8]) >> 4
        values = [bits >> shift & 31 for shift in SHIFTS]
        values.append(check_value(values))
        return _grouped(bytes(values))

    def digest(self, code: str) -> bytes:
        """What the ledger knows of a code (as parse returns it)."""
        return _digest(self._pepper, code)


def _digest(key: hmac.HMAC, text: str) -> bytes:
    begun = key.copy()
    begun.update(text.encode())
    return begun.digest()

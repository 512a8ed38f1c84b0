"""Mistakes that a person can put right, and words for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class SaidPlainly(Exception):
    """Something that whoever gave a command can put right; the message is one line that says how."""

    exit_code = 2


class CannotStart(SaidPlainly):
    """A program lacks what it starts from."""


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean …?" for a misspelt word, or what there is to choose from."""
    words = sorted(known)
    # As a title is written, "Café Luna", or without what stands before it, "zone" for "in_zone".
    meant = re.sub(r"\W+", "-", word.lower()) if " " in word else word
    close = [one for one in words if one.endswith(f"_{word}")] or difflib.get_close_matches(meant, words, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are {', '.join(words)}" if words else "there are none yet"

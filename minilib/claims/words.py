"""Numbers and counts as a reader wants them in a sentence."""

from __future__ import annotations

SMALL = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def exact(value: float) -> str:
    """A count as it would be printed: 86,195 or 0.3375."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.7g}"


def number(value: float, sign: str = "") -> str:
    """As many digits as a reader needs: 12.3, 0.00421, 86,195."""
    size = abs(value)
    if size >= 1000:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.1f}" if size >= 1 or size == 0 else f"{value:{sign}.2g}"


def in_words(n: int) -> str:
    """no, one, two, ..., twelve, 13"""
    return SMALL[n] if n < len(SMALL) else f"{n:,}"


def several(n: int, what: str) -> str:
    """'one seed', 'three seeds'; `what` is the plural"""
    return f"{in_words(n)} {what[:-1] if n == 1 else what}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.rstrip(". ")
    return f"{text[:1].upper()}{text[1:]}."

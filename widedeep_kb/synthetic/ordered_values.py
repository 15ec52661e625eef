"""The order of values: numbers with a unit, sums of money, durations and dates.

In: values as the generator draws them. Out: which of two is larger, longer or later, None where that is not certain.
"""

import re
from collections.abc import Callable

from widedeep_kb.synthetic import vocabulary as v
from widedeep_kb.synthetic.values import NUMERIC_KINDS

NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?)(\D*)")  # and the unit after it
ORDER_OF_KIND: dict[str, str] = {
    **dict.fromkeys(NUMERIC_KINDS | {"quantity", "percentage", "signed_decimal"}, "number"),
    **dict.fromkeys(("date", "date_american", "date_dots", "date_iso", "date_short"), "date"),
    **dict.fromkeys(("date_slashes", "date_words", "month_year", "year"), "date"),
    "duration": "duration",
    "currency": "money",
}

_SIGNS = sorted(v.CURRENCY_SIGNS, key=len, reverse=True)
_SECONDS = {
    "millisecond": 0.001,
    "s": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "day": 86400,
    "week": 604800,
    "month": 2629800,
    "year": 31557600,
}
_CLEAR_RATIO = 1.1  # durations in different units are told apart from here on: months and years are rounded
_MONTH_OF = {name[:3].lower(): i for i, name in enumerate(v.MONTHS, start=1)}


def number(value: str) -> float:
    """The number that a value starts with ("12,345.6 km").

    Raises:
        ValueError: if the value is not a number, or a number and a unit.
    """
    match = NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(f"not a number with or without a unit: {value!r}")
    return float(match.group(1).replace(",", ""))


def is_larger(value: str, other: str, *, order: str) -> bool | None:
    """Whether `value` is larger, longer or later than `other`; None where they are equal or the order is not certain.

    Args:
        value, other: two values.
        order: "number", "money", "duration" or "date".

    Raises:
        ValueError: for an unknown order.
    """
    if order not in _COMPARE:
        raise ValueError(f"unknown order {order!r}: expected one of {sorted(_COMPARE)}")
    return _COMPARE[order](value, other)


def _numbers(value: str, other: str) -> bool | None:
    return _in_one_unit(NUMBER.fullmatch(value), NUMBER.fullmatch(other))


def _money(value: str, other: str) -> bool | None:
    """As numbers, the sign before the amount taken away."""
    signs = [next((sign for sign in _SIGNS if text.startswith(sign)), "") for text in (value, other)]
    return _numbers(value[len(signs[0]) :], other[len(signs[1]) :]) if signs[0] == signs[1] else None


def _in_one_unit(one: re.Match[str] | None, other: re.Match[str] | None) -> bool | None:
    if one is None or other is None or one.group(2) != other.group(2):
        return None
    x, y = (float(match.group(1).replace(",", "")) for match in (one, other))
    return x > y if x != y else None


def _durations(value: str, other: str) -> bool | None:
    (x, unit), (y, other_unit) = _seconds(value), _seconds(other)
    if x is None or y is None or max(x, y) <= min(x, y) * (1 if unit == other_unit else _CLEAR_RATIO):
        return None
    return x > y


def _seconds(text: str) -> tuple[float | None, str]:
    """The seconds of a duration, None if it is none, and the unit it is in."""
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text):
        hours, minutes, seconds = map(int, match.groups())
        return 3600 * hours + 60 * minutes + seconds, "clock"
    if match := re.fullmatch(r"(\d+) h (\d+) min", text):
        return 3600 * int(match.group(1)) + 60 * int(match.group(2)), "clock"
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ([a-z]+)", text)
    unit = "" if match is None else match.group(2) if match.group(2) in _SECONDS else match.group(2).removesuffix("s")
    return (float(match.group(1)) * _SECONDS[unit], unit) if match and unit in _SECONDS else (None, unit)


def _dates(value: str, other: str) -> bool | None:
    """Compare by the parts that both have: whether 1971 is before May 1971 is not certain."""
    x, y = _date(value), _date(other)
    return next((a > b for a, b in zip(x, y, strict=False) if a != b), None)


def _date(text: str) -> tuple[int, ...]:
    """Year, month and day, as many as are certain: of 05/04/1971 the year only, of what is no date nothing."""
    if match := re.fullmatch(r"(\d{1,4}) BC", text):
        return (-int(match.group(1)),)
    if match := re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", text):
        return tuple(int(part) for part in match.groups() if part)
    if match := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text):
        return tuple(map(int, match.groups()[::-1]))
    if match := re.fullmatch(r"\d\d/\d\d/(\d{4})", text):
        return (int(match.group(1)),)
    if match := re.fullmatch(r"(?:(\d{1,2}) )?([A-Z][a-z]{2,})(?: (\d{1,2}),)? (\d{4})", text):
        before, name, after, year = match.groups()
        month, day = _MONTH_OF.get(name[:3].lower()), before or after
        return (int(year), *((month, *((int(day),) if day else ())) if month else ()))
    return ()


_COMPARE: dict[str, Callable[[str, str], bool | None]] = {
    "number": _numbers,
    "money": _money,
    "duration": _durations,
    "date": _dates,
}

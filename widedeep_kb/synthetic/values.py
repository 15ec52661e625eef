"""Kinds of values: for each a function that draws one string.

In: a `Draw`. Out: a value of one line, mostly of at most 16 tokens of a small LLM; those of `LONG_KINDS` are longer.
`VALUE_KINDS` maps the name of a kind to its function; `any_kind` draws one of the short kinds.
"""

from collections.abc import Callable

from widedeep_kb.synthetic import names, numerals, strings
from widedeep_kb.synthetic import vocabulary as v
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.words import capital, foreign_word, pseudo_word, word

VALUE_KINDS: dict[str, Callable[[Draw], str]] = {
    "address": strings.address,
    "boolean": strings.boolean,
    "capital_word": capital,
    "code": strings.code,
    "colour": strings.colour,
    "company": names.company,
    "comparison": numerals.comparison,
    "constant": strings.constant,
    "coordinates": numerals.coordinates,
    "country": lambda draw: draw.pick(v.COUNTRIES),
    "currency": numerals.currency,
    "date": lambda draw: draw.pick(numerals.DATE_FORMS)(draw),
    "date_american": numerals.date_american,
    "date_dots": numerals.date_dots,
    "date_iso": numerals.date_iso,
    "date_short": numerals.date_short,
    "date_slashes": numerals.date_slashes,
    "date_words": numerals.date_words,
    "decimal": numerals.decimal,
    "dimensions": numerals.dimensions,
    "domain": strings.domain,
    "duration": numerals.duration,
    "email": strings.email,
    "event": strings.event,
    "foreign_word": foreign_word,
    "formula": strings.formula,
    "grade": strings.grade,
    "grouped_integer": lambda draw: f"{int(draw.digits(draw.between(2, 9))):,}",
    "hex": strings.hexadecimal,
    "hours": numerals.hours,
    "identifier": strings.identifier,
    "institution": names.institution,
    "integer": numerals.integer,
    "ip": strings.ip,
    "isbn": strings.isbn,
    "landmark": names.landmark,
    "language": strings.language,
    "large_integer": numerals.large_integer,
    "latin": strings.latin,
    "license": lambda draw: draw.pick(v.LICENSES),
    "list": strings.listing,
    "long_phrase": strings.long_phrase,
    "mac": strings.mac,
    "month_year": numerals.month_year,
    "nationality": strings.nationality,
    "ordinal": numerals.ordinal,
    "path": strings.path,
    "percentage": numerals.percentage,
    "person": names.person,
    "phone": numerals.phone,
    "phrase": strings.phrase,
    "place": names.place,
    "port": lambda draw: str(draw.between(80, 65535)),
    "postcode": strings.postcode,
    "profession": lambda draw: draw.pick(v.PROFESSIONS),
    "pseudo_word": pseudo_word,
    "quantity": numerals.quantity,
    "range": numerals.number_range,
    "ratio": numerals.ratio,
    "repeated_digits": numerals.repeated_digits,
    "repeated_tokens": strings.repeated_tokens,
    "scientific": numerals.scientific,
    "sentence": strings.sentence,
    "signed": numerals.signed,
    "signed_decimal": numerals.signed_decimal,
    "small_integer": numerals.small_integer,
    "time": numerals.time,
    "timezone": strings.timezone,
    "title": names.title,
    "title_parenthesis": strings.title_parenthesis,
    "url": strings.url,
    "uuid_part": strings.uuid_part,
    "value": strings.value,
    "version": numerals.version,
    "weekday": lambda draw: draw.pick(v.WEEKDAYS),
    "word": word,
    "wrapped": strings.wrapped,
    "year": numerals.year,
    "years": numerals.years,
}
LONG_KINDS = frozenset(("sentence",))
MAX_SHORT_TOKENS = 14  # as `strings.approximate_tokens` counts
NUMERIC_KINDS = frozenset(("integer", "small_integer", "large_integer", "grouped_integer", "decimal", "port", "year"))
LONG_SHARE = 0.01

_SHORT_KINDS = tuple(kind for kind in VALUE_KINDS if kind not in LONG_KINDS)
# Kinds that are hard to copy or wide in range come up several times.
_DRAWN = _SHORT_KINDS + ("integer", "phrase", "long_phrase", "title", "title_parenthesis", "pseudo_word", "url") * 2


def any_kind(draw: Draw) -> str:
    """The name of a short kind of value, or in one draw of a hundred of a long one."""
    return "sentence" if draw.random() < LONG_SHARE else draw.pick(_DRAWN)

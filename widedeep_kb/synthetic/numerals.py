"""Values made of digits: numbers, dates, times, quantities, money. Each function draws one string."""

from widedeep_kb.synthetic import vocabulary as v
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.words import word


def integer(draw: Draw) -> str:
    """Such as 43295"""
    u = draw.random()
    if u < 0.2:
        return draw.digits(6)
    return draw.digits(draw.between(1, 8) if u < 0.85 else draw.between(9, 12))


def large_integer(draw: Draw) -> str:
    """Such as 58980"""
    digits = draw.digits(draw.between(4, 9))
    return digits if draw.random() < 0.6 else f"{int(digits):,}"


def decimal(draw: Draw) -> str:
    """Such as 58.66"""
    return f"{draw.digits(draw.between(1, 5))}.{draw.characters('0123456789', count=draw.between(1, 4))}"


def scientific(draw: Draw) -> str:
    """Such as 3.43E+15"""
    mantissa, exponent = f"{draw.between(1, 9)}.{draw.digits(draw.between(1, 3))}", draw.between(2, 23)
    u = draw.random()
    if u < 0.5:
        return f"{mantissa}e{'-' if draw.random() < 0.4 else ''}{exponent}"
    return f"{mantissa}E+{exponent:02}" if u < 0.7 else f"{mantissa} x 10^{exponent}"


def date_parts(draw: Draw) -> tuple[int, int, int]:
    """Year, month and day, nearer to the present more often."""
    year = draw.between(1900, 2030) if draw.random() < 0.7 else draw.between(1000, 2099)
    return year, draw.between(1, 12), draw.between(1, 28)


def date_iso(draw: Draw) -> str:
    """Such as 1971-05-17"""
    year, month, day = date_parts(draw)
    return f"{year}-{month:02}-{day:02}"


def date_words(draw: Draw) -> str:
    """Such as 17 May 1971"""
    year, month, day = date_parts(draw)
    return f"{day} {v.MONTHS[month - 1]} {year}"


def date_american(draw: Draw) -> str:
    """Such as May 17, 1971"""
    year, month, day = date_parts(draw)
    return f"{v.MONTHS[month - 1]} {day}, {year}"


def date_slashes(draw: Draw) -> str:
    """Such as 05/17/1971"""
    year, month, day = date_parts(draw)
    return f"{month:02}/{day:02}/{year}"


def date_dots(draw: Draw) -> str:
    """Such as 17.5.1971"""
    year, month, day = date_parts(draw)
    return f"{day}.{month}.{year}"


def date_short(draw: Draw) -> str:
    """Such as 17 May 1971"""
    year, month, day = date_parts(draw)
    return f"{day} {v.MONTHS[month - 1][:3]} {year}"


def month_year(draw: Draw) -> str:
    """Such as May 1971"""
    year, month, _ = date_parts(draw)
    return f"{v.MONTHS[month - 1]} {year}" if draw.random() < 0.7 else f"{year}-{month:02}"


def year(draw: Draw) -> str:
    """Such as 1971"""
    year = str(date_parts(draw)[0])
    return year if draw.random() < 0.95 else f"{draw.between(1, 999)} BC"


def years(draw: Draw) -> str:
    """Such as 1971–1974"""
    year = date_parts(draw)[0]
    return f"{year}{draw.pick(('-', '–', ' to '))}{year + draw.between(1, 40)}"


def time(draw: Draw) -> str:
    """Such as 05:32"""
    hour, minute, u = draw.below(24), draw.below(60), draw.random()
    if u < 0.5:
        return f"{hour:02}:{minute:02}"
    return (
        f"{hour % 12 + 1}:{minute:02} {draw.pick(('am', 'pm', 'AM', 'PM', 'p.m.'))}"
        if u < 0.8
        else f"{hour:02}:{minute:02}:{draw.below(60):02}"
    )


def hours(draw: Draw) -> str:
    """Such as 6 am to 2 pm"""
    start = draw.between(5, 12)
    end = start + draw.between(3, 11)
    return draw.pick(
        (
            f"{start}:00-{end}:30",
            f"{start} am to {end % 12 + 1} pm",
            f"{start:02}:00 to {end}:00",
            f"daily {start}-{end}",
        )
    )


def duration(draw: Draw) -> str:
    """Such as 43 years"""
    u = draw.random()
    if u < 0.7:
        return f"{draw.digits(draw.between(1, 3))} {draw.pick(v.DURATION_UNITS)}"
    return (
        f"{draw.between(1, 30)} h {draw.below(60)} min"
        if u < 0.85
        else f"{draw.below(12)}:{draw.below(60):02}:{draw.below(60):02}"
    )


def version(draw: Draw) -> str:
    """Such as 7.12"""
    number = ".".join([str(draw.below(draw.pick((5, 20, 60)))) for _ in range(draw.between(2, 4))])
    u = draw.random()
    if u < 0.7:
        return number
    return (
        "v" + number if u < 0.85 else number + draw.pick(("-beta", "rc1", "a2", "-alpha.3", ".post1", "-SNAPSHOT", "b"))
    )


def small_integer(draw: Draw) -> str:
    """Such as 5"""
    return str(draw.below(10 ** draw.between(1, 3)))


def currency(draw: Draw) -> str:
    """Such as A$4,329"""
    u, amount = draw.random(), draw.digits(draw.between(1, 7))
    if u < 0.3:
        return f"{draw.pick(v.CURRENCY_SIGNS)}{int(amount):,}"
    if u < 0.6:
        return f"{draw.pick(v.CURRENCY_SIGNS)}{draw.digits(draw.between(1, 4))}.{draw.below(100):02}"
    return (
        f"{amount} {draw.pick(v.CURRENCY_NAMES)}"
        if u < 0.85
        else f"${draw.below(1000) / 10} {draw.pick(('million', 'billion', 'k'))}"
    )


def percentage(draw: Draw) -> str:
    """Such as 54%"""
    number = str(draw.below(101)) if draw.random() < 0.5 else f"{draw.below(100)}.{draw.digits(draw.between(1, 2))}"
    return number + draw.pick(("%", "%", " %", " percent"))


def quantity(draw: Draw) -> str:
    """Such as 36 m³"""
    number = draw.pick((small_integer, small_integer, decimal, large_integer, signed))(draw)
    return f"{number} {draw.pick(v.UNITS) if draw.random() < 0.85 else draw.pick(('', 'k')) + word(draw) + 's'}"


def signed(draw: Draw) -> str:
    """Such as -64.008"""
    return f"{draw.pick(('-', '-', '+', '−'))}{small_integer(draw) if draw.random() < 0.4 else decimal(draw)}"


def signed_decimal(draw: Draw) -> str:
    """Such as -97.64"""
    return ("-" if draw.random() < 0.45 else "") + f"{draw.below(180)}.{draw.digits(draw.between(1, 5))}"


def comparison(draw: Draw) -> str:
    """Such as ~643"""
    return draw.pick((">", "<", "~", ">=", "<=", "at least ", "about ", "±", "≈")) + integer(draw)[:6]


def coordinates(draw: Draw) -> str:
    """Such as 8.432, 37.663"""
    u = draw.random()
    if u < 0.5:
        return f"{draw.between(-89, 89)}.{draw.digits(3)}, {draw.between(-179, 179)}.{draw.digits(3)}"
    return f"{draw.below(90)}°{draw.below(60)}'{draw.pick('NS')} {draw.below(180)}°{draw.below(60)}'{draw.pick('EW')}"


def repeated_digits(draw: Draw) -> str:
    """Such as 55666"""
    return "".join([draw.pick("0123456789") * draw.between(1, 4) for _ in range(draw.between(2, 4))])


def phone(draw: Draw) -> str:
    """Such as +54 432 6435"""
    u = draw.random()
    if u < 0.4:
        return f"+{draw.between(1, 99)} {draw.digits(3)} {draw.digits(4)}"
    return f"({draw.digits(3)}) {draw.digits(3)}-{draw.digits(4)}" if u < 0.6 else f"0{draw.digits(3)}/{draw.digits(5)}"


def ordinal(draw: Draw) -> str:
    """Such as 24th"""
    number = draw.between(1, 99)
    end = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{end}" if draw.random() < 0.7 else f"{number}{end} {word(draw)}"


def number_range(draw: Draw) -> str:
    """Such as 5 to 307"""
    low = draw.below(10 ** draw.between(1, 4))
    return f"{low}{draw.pick(('-', ' to ', '–', '..'))}{low + draw.between(1, 500)}"


def ratio(draw: Draw) -> str:
    """Such as 7/11"""
    return f"{draw.below(30)}{draw.pick((':', '-', '/', ' of ', '–'))}{draw.below(30)}"


def dimensions(draw: Draw) -> str:
    """Such as 544x370 px"""
    sizes = [str(draw.between(1, 999)) for _ in range(draw.between(2, 3))]
    return f"{draw.pick((' x ', 'x', ' × ')).join(sizes)}{draw.pick(('', ' mm', ' cm', ' px', ' m'))}"


DATE_FORMS = (date_iso, date_words, date_american, date_slashes, date_dots, date_short)

"""Kinds of subjects: for each its theme and a function that draws one name; and near-identical names.

In: a `Draw`. Out: a name of one line. The theme ("person", "place", "organisation", "work", "product", "software",
"science", "event", "any") decides which common relations suit it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from widedeep_kb.synthetic import names, strings
from widedeep_kb.synthetic import vocabulary as v
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.words import NUM_LOOKS, capital, common_words, foreign_word, pseudo_word, word

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CODE = _UPPER + "0123456789"
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class SubjectKind:
    """A kind of subject: its `name`, its `theme`, and `draw_name`, which draws one subject of it."""

    name: str
    theme: str
    draw_name: Callable[[Draw], str]


def _capitalised(draw: Draw) -> str:
    return " ".join([capital(draw) for _ in range(draw.between(1, 4))])


def _lower_case(draw: Draw) -> str:
    u = draw.random()
    if u < 0.2:
        return pseudo_word(draw)
    return f"{word(draw)} {word(draw)}" if u < 0.7 else f"{word(draw)} {word(draw)} {word(draw)}"


def _person_nickname(draw: Draw) -> str:
    return f'{names.first_name(draw)} "{capital(draw)}" {names.last_name(draw)}'


def _company(draw: Draw) -> str:
    return (
        f"{pseudo_word(draw).capitalize()} {draw.pick(v.COMPANY_ENDS)}" if draw.random() < 0.5 else names.company(draw)
    )


def _ampersand(draw: Draw) -> str:
    u = draw.random()
    if u < 0.4:
        return f"{names.last_name(draw)} & {names.last_name(draw)}"
    first, second = draw.pick(_UPPER), draw.pick(_UPPER)
    return (
        f"{first}{second}&{draw.pick(_UPPER)}" if u < 0.7 else f"{first}{second}{draw.pick(('++', '#', '+', '*', '!'))}"
    )


def _product(draw: Draw) -> str:
    name, u = capital(draw), draw.random()
    if u < 0.35:
        line = draw.pick(("Pro", "Max", "X", "Mini", "Plus", "Series", "Mark", "GT", "Air", "One"))
        return f"{name} {line} {draw.between(1, 99)}"
    if u < 0.7:
        return f"{name} {draw.characters(_UPPER, count=draw.between(1, 2))}{draw.digits(draw.between(2, 4))}"
    return f"{name} {capital(draw)} {draw.between(1, 30)}.{draw.between(0, 12)}"


def _stock_number(draw: Draw) -> str:
    u = draw.random()
    if u < 0.4:
        return f"{draw.characters(_CODE, count=draw.between(2, 4))}-{draw.digits(draw.between(2, 5))}"
    if u < 0.6:
        return f"{draw.characters(_UPPER, count=2)}-{draw.digits(3)}-{draw.characters(_CODE, count=2)}"
    if u < 0.8:
        return f"SKU {draw.digits(draw.between(4, 6))}"
    return f"{draw.pick(('#', 'No. ', 'INV-', 'PO', 'Ticket ', 'Order '))}{draw.digits(draw.between(3, 6))}"


def _code(draw: Draw) -> str:
    return draw.characters(_CODE, count=draw.between(4, 8))


def _acronym(draw: Draw) -> str:
    return draw.characters(_UPPER, count=draw.between(3, 6))


def _with_unit(draw: Draw) -> str:
    number = draw.pick((draw.digits(1), draw.digits(2), f"{draw.digits(1)}.{draw.digits(1)}"))
    unit = draw.pick(("V", "W", "mm", " mm", " kg", "GB", "-inch", " ml", "mAh", " Hz"))
    return f"{number}{unit} {word(draw)} {word(draw)}"


def _dotted(draw: Draw) -> str:
    parts = [word(draw) for _ in range(draw.between(1, 3))]
    u = draw.random()
    if u < 0.5:
        return ".".join(parts) + f".{capital(draw)}"
    return ".".join(parts) + f".{word(draw)}{capital(draw)}" if u < 0.8 else ".".join(parts) + f".{word(draw)}"


def _snake(draw: Draw) -> str:
    name = "_".join([word(draw) for _ in range(draw.between(2, 4))])
    return name if draw.random() < 0.8 else name.upper()


def _camel(draw: Draw) -> str:
    start = word(draw) if draw.random() < 0.6 else capital(draw)
    return start + "".join([capital(draw) for _ in range(draw.between(1, 2))]) + draw.pick(("", "", "()", "Impl"))


def _call(draw: Draw) -> str:
    name = draw.pick((_snake, _dotted, _camel))(draw).removesuffix("()")
    return f"{name}({draw.pick(('', word(draw), 'self', 'x, y'))})"


def _file(draw: Draw) -> str:
    folders = "/".join([word(draw) for _ in range(draw.between(1, 3))])
    return f"{draw.pick(('/', '', 'src/', '/etc/', '~/'))}{folders}.{draw.pick(v.EXTENSIONS)}"


def _host(draw: Draw) -> str:
    network = draw.pick(("local", "internal", "net", "io", "lan"))
    return f"{word(draw)}{draw.pick(('', '-'))}{draw.between(1, 40)}.{word(draw)}.{network}"


def _package(draw: Draw) -> str:
    return f"{word(draw)}{draw.pick(('-', '_', '', 'py-', '.'))}{word(draw)}"


def _option(draw: Draw) -> str:
    return f"--{word(draw)}-{word(draw)}" if draw.random() < 0.6 else f"{word(draw)}.{word(draw)}-{word(draw)}"


def _hex_pair(draw: Draw) -> str:
    return f"{draw.characters(_HEX, count=4)}:{draw.characters(_HEX, count=4)}"


def _gene(draw: Draw) -> str:
    u = draw.random()
    if u < 0.5:
        end = draw.pick(("", "A", "B", "L1", "P"))
        return f"{draw.characters(_UPPER, count=draw.between(2, 4))}{draw.between(1, 30)}{end}"
    return f"{pseudo_word(draw)[:5]}{draw.pick(('in', 'ase', 'ogen', 'in-like'))}-{draw.between(1, 12)}"


def _chemical(draw: Draw) -> str:
    u = draw.random()
    if u < 0.5:
        start = draw.pick(("2,3-", "N-", "iso", "methyl", "di", "cyclo", "1,4-", "poly", "trans-", ""))
        return f"{start}{pseudo_word(draw)}{draw.pick(('ine', 'ane', 'ol', 'ate', 'ide', 'ium', 'one'))}"
    if u < 0.75:
        return f"{pseudo_word(draw)} {draw.pick(('acid', 'oxide', 'sulphate', 'chloride', 'nitrate'))}"
    return strings.formula(draw)


def _medicine(draw: Draw) -> str:
    name = pseudo_word(draw).capitalize() + draw.pick(("ol", "ix", "mab", "in", "pril", "statin", "cef"))
    return name if draw.random() < 0.6 else f"{name} {draw.between(1, 20) * 5} mg"


def _species(draw: Draw) -> str:
    if draw.random() < 0.5:
        return f"{pseudo_word(draw, look=NUM_LOOKS - 1).capitalize()} {pseudo_word(draw, look=NUM_LOOKS - 1)}"
    return f"{draw.pick(('spotted', 'great', 'common', 'red', 'northern', 'dwarf'))} {pseudo_word(draw)}"


def _star(draw: Draw) -> str:
    catalogue = draw.pick(("HD", "NGC", "Kepler-", "Gliese", "M", "PSR J", "TRAPPIST-", "SN 19", "Asteroid"))
    return f"{catalogue} {draw.digits(draw.between(2, 5))}".replace("- ", "-") + draw.pick(("", "", " b", "c"))


def _club(draw: Draw) -> str:
    start = draw.pick(("", "FC ", "Real ", "Sporting ", "the "))
    end = draw.pick(("F.C.", "United", "City", "Rovers", "Tigers", "Bears", "Athletic", "Town"))
    return f"{start}{names.place(draw)} {end}"


def _event(draw: Draw) -> str:
    u, year = draw.random(), draw.between(1700, 2030)
    if u < 0.35:
        what = draw.pick(("Open", "Marathon", "earthquake", "election", "Festival", "Grand Prix", "Summit"))
        return f"{year} {names.place(draw)} {what}"
    if u < 0.7:
        return strings.event(draw)
    what = draw.pick(("Conference", "Cup", "Championship", "Congress", "Games", "Uprising", "Fair"))
    return f"{capital(draw)} {what} {year}"


def _season(draw: Draw) -> str:
    year = draw.between(1920, 2029)
    return f"{year}–{(year + 1) % 100:02} {names.place(draw)} season"


def _law(draw: Draw) -> str:
    what = draw.pick(("Act", "Treaty", "Directive", "Bill", "Amendment", "Protocol"))
    end = draw.pick(("", f" of {draw.between(1800, 2030)}", f" {draw.between(1, 99)}"))
    return f"{capital(draw)} {what}{end}"


def _ship(draw: Draw) -> str:
    return f"{draw.pick(('HMS', 'USS', 'MV', 'SS', 'RMS', 'INS'))} {capital(draw)}"


def _opus(draw: Draw) -> str:
    form = draw.pick(("Sonata", "Symphony", "Quartet", "Concerto", "Étude", "Nocturne"))
    return f"{form} No. {draw.between(1, 40)} in {draw.pick('ABCDEFG')} {draw.pick(('major', 'minor', 'flat major'))}"


def _of_title(draw: Draw) -> str:
    return f"The {capital(draw)} of {draw.pick(('the ', '', ''))}{capital(draw)}"


def _episode(draw: Draw) -> str:
    what = draw.pick(("film", "song", "novel", "album", "TV series", "band", str(draw.between(1900, 2029))))
    return f"{names.title(draw)} ({what})"


def _dish(draw: Draw) -> str:
    return f"{pseudo_word(draw)} {draw.pick(('soup', 'bread', 'stew', 'cake', 'tea', 'cheese', 'wine', 'sauce'))}"


def _user(draw: Draw) -> str:
    return f"@{word(draw)}{draw.digits(draw.between(1, 3))}" if draw.random() < 0.6 else strings.email(draw)


def _foreign(draw: Draw) -> str:
    first = foreign_word(draw).capitalize()
    return first if draw.random() < 0.5 else f"{first} {foreign_word(draw).capitalize()}"


def _room(draw: Draw) -> str:
    what = draw.pick(("Room", "Gate", "Sector", "Route", "Bus", "Building", "Platform", "Unit", "Team", "Area"))
    return f"{what} {draw.pick(('', draw.pick(_UPPER)))}{draw.between(1, 300)}"


SUBJECT_KINDS: tuple[SubjectKind, ...] = tuple(
    SubjectKind(draw_name.__name__.strip("_"), theme, draw_name)
    for theme, draw_names in {
        "any": (_capitalised, _capitalised, _lower_case, _acronym, _code, _foreign, _of_title),
        "person": (names.person, names.person, names.person, _person_nickname, _user),
        "place": (names.place, names.place, names.place, names.landmark, names.landmark, _room, strings.address),
        "organisation": (_company, _company, names.institution, _club, _ampersand),
        "work": (names.title, names.title, _episode, _opus, _law),
        "product": (_product, _product, _stock_number, _with_unit, _ship, _dish),
        "software": (_dotted, _snake, _camel, _call, _file, _host, _package, _option, _hex_pair),
        "science": (_gene, _chemical, _medicine, _species, _star),
        "event": (_event, _season),
    }.items()
    for draw_name in draw_names
)


def near_identical(draw: Draw, subject: str) -> str:
    """A name that differs from `subject` by one digit, letter, word or added part; never equal to it."""
    u = draw.random()
    places = [i for i, c in enumerate(subject) if c.isdigit()]
    if places and u < 0.6:
        i = draw.pick(places)
        return subject[:i] + str((int(subject[i]) + draw.between(1, 9)) % 10) + subject[i + 1 :]
    parts = subject.split(" ")
    if len(parts) > 1 and u < 0.75:
        i = draw.below(len(parts))
        new = capital(draw) if parts[i][:1].isupper() else draw.pick(common_words())
        if new != parts[i]:
            return " ".join([*parts[:i], new, *parts[i + 1 :]])
    letters = [i for i, c in enumerate(subject) if c.isascii() and c.isalpha()]
    if letters and u < 0.85:
        i = draw.pick(letters)
        new = chr((ord(subject[i].lower()) - 97 + draw.between(1, 25)) % 26 + 97)
        return subject[:i] + (new.upper() if subject[i].isupper() else new) + subject[i + 1 :]
    if " " in subject or subject[:1].isupper():
        return f"{subject} {draw.pick(('II', 'North', 'Jr.', '2', 'B', 'West', 'Junior', '(old)', 'III', 'Old Town'))}"
    return subject + draw.pick(("2", "_v2", "x", "_old", "-b", "s", "_tmp", "0"))

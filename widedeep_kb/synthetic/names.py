"""Names of persons, places, companies and works: used both as subjects and as values."""

from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.vocabulary import (
    COMPANY_ENDS,
    COMPANY_TYPES,
    FIRST_NAMES,
    INSTITUTIONS,
    LAST_NAMES,
    PLACE_ENDS,
    PLACE_STARTS,
    SCHOOL_STARTS,
    TITLE_STARTS,
)
from widedeep_kb.synthetic.words import NUM_LOOKS, capital, pseudo_word, word

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def first_name(draw: Draw) -> str:
    """A given name: six in ten real, four made up."""
    return draw.pick(FIRST_NAMES) if draw.random() < 0.6 else pseudo_word(draw).capitalize()


def last_name(draw: Draw) -> str:
    """A family name: four in ten real, six made up."""
    return draw.pick(LAST_NAMES) if draw.random() < 0.4 else pseudo_word(draw).capitalize()


def person(draw: Draw) -> str:
    """A full name in one of ten shapes."""
    u = draw.random()
    if u < 0.62:
        return f"{first_name(draw)} {last_name(draw)}"
    if u < 0.72:
        return f"{first_name(draw)} {draw.pick(_UPPER)}. {last_name(draw)}"
    if u < 0.78:
        return f"{first_name(draw)} {first_name(draw)} {last_name(draw)}"
    if u < 0.82:
        return f"{draw.pick(_UPPER)}. {draw.pick(_UPPER)}. {last_name(draw)}"
    if u < 0.86:
        return f"{first_name(draw)} {last_name(draw)}-{last_name(draw)}"
    if u < 0.90:
        return f"{draw.pick(('Dr.', 'Sir', 'Prof.', 'Lady', 'Captain', 'Mr', 'Mrs'))} {last_name(draw)}"
    if u < 0.93:
        return f"{first_name(draw)} {last_name(draw)} {draw.pick(('Jr.', 'II', 'III', 'Sr.'))}"
    if u < 0.96:
        return f"{first_name(draw)} {draw.pick(('van', 'de', 'von', 'al-', 'bin', 'da', 'ter', 'of'))} {capital(draw)}"
    return last_name(draw) if u < 0.98 else f"{last_name(draw)}, {first_name(draw)}"


def place(draw: Draw) -> str:
    """The name of a town or region, mostly made up."""
    u = draw.random()
    if u < 0.55:
        return pseudo_word(draw).capitalize()
    look = draw.below(NUM_LOOKS)
    name = pseudo_word(draw, look=look).capitalize()
    if u < 0.67:
        return draw.pick(PLACE_STARTS) + name
    if u < 0.77:
        return f"{name} {pseudo_word(draw, look=look).capitalize()}"
    if u < 0.83:
        joint = draw.pick((" on ", "-am-", "-sur-", " upon ", "-sous-", " de ", "-", " del "))
        return f"{name}{joint}{pseudo_word(draw, look=look).capitalize()}"
    if u < 0.93:
        return f"{capital(draw)} {draw.pick(('Hill', 'City', 'Springs', 'Grove', 'Heights', 'Falls', 'Park', 'Bay'))}"
    return f"{name}, {pseudo_word(draw, look=look).capitalize()}"


def landmark(draw: Draw) -> str:
    """A named thing on the map: river, lake, station, airport, street."""
    name = capital(draw) if draw.random() < 0.4 else pseudo_word(draw).capitalize()
    if draw.random() < 0.15:
        return f"{draw.pick(('Lake', 'Mount', 'River', 'Port', 'Cape', 'Castle', 'Rue', 'Via'))} {name}"
    return f"{name} {draw.pick(PLACE_ENDS)}"


def company(draw: Draw) -> str:
    """A firm, party, club or agency."""
    u = draw.random()
    if u < 0.5:
        return f"{capital(draw)} {draw.pick(COMPANY_ENDS)}"
    if u < 0.7:
        return f"{capital(draw)} {capital(draw)}"
    if u < 0.78:
        return f"{last_name(draw)} & {last_name(draw)}"
    if u < 0.86:
        return f"{capital(draw)} {draw.pick(COMPANY_TYPES)}"
    if u < 0.93:
        return draw.characters(_UPPER, count=draw.between(2, 4))
    return pseudo_word(draw).capitalize() + draw.pick(
        ("soft", "tech", "ix", "ly", ".io", "Corp", "Works", "Air", "Bank")
    )


def institution(draw: Draw) -> str:
    """A school or university."""
    u = draw.random()
    if u < 0.6:
        return f"{capital(draw)} {draw.pick(INSTITUTIONS)}"
    if u < 0.85:
        return f"University of {pseudo_word(draw).capitalize()}"
    return f"{draw.pick(SCHOOL_STARTS)} {capital(draw)} {draw.pick(INSTITUTIONS)}"


def title(draw: Draw) -> str:
    """The title of a work: 1 to 5 words."""
    u = draw.random()
    if u < 0.25:
        return f"The {capital(draw)} {capital(draw)}"
    if u < 0.45:
        return f"{capital(draw)} {draw.pick(('of', 'and', 'in', 'without', 'for', 'from', 'at', 'on'))} {capital(draw)}"
    if u < 0.6:
        return f"{draw.pick(TITLE_STARTS)} {capital(draw)} {draw.pick(('of', 'for'))} {capital(draw)}"
    if u < 0.75:
        return " ".join([capital(draw) for _ in range(draw.between(2, 4))])
    if u < 0.82:
        return f"{capital(draw)}: {capital(draw)} {capital(draw)}"
    if u < 0.9:
        return f"{capital(draw)} {draw.between(2, 12)}"
    return f"{capital(draw)}{draw.pick((' ', ', ', ' & '))}{word(draw).capitalize()}{draw.pick(('', '!', '?', ' II'))}"

"""Values made of letters: codes, addresses, phrases, lists. Each function draws one string."""

import re

from widedeep_kb.synthetic import names, numerals
from widedeep_kb.synthetic import vocabulary as v
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.words import NUM_LOOKS, capital, common_words, pseudo_word, word

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = _UPPER.lower()
_HEX = "0123456789abcdef"
_CODE = _UPPER + "0123456789"
_PIECES = re.compile(r"[0-9]|[A-Za-z]{1,5}|[^\x00-\x7f]|[^\w\s]")


def code(draw: Draw) -> str:
    """Such as NVWCA"""
    u = draw.random()
    if u < 0.4:
        return draw.characters(_CODE, count=draw.between(3, 7))
    if u < 0.6:
        return f"{draw.characters(_UPPER, count=draw.between(1, 3))}-{draw.digits(draw.between(2, 5))}"
    if u < 0.8:
        return f"{draw.characters(_CODE, count=3)}-{draw.characters(_CODE, count=3)}"
    return f"{draw.characters(_LOWER, count=2)}{draw.digits(3)}{draw.pick(('', '_', '/', '.'))}{draw.pick(_LOWER)}"


def hexadecimal(draw: Draw) -> str:
    """Such as #859a10"""
    u = draw.random()
    if u < 0.2:
        return "0x" + draw.characters(_HEX, count=draw.between(1, 4))
    if u < 0.35:
        return "#" + draw.characters(_HEX, count=6)
    return draw.characters(_HEX, count=draw.between(4, 9))


def uuid_part(draw: Draw) -> str:
    """Such as 859a1-0d43"""
    return f"{draw.characters(_HEX, count=draw.between(4, 8))}-{draw.characters(_HEX, count=4)}"


def ip(draw: Draw) -> str:
    """Such as 172.16.94.154"""
    if draw.random() < 0.9:
        return f"{draw.pick(('10', '192.168', '172.16', '127.0'))}.{draw.below(256)}.{draw.below(256)}"
    return f"fe80::{draw.characters(_HEX, count=4)}:{draw.characters(_HEX, count=2)}"


def mac(draw: Draw) -> str:
    """Such as 59-a1-0d"""
    num_pairs = draw.pick((2, 3, 3, 4, 4, 6))
    return draw.pick((":", "-")).join([draw.characters(_HEX, count=2) for _ in range(num_pairs)])


def label(draw: Draw) -> str:
    """A part of an address: lower-case letters, sometimes with a hyphen."""
    u = draw.random()
    if u < 0.75:
        return word(draw)
    return f"{word(draw)}-{word(draw)}" if u < 0.9 else word(draw) + draw.digits(2)


def domain(draw: Draw) -> str:
    """Such as mail.originality.org"""
    prefix = draw.pick(("www.", "api.", "mail.", "db1.", "shop.")) if draw.random() < 0.25 else ""
    return f"{prefix}{label(draw)}.{draw.pick(v.TOP_DOMAINS)}"


def url(draw: Draw) -> str:
    """Such as http://kick.com/motion"""
    path = "/" + word(draw) if draw.random() < 0.5 else ""
    return f"{draw.pick(('https://', 'http://', 'https://www.'))}{word(draw)}.{draw.pick(v.TOP_DOMAINS)}{path}"


def email(draw: Draw) -> str:
    """Such as pot.p@kick.com"""
    return f"{word(draw)}{draw.pick(('', '.', '_'))}{draw.pick(_LOWER)}@{word(draw)}.{draw.pick(v.TOP_DOMAINS)}"


def path(draw: Draw) -> str:
    """Such as /usr/motion.md"""
    start = draw.pick(("/", "/usr/", "./", "src/", "C:\\", "/etc/", "~/", "data/"))
    return f"{start}{word(draw)}{'/' + word(draw) if draw.random() < 0.5 else ''}.{draw.pick(v.EXTENSIONS)}"


def identifier(draw: Draw) -> str:
    """Such as motion_originality"""
    u = draw.random()
    if u < 0.4:
        return f"{word(draw)}_{word(draw)}"
    if u < 0.6:
        return word(draw) + capital(draw)
    if u < 0.75:
        return f"{word(draw)}.{capital(draw)}"
    return f"--{word(draw)}-{word(draw)}" if u < 0.85 else f"{capital(draw)}{capital(draw)}"


def phrase(draw: Draw) -> str:
    """Such as motion originality"""
    return " ".join([word(draw) for _ in range(draw.between(2, 4))])


def long_phrase(draw: Draw) -> str:
    """5 to 12 words, few of them made up, so that most stay within 16 tokens."""
    count = draw.between(5, 12)
    words = [clause(draw)]
    while 2 * len(words) + 1 < count:
        joint = draw.pick(("and", "of", "in", "for", "with", "the", "a", "to", "by", "or"))
        words.append(f"{joint} {draw.pick(common_words())}")
    text = " ".join(words)
    return text if draw.random() < 0.6 else text[0].upper() + text[1:]


def clause(draw: Draw) -> str:
    """Such as a motion originality"""
    article = draw.pick(("the", "a", "any", "most", "each", "two", "no", "some"))
    return f"{article} {word(draw)} {draw.pick(common_words())}"


def title_parenthesis(draw: Draw) -> str:
    """Such as Participated 12 (PQ-11)"""
    inside = draw.pick((numerals.year, code, word, names.last_name, numerals.ordinal, nationality))(draw)
    return f"{names.title(draw)} ({inside})"


def nationality(draw: Draw) -> str:
    """Such as Czech"""
    return draw.pick(v.NATIONALITIES)


def listing(draw: Draw) -> str:
    """Such as liberty, kick and marvel"""
    item = draw.pick((word, word, pseudo_word, capital, numerals.small_integer, language, colour))
    items = [item(draw) for _ in range(draw.between(2, 4))]
    u = draw.random()
    if u < 0.6:
        return ", ".join(items[:-1]) + " and " + items[-1]
    return draw.pick((", ", "; ", "/", " | ")).join(items) if u < 0.9 else f"[{', '.join(items)}]"


def language(draw: Draw) -> str:
    """Such as Hebrew"""
    return draw.pick(v.LANGUAGES)


def colour(draw: Draw) -> str:
    """Such as brown"""
    return draw.pick(v.COLOURS)


def timezone(draw: Draw) -> str:
    """Such as America/Indiana/Zukhalov"""
    u = draw.random()
    if u < 0.75:
        city = draw.pick(v.ZONE_CITIES) if draw.random() < 0.5 else pseudo_word(draw).capitalize()
        return f"{draw.pick(v.AREAS)}/{city}"
    return f"{draw.pick(('UTC', 'GMT'))}{draw.pick('+-')}{draw.below(13)}{draw.pick(('', '', ':30', ':00'))}"


def repeated_tokens(draw: Draw) -> str:
    """Such as pot pot"""
    first, second = word(draw), word(draw)
    return draw.pick(
        (
            f"{first} {first} {second}", f"{first} {second} {first}", f"{first}-{first}", f"{first} {first}",
            f"{first} {second} {first} {second}", f"{first} of {first} and {second} of {second}",
        )
    )  # fmt: skip


def postcode(draw: Draw) -> str:
    """Such as 43295"""
    u = draw.random()
    if u < 0.6:
        return draw.digits(draw.between(4, 6))
    return f"{draw.characters(_UPPER, count=2)}{draw.below(20)} {draw.below(10)}{draw.characters(_UPPER, count=2)}"


def formula(draw: Draw) -> str:
    """Such as Fe15Zn2"""
    atoms = [
        draw.pick(v.ELEMENTS) + (str(draw.between(2, 24)) if draw.random() < 0.6 else "")
        for _ in range(draw.between(2, 4))
    ]
    return "".join(atoms)


def grade(draw: Draw) -> str:
    """Such as high"""
    return draw.pick(v.GRADES)


def constant(draw: Draw) -> str:
    """Such as JPQB"""
    u = draw.random()
    if u < 0.6:
        return draw.characters(_UPPER, count=draw.between(2, 5))
    return f"{word(draw)}_{word(draw)}".upper() if u < 0.85 else word(draw).upper()


def boolean(draw: Draw) -> str:
    """Such as false"""
    return draw.pick(v.BOOLEANS)


def isbn(draw: Draw) -> str:
    """Such as 2-5898-4329-6"""
    return f"{draw.digits(1)}-{draw.digits(4)}-{draw.digits(4)}-{draw.pick('0123456789X')}"


def latin(draw: Draw) -> str:
    """Such as Sole nisfaeoides"""
    genus = pseudo_word(draw, look=NUM_LOOKS - 1).capitalize()
    return genus if draw.random() < 0.3 else f"{genus} {pseudo_word(draw, look=NUM_LOOKS - 1)}"


def address(draw: Draw) -> str:
    """Such as 62 Freddy Avenue, Bernallthaick"""
    street = f"{capital(draw)} {draw.pick(('Street', 'Road', 'Avenue', 'Lane', 'St', 'Way', 'Blvd'))}"
    u = draw.random()
    if u < 0.6:
        return f"{draw.between(1, 999)} {street}"
    if u < 0.8:
        return f"{draw.between(1, 99)} {street}, {names.place(draw)}"
    return f"{capital(draw)}straße {draw.between(1, 99)}"


def event(draw: Draw) -> str:
    """Such as Battle of Kajaarpur"""
    return f"{draw.pick(('Battle of', 'Treaty of', 'Siege of', 'Festival of'))} {pseudo_word(draw).capitalize()}"


def value(draw: Draw) -> str:
    """What a setting or a return value may be."""
    kinds = (boolean, numerals.small_integer, numerals.decimal, identifier, constant, word, path)
    return draw.pick(kinds)(draw)


def wrapped(draw: Draw) -> str:
    """Such as <motion>"""
    shape = draw.pick(('"_"', "'_'", "<_>", "[_]", "`_`", "(_)", "_()", "$_", "@_", "_%", "-_", "_..."))
    return shape.replace("_", word(draw))


def sentence(draw: Draw) -> str:
    """17 to 60 tokens: two to four clauses of words and now and then a name, a number or a date."""
    clauses = []
    for _ in range(draw.between(2, 4)):
        end = draw.pick((word, word, word, names.person, names.place, numerals.small_integer, numerals.date_words))
        middle = f"{draw.pick(v.VERBS)} {draw.pick(('the', 'a', 'every', 'its'))} {draw.pick(common_words())}"
        clauses.append(f"{clause(draw)} {middle} {draw.pick(('of', 'near', 'after', 'for'))} {end(draw)}")
        if approximate_tokens("; ".join(clauses)) > 40:
            break
    text = draw.pick((", and ", "; ", " because ", ", while ", ", but ")).join(clauses)
    return text[0].upper() + text[1:]


def approximate_tokens(text: str) -> int:
    """About how many tokens a small LLM needs: one a digit, mark, other letter or five ASCII letters of a word.

    On generated values the correlation with the tokenizer of SmolLM2 is 0.95; words that it knows count too much.
    """
    return len(_PIECES.findall(text))

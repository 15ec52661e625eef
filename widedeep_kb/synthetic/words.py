"""Words: the most frequent English ones from `wordfreq`, and made-up ones with the look of twenty languages.

Made-up words are unlimited: they keep strings from being repeated, so that a reader learns to copy, not to recall.
"""

import re
from functools import cache

from wordfreq import top_n_list

from widedeep_kb.synthetic.draw import Draw

NUM_FREQUENT = 30_000
NUM_COMMON = 6_000
_RUDE = re.compile(
    r"fuck|shit|nigg|cunt|porn|slut|whore|rape|rapist|fag|bitch|dick|pussy|nazi|jihad|tits|cock|cum|anal|sex|ass|gay|lesb|piss"
)

# A language's look: onsets, nuclei, codas (an empty place is "-"), endings.
_LOOKS = """
english: b br c ch d f g h l m n p r s sh st t th w|a e i o u ea oo ai|- - n r t ck ll s nd|ton ley ford er wick by
french: b ch d f g j l m n p r s t v qu|a é e i o u ou ai au eu|- - - n r l|eau ette ois elle on ières
german: b d f g h k kl l m n r s sch st t w z|a e i o u ä ö ü ei au|- n r l ch ck tz|berg heim burg er ling stein
spanish: b c d f g j l m n p r s t v|a e i o u ia ue|- - - n s r|ez ada illo ero ción ñez
italian: b c ch d f g gi l m n p r s t v z|a e i o u|- - - n l r|ini etti ella aro ucci one
portuguese: b c d f g j l lh m n nh p r s t v|a e i o u ã ei|- - - s r|inho eira ão ões al
polish: b c cz d g j k ł m n p r rz s sz t w z|a e i o u y ó ą ę|- - n k r|ski owa czyk ów ice no
czech: b č d h j k l m n p r ř s š t v z ž|a á e ě i í o u ů|- - k n l|ov ice ek ský ová
russian: b v g d zh z k l m n p r s t kh sh|a e i o u ya yu|- - n v l r|ov ev sky ina enko grad
nordic: b d f g h j k l m n r s sk sv t v|a e i o u y å ä ö ø|- n r l k g|sen sson berg vik stad dal
turkish: b c ç d g h k l m n s ş t y z|a e ı i o ö u ü|- n r l k|oğlu lar köy er men can
arabic: b d f gh h j k kh l m n q r s sh t y z|a i u aa|- d f l m n r|ani iya uddin ar an
indian: b bh ch d dh g h j k kh l m n p r s sh t v y|a aa e i o u|- - n r|pur anand esh a ram wal
japanese: k s t n h m y r sh ch ts g z d b|a i u e o|- - - n|moto shima yama ko da kawa
chinese: b ch d f g h j l m n q s sh t w x y zh|a ai ao e i ia ong u ui ü|- n ng|an ei ing ou
korean: b ch d g h j k m n p s y|a ae e eo i o u yeo|- n ng k l|hyun won soo gyeong jin
african: b d f g k kw l m mb n nd ng nk s t w y z|a e i o u|- - -|ele ani umba we oku isa
polynesian: h k l m n p t w ' v|a e i o u ā ō ai|- - -|ika anga oa ulu ehu
finnish: h j k l m n p r s t v|a e i o u y ä ö aa uu ii|- n s l k|nen la ranta järvi mäki
welsh: b c d dd f g gw h ll m n p r rh t|a e i o u w y ae|- n r dd s|wyn an og fan eth
hungarian: b cs d f g gy h k l m n ny p r s sz t v z|a á e é i o ó ö ő u|- k n s l|hely vár falva ssy ár
greek: d f g k kl l m n p ph r s t th x|a e i o y ia|- s n|opoulos is os ides akis on
latin: b c d f g l m n p qu r s t v|a e i o u ae|- - n s r|us um ia ensis ata oides
"""
_SCRIPTS = """
бвгдклмнпрст|а е и о у я|- - н р|ов ский ина
βγδκλμνπρστ|α ε ι ο ω|- - ς|ος ης ία
"""
SYLLABLES_PER_LOOK = 240


@cache
def frequent_words() -> tuple[str, ...]:
    """Lower-case ASCII English words of 3 to 12 letters, by falling frequency (about 26,000)."""
    words = top_n_list("en", NUM_FREQUENT)
    return tuple(w for w in words if w.isascii() and w.isalpha() and 3 <= len(w) <= 12 and not _RUDE.search(w))


@cache
def common_words() -> tuple[str, ...]:
    """The most frequent of `frequent_words`, less the 150 that are mostly grammar."""
    return frequent_words()[150 : 150 + NUM_COMMON]


@cache
def capitalised_words() -> tuple[str, ...]:
    """`frequent_words` past the grammar, each with a capital."""
    return tuple(word.capitalize() for word in frequent_words()[150:])


def _inventory(spec: str, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Syllables and endings of one look."""
    onsets, nuclei, codas, endings = (part.split() for part in spec.split("|"))
    if len(onsets) == 1:
        onsets = list(onsets[0])
    draw = Draw(seed)
    syllables = tuple(
        draw.pick(onsets) + draw.pick(nuclei) + draw.pick(codas).replace("-", "") for _ in range(SYLLABLES_PER_LOOK)
    )
    return syllables, tuple(endings)


_INVENTORIES = tuple(_inventory(line.split(": ")[1], i) for i, line in enumerate(_LOOKS.strip().split("\n")))
_SCRIPT_INVENTORIES = tuple(_inventory(line, i) for i, line in enumerate(_SCRIPTS.strip().split("\n")))
NUM_LOOKS = len(_INVENTORIES)


def pseudo_word(draw: Draw, *, look: int | None = None) -> str:
    """A made-up lower-case word of 2 to 4 syllables with the look of one language (a random one without `look`)."""
    syllables, endings = _INVENTORIES[int(draw.random() * NUM_LOOKS) if look is None else look]
    u = draw.random()
    word = draw.pick(syllables) + draw.pick(syllables)
    if u < 0.3:
        return word
    if u < 0.8:
        return word + draw.pick(endings)
    return word + draw.pick(syllables)


def foreign_word(draw: Draw) -> str:
    """A made-up lower-case word in Cyrillic or Greek letters."""
    syllables, endings = draw.pick(_SCRIPT_INVENTORIES)
    return draw.pick(syllables) + draw.pick(syllables) + draw.pick(endings)


def word(draw: Draw) -> str:
    """A lower-case word: six in ten common, two less common, two made up."""
    u = draw.random()
    if u < 0.6:
        return draw.pick(common_words())
    return draw.pick(frequent_words()) if u < 0.8 else pseudo_word(draw)


def capital(draw: Draw) -> str:
    """A capitalised word: seven in ten English, three made up."""
    return draw.pick(capitalised_words()) if draw.random() < 0.7 else pseudo_word(draw).capitalize()

"""English names of the Wikidata properties that the public data sets use."""

PROPERTY_NAMES: dict[str, str] = {
    "P6": "head of government", "P17": "country", "P19": "place of birth", "P20": "place of death", "P26": "spouse",
    "P27": "country of citizenship", "P30": "continent", "P31": "instance of", "P35": "head of state", "P36": "capital",
    "P37": "official language", "P39": "position held", "P40": "child", "P47": "bordering place", "P50": "author",
    "P54": "member of sports team", "P69": "place of education", "P97": "noble title", "P98": "editor",
    "P101": "field of work", "P102": "political party", "P103": "native language", "P106": "occupation",
    "P108": "employer", "P112": "founder", "P115": "home venue", "P118": "league", "P121": "item operated",
    "P123": "publisher", "P127": "owner", "P131": "administrative territory", "P136": "genre", "P137": "operator",
    "P138": "namesake", "P140": "religion", "P150": "administrative subdivision", "P159": "headquarters location",
    "P166": "award received", "P169": "chief executive officer", "P170": "creator", "P175": "performer",
    "P176": "manufacturer", "P178": "developer", "P190": "twin city", "P195": "collection", "P241": "military branch",
    "P264": "record label", "P276": "location", "P279": "subclass of", "P286": "head coach",
    "P355": "subsidiary", "P361": "part of", "P364": "original language", "P366": "use", "P371": "presenter",
    "P407": "language of the work", "P410": "military rank", "P413": "playing position", "P449": "original broadcaster",
    "P463": "membership", "P466": "occupant", "P488": "chairperson", "P495": "country of origin", "P527": "component",
    "P530": "diplomatic partner", "P551": "residence", "P559": "terminus", "P608": "exhibition history",
    "P618": "source of energy", "P641": "sport", "P710": "participant", "P734": "family name",
    "P740": "place of formation", "P749": "parent organization", "P793": "significant event", "P800": "notable work",
    "P937": "work location", "P1001": "jurisdiction", "P1037": "director or manager", "P1075": "rector",
    "P1303": "instrument", "P1308": "officeholder", "P1344": "participation", "P1366": "successor",
    "P1376": "territory it is the capital of", "P1412": "language spoken", "P1416": "affiliation",
    "P1435": "heritage designation", "P1448": "official name", "P1830": "property owned", "P2561": "name",
    "P2632": "place of detention", "P2962": "chess title", "P4791": "commander", "P5096": "crew membership",
    "P6087": "sports team coached", "P8047": "country of registry",
}


def property_name(property_id: str) -> str:
    """Return the English name of a Wikidata property, for instance P17 -> "country".

    Raises:
        ValueError: if the property has no name here.
    """
    if property_id not in PROPERTY_NAMES:
        raise ValueError(f"no name for the Wikidata property {property_id!r}")
    return PROPERTY_NAMES[property_id]

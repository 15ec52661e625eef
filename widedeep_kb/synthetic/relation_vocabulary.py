"""Words that relations are made of: heads with the kind of value they ask for, modifiers, groups of near-synonyms."""

from widedeep_kb.synthetic.vocabulary import commas

HEADS = {
    "small_integer": "count, number, limit, depth, level, rank, position, index, size, quota, attempts, retries, "
    "threshold, number of seats, number of floors, number of goals, number of wings, order, step, "
    "priority, seats, rooms, doors",
    "grouped_integer": "total, sum, votes, sales, views, downloads, visitors, copies sold, members, passengers, "
    "circulation",
    "large_integer": "id, reference, account number, registration number, customer number, catalogue number, checksum",
    "integer": "key, counter, offset, serial, record number, ticket number, ballot number, register",
    "decimal": "ratio, score, coefficient, factor, average, weight, rate, index value, mean, density, radius, "
    "magnitude",
    "signed_decimal": "balance, bias, shift, deviation, latitude, charge, delta, correction",
    "percentage": "share, percentage, growth, discount, tax rate, probability, humidity, yield, margin, coverage, "
    "turnout",
    "currency": "fee, price, salary, cost, budget, fine, deposit, debt, loss, bonus, rent, fare, prize money, donation",
    "quantity": "height, length, width, depth, weight, volume, distance, temperature, pressure, speed, altitude, "
    "span, diameter, thickness, frequency, clearance, voltage, load, draught, wavelength, "
    "displacement, dose",
    "date": "date, day, deadline, opening, launch, renewal date, inspection date, departure, arrival, debut, "
    "expiry, review date",
    "year": "year, season, vintage, edition year, model year, year of completion, year of construction, census year",
    "years": "era, term of office, years active, reign, period, tenure, service period",
    "time": "time, start time, departure time, curfew, sunrise, check-in time, closing time, cut-off",
    "duration": "duration, delay, lifetime, interval, waiting time, notice period, latency, cooldown, half-time, "
    "uptime",
    "person": "owner, director, founder, teacher, leader, keeper, editor, captain, agent, winner, driver, "
    "judge, translator, guardian, sponsor, rival, mentor, student, curator, referee, illustrator, "
    "narrator, contact, author, patron",
    "place": "origin, destination, site, town, region, seat, birthplace, hometown, base, port, capital, "
    "source, mouth, stop",
    "company": "supplier, client, partner, publisher, operator, sponsor, broadcaster, lender, insurer, "
    "distributor, club",
    "institution": "school, university, academy, alma mater, training centre, college",
    "title": "title, theme, album, motto, project, flagship, film, anthem, series, mascot, opera, ballet, hymn",
    "title_parenthesis": "best known work, single, cover, sequel, pilot episode, featured track, source novel",
    "code": "code, id, tag, model, call sign, part number, badge, gate, slot, plate, batch, reference code, lot",
    "version": "version, release, firmware, revision, build, api level, driver version, schema version",
    "hex": "hash, checksum, token, commit, address, colour code, device id, mask, fingerprint",
    "ip": "ip, gateway, dns server, subnet, bind address, peer",
    "domain": "domain, host, mirror, server, endpoint, mail server",
    "url": "url, homepage, link, feed, source link, documentation",
    "email": "email, contact, support address, reply-to, billing contact",
    "path": "path, file, folder, log file, config file, binary, mount point, cache directory",
    "identifier": "parameter, field, class, method, handler, variable, plugin, backend, driver, module, base class",
    "word": "type, category, material, shape, mode, flavour, instrument, style, format, animal, plant, breed, "
    "fabric, metal",
    "phrase": "description, subject, purpose, topic, role, function, feature, symbol, hobby, condition, dish, remark",
    "long_phrase": "summary, note, slogan, rule, abstract, comment, instruction, definition, warning, first line, "
    "reason",
    "list": "languages, colours, tags, ingredients, parts, dependencies, symptoms, awards, members, options, keywords",
    "boolean": "enabled, is active, has pool, visible, required, is public, in stock, taxable, verified, nullable",
    "grade": "grade, class, severity, rating, risk, category, tier",
    "colour": "colour, paint, livery, eye colour, hair colour, flag colour, trim",
    "country": "country, nation, host country, market, flag state, exporter",
    "language": "language, dialect, mother tongue, working language, script",
    "nationality": "nationality, citizenship, demonym",
    "profession": "job, profession, trade, occupation, second job, vocation",
    "timezone": "time zone, tz, clock",
    "coordinates": "coordinates, gps, position, grid reference",
    "phone": "phone, fax, hotline, extension, mobile",
    "ratio": "score, aspect ratio, odds, record, result",
    "range": "range, age range, wavelength range, pages, span",
    "dimensions": "dimensions, size, format, footprint, resolution",
    "constant": "symbol, abbreviation, ticker, flag, status, state, unit, prefix",
    "landmark": "landmark, venue, station, nearest airport, river, stadium, burial place, bridge, home ground",
    "pseudo_word": "name, local name, nickname, brand, short name, maiden name, stage name, codename, surname",
    "event": "battle, occasion, festival, treaty, decisive battle",
    "latin": "species, genus, family, scientific name, host plant",
    "formula": "formula, composition, active ingredient, alloy",
}
MODIFIERS = commas(
    "first, second, third, fourth, last, next, previous, current, former, old, new, original, initial, final, "
    "main, primary, secondary, minimum, maximum, average, median, total, lowest, highest, mean, upper, lower, "
    "left, right, inner, outer, front, rear, internal, external, public, private, local, global, default, "
    "official, unofficial, estimated, actual, expected, planned, annual, monthly, weekly, daily, peak, base, "
    "net, gross, short, long, early, late, northern, southern, eastern, western, home, away, male, female, "
    "adult, junior, senior, male youth, national, regional, international, reported, recommended, allowed, top, "
    "bottom, legal, alternative, oldest, youngest, largest, smallest, domestic, foreign, summer, winter"
)
ENDINGS = commas(
    "at birth, at death, in summer, in winter, per person, per year, per unit, by weight, by volume, for "
    "adults, for children, at sea level, on weekdays, on weekends, before tax, after tax, on delivery, at "
    "night, abroad, in the north, in the south, for women, for men, in total, (estimate), (official), (max), "
    "(min), (old), (new), by area, upon request, under load, at rest, to date"
)
UNIT_ENDINGS = commas(
    "in metres, in feet, in kg, in pounds, (m), (ft), (kg), (%), in years, in days, in seconds, in USD, (EUR), "
    "in percent, in km², per second, [ms], [mm], in thousands, in millions, (°C), in MB"
)
VERBS = commas(
    "painted, built, sold, discovered, approved, founded, named, replaced, visited, restored, inspired, hosted, "
    "trained, funded, attacked, translated, delivered, moved, signed, edited, launched, acquired, tested, "
    "opened, closed, owned, led, elected, introduced, described, reported, raised, illustrated, carried, "
    "recorded, guarded, renamed, defeated, married, taught"
)
# After a verb: the preposition and the kind of value that it asks for.
VERB_ENDS = tuple(
    tuple(pair.split(": "))
    for pair in commas(
        "by: person, by: company, in: place, in: year, on: date, at: landmark, with: phrase, from: place, "
        "after: event, under: title, to: company, for: currency, as: profession, near: landmark, until: year, "
        "since: year, via: word, against: company"
    )
)
# Near-synonyms: a subject may have several of a group, each with a value of its own.
SYNONYMS = """
person: manufacturer's agent, dealer, seller, vendor contact, retailer, reseller, trader
person: boss, manager, supervisor, head, chief, director, leader, superior
person: author, writer, novelist, co-author, ghost writer, editor, contributor
person: founder, creator, inventor, initiator, originator, builder, designer
person: doctor, physician, surgeon, specialist, nurse, therapist, consultant
person: teacher, tutor, instructor, coach, mentor, lecturer, trainer
person: deputy, assistant, secretary, aide, adviser, spokesperson, representative
person: friend, colleague, partner, companion, ally, associate, acquaintance
person: landlord, tenant, owner, lessee, occupant, proprietor, caretaker
person: winner, champion, runner-up, finalist, title holder, medallist
company: manufacturer, producer, maker, builder, assembler, brand owner, importer
company: owner, holder, proprietor, parent, shareholder, trustee
company: carrier, operator, transporter, shipper, freight company, courier
company: publisher, printer, distributor, imprint, press, bookseller
place: location, site, position, venue, spot, area, whereabouts
place: birthplace, hometown, place of origin, home, residence, domicile, native village
place: headquarters, head office, branch, registered office, main site, seat
place: destination, terminus, stop, port of call, final stop, arrival city
date: start date, opening date, launch date, commencement, first day, kick-off date
date: end date, closing date, expiry date, last day, termination date, cancellation date
date: order date, purchase date, payment date, shipping date, delivery date, invoice date, return date
date: date of birth, date of baptism, date of marriage, date of death, date of burial
date: created, modified, published, submitted, accepted, reviewed, archived
year: founded, established, incorporated, opened, rebuilt, renovated, dissolved
quantity: height, altitude, elevation, tallness, top height, clearance
quantity: length, extent, distance, reach, span, stretch
quantity: weight, mass, payload, empty weight, gross weight, load, tare
quantity: speed, velocity, pace, top speed, cruising speed, landing speed
quantity: melting point, boiling point, flash point, freezing point, triple point
quantity: temperature, heat, room temperature, surface temperature, operating temperature
quantity: voltage, current, power, resistance, capacitance, charge
currency: price, cost, fee, charge, rate, tariff, fare, toll
currency: salary, wage, income, earnings, pension, bonus, stipend
currency: revenue, profit, turnover, sales, surplus, net worth, assets
small_integer: limit, maximum, cap, ceiling, quota, upper bound, threshold
small_integer: minimum, floor, lower bound, least value, base
small_integer: wins, losses, draws, points, goals, assists, matches
small_integer: width, height, depth, x, y, z
grouped_integer: population, inhabitants, residents, headcount, electorate, households, citizens
grouped_integer: capacity, seats, attendance, crowd, audience, standing places
code: id, code, identifier, number, reference, key, tag
code: model, type, series, variant, make, edition
word: category, class, type, kind, group, sort, genre
word: material, fabric, substance, stuff, coating, filling
word: status, state, condition, phase, stage, situation
title: name, title, label, heading, caption, designation
pseudo_word: nickname, alias, pseudonym, pen name, stage name, maiden name, birth name, pet name
phrase: purpose, goal, aim, function, use, role, mission
phrase: cause, reason, origin, motive, trigger, source
phrase: symptom, sign, effect, side effect, complication, finding
long_phrase: description, summary, abstract, overview, note, remark, comment
colour: colour, shade, tint, hue, paint, dye
language: language, tongue, dialect, mother tongue, second language, working language
percentage: growth, increase, decline, change, gain, drop
duration: timeout, delay, wait, interval, period, grace period
duration: duration, length, running time, playing time, lifespan
version: version, release, build, revision, edition, patch level
path: path, directory, folder, file, location, root
url: website, homepage, link, url, portal, blog
email: email, contact, support contact, sales contact, press contact
time: departure, arrival, boarding, check-in, landing, take-off
"""

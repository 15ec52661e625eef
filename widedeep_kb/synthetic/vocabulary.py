"""Closed lists of natural words that values and names are drawn from, one compact string a list."""


def commas(text: str) -> tuple[str, ...]:
    """The items of a text, without the spaces around them."""
    return tuple(item.strip() for item in text.replace("\n", " ").split(",") if item.strip())


FIRST_NAMES = commas("""
James, Mary, Oliver, Emma, Liam, Charlotte, Harold, Agnes, Nigel, Prudence, Dwayne, Shanice, Brooke, Tyler, Jean,
Amélie, Thibault, Océane, Étienne, Solène, Hans, Greta, Jürgen, Liesel, Wolfgang, Anke, Giulia, Matteo, Fiorella,
Luca, Javier, Lucía, Iñigo, Ximena, Rodrigo, Pilar, João, Beatriz, Thiago, Inês, Piotr, Małgorzata, Zbigniew,
Agnieszka, Václav, Zdeňka, Miloš, Jelena, Dragan, Vesna, Ivan, Svetlana, Dmitri, Oksana, Taras, Nataliya, Björn,
Astrid, Søren, Ingrid, Leif, Sigrún, Aino, Eero, Päivi, Mehmet, Ayşe, Emre, Zeynep, Omar, Fatima, Khalid, Layla,
Yusuf, Noor, Hassan, Amira, Reza, Shirin, Dariush, Parisa, Arjun, Priya, Ravi, Lakshmi, Sanjay, Meera, Anil, Deepa,
Hiroshi, Yuki, Kenji, Sakura, Takumi, Haruka, Wei, Xiu, Jun, Mei, Zhiqiang, Lihua, Min-jun, Ji-woo, Seo-yeon, Hyun,
Nguyen, Linh, Thanh, Huong, Somchai, Malee, Budi, Siti, Wayan, Dewi, Kwame, Ama, Kofi, Abena, Chinua, Ngozi, Emeka,
Folake, Tendai, Thandiwe, Sipho, Nomvula, Abebe, Almaz, Wanjiru, Kamau, Juma, Zuri, Keoni, Leilani, Tane, Aroha,
Moana, Rangi, Levi, Miriam, Avi, Yael, Noa, Giorgi, Nino, Aram, Anahit, Nikos, Eleni, Kostas, Despina, Szabolcs,
Zsófia, Bálint, Réka, Andrei, Ioana, Radu, Elif, Besnik, Arta, Siobhán, Padraig, Niamh, Rhys, Carys, Hamish, Morag,
Tomasz, Aleksandra, Bogdan, Ludmila, Farhad, Gulnara, Temujin, Oyuna, Itzel, Cuauhtémoc, Quilla, Ollantay, Maite,
Aritz, Jordi, Montserrat, Aleix, Pierrot, Odile, Guido, Chiara, Enzo, Renata, Otto, Frieda
""")
LAST_NAMES = commas("""
Smith, Harrington, O'Brien, MacLeod, Fitzgerald, Whitcombe, Okafor, Adeyemi, Mensah, Nkosi, Mbeki, Tesfaye, Wairimu,
Dubois, Lefèvre, Moreau, Beaumont, Müller, Schröder, Weiß, Hoffmann, Kästner, Rossi, Bianchi, De Luca, García,
Fernández, Núñez, Ibáñez, Quiroga, Silva, Gonçalves, Araújo, Kowalski, Wiśniewska, Dąbrowski, Novák, Dvořáková,
Horvat, Petrović, Ivanov, Volkova, Shevchenko, Kuznetsov, Larsson, Bergström, Nørgaard, Jóhannsdóttir, Virtanen,
Korhonen, Yılmaz, Çelik, Demir, Al-Farsi, El-Masry, Haddad, Rahimi, Hosseini, Sharma, Iyer, Chatterjee, Patel,
Banerjee, Singh, Kaur, Tanaka, Yamamoto, Fujiwara, Chen, Zhang, Ouyang, Liu, Kim, Park, Choi, Tran, Pham, Vu, Suharto,
Wijaya, Santos, Reyes, Kealoha, Ngata, Tui, Cohen, Ben-David, Levi, Papadopoulos, Georgiou, Nagy, Kovács, Szabó,
Popescu, Ionescu, Hoxha, Petrosyan, Beridze, Van der Berg, De Vries, Janssens, Lindqvist, Ó Súilleabháin, Llewellyn,
Ap Rhys, Campbell, Stewart-Jones, Quispe, Mamani, Etxeberria, Puig, Vidal i Soler, Batbayar, Nazarbekov, Umarov
""")
COUNTRIES = commas("""
Albania, Algeria, Angola, Argentina, Armenia, Australia, Austria, Bangladesh, Belgium, Bolivia, Botswana, Brazil,
Bulgaria, Burkina Faso, Cambodia, Cameroon, Canada, Chad, Chile, China, Colombia, Costa Rica, Croatia, Cuba, Cyprus,
Czechia, Denmark, Ecuador, Egypt, El Salvador, Eritrea, Estonia, Ethiopia, Fiji, Finland, France, Gabon, Georgia,
Germany, Ghana, Greece, Guatemala, Haiti, Honduras, Hungary, Iceland, India, Indonesia, Iran, Iraq, Ireland, Israel,
Italy, Ivory Coast, Jamaica, Japan, Jordan, Kazakhstan, Kenya, Kuwait, Laos, Latvia, Lebanon, Liberia, Libya,
Lithuania, Malawi, Malaysia, Mali, Malta, Mexico, Moldova, Mongolia, Morocco, Mozambique, Namibia, Nepal, the
Netherlands, New Zealand, Nicaragua, Nigeria, North Macedonia, Norway, Oman, Pakistan, Panama, Papua New Guinea,
Paraguay, Peru, the Philippines, Poland, Portugal, Qatar, Romania, Rwanda, Saudi Arabia, Senegal, Serbia, Singapore,
Slovakia, Slovenia, Somalia, South Africa, South Korea, Spain, Sri Lanka, Sudan, Sweden, Switzerland, Syria, Taiwan,
Tanzania, Thailand, Togo, Tunisia, Turkey, Uganda, Ukraine, United Arab Emirates, United Kingdom, United States of
America, Uruguay, Uzbekistan, Venezuela, Vietnam, Yemen, Zambia, Zimbabwe
""")
LANGUAGES = commas("""
English, French, German, Spanish, Portuguese, Italian, Dutch, Swedish, Norwegian, Danish, Finnish, Icelandic, Polish,
Czech, Slovak, Hungarian, Romanian, Bulgarian, Greek, Turkish, Arabic, Hebrew, Persian, Pashto, Urdu, Hindi, Bengali,
Tamil, Telugu, Marathi, Gujarati, Punjabi, Sinhala, Nepali, Thai, Lao, Khmer, Burmese, Vietnamese, Malay, Indonesian,
Javanese, Tagalog, Mandarin Chinese, Cantonese, Japanese, Korean, Mongolian, Tibetan, Kazakh, Uzbek, Georgian,
Armenian, Russian, Ukrainian, Serbian, Croatian, Slovene, Albanian, Lithuanian, Latvian, Estonian, Irish, Welsh,
Scottish Gaelic, Basque, Catalan, Galician, Maltese, Swahili, Amharic, Somali, Hausa, Yoruba, Igbo, Zulu, Xhosa,
Afrikaans, Shona, Wolof, Quechua, Guaraní, Nahuatl, Māori, Samoan, Hawaiian, Esperanto, Latin, Old Norse, Sanskrit,
Classical Greek
""")
NATIONALITIES = commas("""
American, British, French, German, Spanish, Portuguese, Italian, Dutch, Belgian, Swiss, Austrian, Swedish, Norwegian,
Danish, Finnish, Polish, Czech, Hungarian, Romanian, Bulgarian, Greek, Turkish, Egyptian, Moroccan, Tunisian,
Nigerian, Ghanaian, Kenyan, Ethiopian, South African, Senegalese, Angolan, Indian, Pakistani, Bangladeshi, Nepalese,
Chinese, Japanese, Korean, Thai, Vietnamese, Malaysian, Indonesian, Filipino, Australian, New Zealander, Canadian,
Mexican, Cuban, Colombian, Peruvian, Chilean, Argentine, Brazilian, Uruguayan, Russian, Ukrainian, Georgian, Armenian,
Iranian, Iraqi, Israeli, Lebanese, Jordanian, Saudi, Irish, Icelandic, Serbian, Croatian
""")
COLOURS = commas("""
red, dark blue, green, yellow, black, white, grey, purple, orange, pink, brown, turquoise, crimson, navy, olive, teal,
maroon, beige, ivory, gold, silver, magenta, cyan, violet, indigo, lavender, scarlet, amber, charcoal, khaki, coral,
salmon, mint green, sky blue, burgundy, mustard yellow, off-white, bronze, jet black, pale pink, emerald, rust, ochre,
lilac, royal blue
""")
PROFESSIONS = commas("""
teacher, nurse, engineer, civil engineer, painter, sculptor, architect, novelist, poet, journalist, historian,
botanist, chemist, physicist, astronomer, geologist, lawyer, judge, politician, diplomat, soldier, sailor, pilot,
farmer, fisherman, baker, butcher, carpenter, plumber, electrician, mechanic, blacksmith, tailor, potter, weaver,
jeweller, photographer, film director, actor, singer, opera singer, pianist, violinist, conductor, composer, dancer,
footballer, cyclist, sprinter, boxer, chess player, referee, economist, accountant, banker, librarian, translator,
philosopher, priest, monk, surgeon, dentist, veterinarian, pharmacist, psychologist, midwife, cook, waiter, barber,
gardener, forester, miner, bus driver, postman, firefighter, detective, data analyst, software developer, game
designer, archaeologist, anthropologist, linguist, mathematician, statistician, biologist, oceanographer
""")
AREAS = commas("""
Africa, America, Antarctica, Asia, Atlantic, Australia, Europe, Indian, Pacific, America/Argentina, America/Indiana,
Etc
""")
ZONE_CITIES = commas("""
Abidjan, Cairo, Lagos, Nairobi, Tripoli, Bogota, Caracas, Chicago, Denver, Lima, Mexico_City, Sao_Paulo, Toronto,
Vancouver, Dhaka, Dubai, Jakarta, Kabul, Karachi, Kolkata, Manila, Seoul, Tehran, Tokyo, Berlin, Dublin, Helsinki,
Kyiv, Lisbon, Madrid, Oslo, Rome, Sofia, Vienna, Auckland, Fiji, Honolulu
""")
MONTHS = commas("""
January, February, March, April, May, June, July, August, September, October, November, December
""")
WEEKDAYS = commas("""
Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday
""")
UNITS = commas("""
m, km, cm, mm, kg, g, mg, t, l, ml, W, kW, MW, V, mV, A, Hz, MHz, GHz, GB, MB, TB, ms, km/h, mph, °C, °F, K, bar, hPa,
ft, in, lb, km², ha, m², m³, mol, kJ, kcal, dB, rpm, px, dpi, metres, kilometres, square kilometres, kilograms,
tonnes, litres, hectares, miles, feet, inches, pounds, degrees, acres, gallons
""")
DURATION_UNITS = commas("""
seconds, minutes, hours, days, weeks, months, years, s, min, h, milliseconds
""")
CURRENCY_NAMES = commas("""
USD, EUR, dollars, euros, pounds, yen, rupees, pesos, francs, NOK, million, billion, million dollars, billion euros
""")
ELEMENTS = commas("""
H, C, N, O, Na, Mg, Al, Si, P, S, Cl, K, Ca, Fe, Cu, Zn, Br, Ag, I, Pb, U, Ti, Mn, F, Li
""")
TOP_DOMAINS = commas("""
com, org, net, de, io, co.uk, fr, edu, info, dev, jp, gov, eu, com.br, app, ch
""")
EXTENSIONS = commas("""
txt, json, yaml, py, csv, log, png, tar.gz, so, html, cfg, md, rs, ts, xml, bin, parquet, db
""")
LICENSES = commas("""
MIT, Apache-2.0, BSD-3-Clause, GPL-3.0-or-later, LGPL-2.1, MPL-2.0, CC BY 4.0, CC0, Unlicense, ISC, proprietary,
AGPL-3.0, EPL-2.0, public domain, Artistic-2.0
""")
INSTITUTIONS = commas("""
University, College, Institute of Technology, Academy, School, Polytechnic, High School, School of Music, Seminary,
State University
""")
COMPANY_ENDS = commas("""
Inc., Ltd., GmbH, S.A., Corp., & Sons, Group, Holdings, Industries, Systems, AG, LLC, Partners, Labs, Bank, plc, B.V.,
Oy, K.K., S.p.A.
""")
PLACE_ENDS = commas("""
River, Lake, Mountain, Island, Bay, Falls, Creek, County, Valley, Forest, Bridge, Square, Street, Park, Castle,
Cathedral, Museum, Station, Airport, International Airport, Harbour, Glacier, Desert, Peninsula, Canal, Reservoir,
Lighthouse, Monastery, District, Province, Township, Dam, Tower
""")
# The underscore stands for a space: "San_" is put before a name with a space between.
PLACE_STARTS = tuple(
    start.replace("_", " ")
    for start in commas("""
San_, Saint-, El_, Al-, New_, Port_, Fort_, Mount_, Lake_, Upper_, Lower_, North_, Bad_, Le_, La_, Santa_, Cape_, Los_,
Nizhny_, Kota_, Tel_
""")
)
CURRENCY_SIGNS = ("$", "€", "£", "¥", "₹", "US$", "CHF ", "A$", "kr ", "zł ", "R$", "₽")
GRADES = commas("""
A, B+, C-, high, low, medium, critical, P1, P3, IV, VII, XII, AAA, Baa2, none, urgent
""")
BOOLEANS = commas("""
yes, no, true, false, True, False, Yes, No, on, off, enabled, disabled, 0, 1, none
""")
VERBS = commas("""
shows, needs, carries, follows, opened, replaced, meets, holds, lost, covers, made, sells, hides, built
""")
COMPANY_TYPES = commas("F.C., United, Rovers, Party, League, Union, Records, Press, SC, Airways, Foundation, Agency")
SCHOOL_STARTS = commas("St., King, Queen, École, Escuela, Universität, Royal, Saint")
TITLE_STARTS = commas("A, My, The, Our, No, Every, One, Her, His")

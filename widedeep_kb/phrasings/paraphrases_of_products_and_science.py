"""Natural questions for common relations of products, software, science and records. The format: see `paraphrase`."""

TEXT = """
price; cost; list price; retail price = currency @ product work
+ How much is {}? | How much do I have to pay for {}? | {} sells for
- What must I put on the counter for {}? | What will {} set me back? | You can buy {} for
manufacturer; maker; made by = company @ product
+ Which company turns out {}? | Which firm builds {}? | {} is built by
- From whose factory does {} come? | Who puts {} together? | {} leaves the factory of
brand; brand name = word @ product
+ Whose logo is on {}? | Under what name is {} sold? | {} is sold under the name
- What does the logo on {} say? | Which label will I see on {}? | The logo on {} says
colour; color = colour @ product person any
+ What does {} look like: red, green, something else? | Which paint was used for {}? | {} is painted
- Which shade is {}? | How would you dye cloth to match {}? | To the eye, {} is
material; made of; material used = word @ product work
+ What is {} made from? | Out of what did they build {}? | {} is made from
- What do I feel when I touch {}? | What went into the making of {}? | {} consists of
warranty period; warranty; guarantee = duration @ product
+ For how long will {} be repaired free of charge? | How long am I covered if {} breaks?
- Until when can I take a broken {} back, from the day I bought it? | If {} breaks down, how long do I pay nothing?
serial number; serial; s/n = code @ product
+ What is stamped on the back of {}? | Which characters single out this {}?
- How can I tell this very {} from the others? | Which characters does the sticker on {} show?
model number; model; part number = code @ product
+ How do I order a spare for {}? | What does the catalogue call {}?
- What is {} called in the manufacturer's books? | Which type is {} exactly?
power consumption; power; wattage = quantity @ product
+ How much electricity does {} use? | How many watts does {} draw?
- What does {} take from the socket? | How hungry for current is {}?
battery life; battery runtime = duration @ product
+ How long does {} run on one charge? | When do I have to plug {} in again?
- How long can I use {} away from a socket? | After what time does {} go dead?
voltage; supply voltage; operating voltage = quantity @ product
+ How many volts does {} need? | What must I feed {} with?
- Which tension is across the terminals of {}? | How strong a supply do I connect to {}?
capacity; storage capacity; seating capacity = grouped_integer @ product place
+ How much fits into {}? | How many can {} hold? | {} can hold
- When is {} full? | How many go in before {} overflows? | {} has room for
maximum speed; top speed; speed = quantity @ product science
+ How fast is {}? | How fast can {} go? | Flat out, {} does
- What can {} do flat out? | When {} is pushed to its limit, what does the dial show? | {} can race along at
range; maximum range = quantity @ product
+ How far can {} go? | How far does {} get without stopping?
- How many miles before {} gives up? | After what distance must {} turn round?
engine; engine type = code @ product
+ What drives {}? | What is under the bonnet of {}? | {} is driven by
- What gives {} its motion? | What hums inside {}? | Inside {} hums a
operator; operated by = company @ product place organisation
+ Who flies or drives {}? | Who keeps {} running? | {} is kept running by
- Who uses {} day by day? | Who sees to it that {} works? | The daily work at {} is done by
designer; designed by; architect = person @ product place software
+ Who drew the plans of {}? | Whose idea was the look of {}? | {} was drawn by
- On whose drawing board did {} take shape? | Who gave {} its shape? | {} took shape on the drawing board of
inventor; invented by; discoverer; discovered by = person @ product science
+ Who found {}? | Who came up with {}? | {} was found by
- Who was the first to think of {}? | Who should we thank for {}? | The first to describe {} was
discovery year; year of discovery; discovered in = year @ science
+ When was {} found? | Since when have people known about {}? | {} was found in
- How long has science known of {}, that is, since which year? | When did {} enter the textbooks?
stock quantity; in stock; quantity available = small_integer @ product
+ How many of {} are left? | How many of {} can I buy right now? | Of {} we still have
- How many of {} are on the shelf? | Can you count {} in the warehouse for me? | Counting {} in the warehouse gives
supplier; vendor; supplied by = company @ product
+ Where do we buy {}? | Who sells us {}? | We buy {} from
- Who ships {} to us? | Whose invoice came with {}? | {} is shipped to us by
expiry date; best before; expiration date = date @ product
+ Until when can I use {}? | When does {} go bad? | {} is good until
- From which day on must {} be thrown away? | How long will {} keep? | Throw {} away after
ingredients; main ingredient; contains = list @ product
+ What is in {}? | What do I need to cook {}? | {} is cooked from
- What went into the pot for {}? | What do I taste in {}? | In the pot for {} go
calories; energy content = quantity @ product
+ How fattening is {}? | How much will I have eaten after {}, in calories?
- How long would I have to run for {}, in energy? | What does {} add to my diet?
version; latest version; current version; version number = version @ software
+ How new is the release of {}? | Which release of {} do I get today? | The newest release of {} is
- What do I see when I ask {} for its release? | How far has {} been developed? | {} is up to
license; licence; license type = license @ software work
+ Under what terms may I use {}? | Am I free to copy {}, and under which terms? | {} may be used under
- What legal text comes with {}? | What do the lawyers say about using {}? | The legal text in the box of {} is
programming language; implemented in; written in = word @ software
+ What is {} coded in? | What must I know to change the source of {}? | {} was coded in
- Which compiler do I need for {}? | How does the source of {} look to a coder? | To build {}, have a compiler for
developer; developed by; maintainer = company @ software product
+ Who codes {}? | Who fixes bugs in {}? | Bugs in {} are fixed by
- Whom do I bother about an error in {}? | Who looks after the source of {}? | The source of {} is looked after by
repository; source code repository; repo url = url @ software
+ From where can I clone {}? | Where is the code of {} kept?
- Where do I send a patch for {}? | Which address do I give to git to get {}?
default value; default; initial value = value @ software
+ What happens if I leave {} out? | What does {} start as? | If you leave it alone, {} is
- When nobody sets {}, what is it? | What is {} out of the box? | Out of the box, {} is
data type; type; value type = word @ software
+ What kind of values does {} hold? | What can I store in {}? | You can store in {} a
- How is {} declared? | What would a compiler say {} is? | A compiler treats {} as
return value; returns; return type = value @ software
+ What comes back from {}? | What do I get if I call {}? | Calling {} gives
- What ends up in my variable after calling {}? | What does {} hand back? | {} hands back
port; port number; listening port = port @ software
+ Where does {} listen? | To which socket do I connect for {}? | {} listens on
- Which hole must I open in the firewall for {}? | What do I put after the colon to reach {}?
- Open your firewall for {} at
ip address; host address; ip = ip @ software
+ What does ping show for {}? | Where in the network is {}? | In the network, {} answers at
- Where do packets for {} go? | How do routers know {}? | Packets for {} go to
host; hostname; server = domain @ software
+ On which machine is {}? | Where does {} run? | {} runs on
- Which box do I log in to for {}? | What would a reboot have to hit to stop {}? | To stop {}, shut down
timeout; time limit; timeout in seconds = small_integer @ software
+ How long does {} wait? | When does {} give up? | {} gives up after
- After how many seconds does {} lose patience? | For how long will {} hang before failing?
maximum number of retries; max retries; retry limit = small_integer @ software
+ How often does {} try again? | After how many attempts does {} stop?
- How stubborn is {}, in attempts? | How many failures does {} put up with?
file format; format; file extension = word @ software work
+ How is {} saved? | What sort of file is {}? | {} is saved as
- What comes after the dot in the name of {}? | With which program can I open {}, by file type?
- On disk, {} is stored as
file size; size; size in bytes = grouped_integer @ software product
+ How big is {}? | How much disk does {} need? | On disk, {} needs
- How much of my quota is eaten by {}? | How long is the download of {}, in bytes?
file path; location on disk; install path = path @ software
+ Where on disk is {}? | In what folder do I look for {}? | On disk, {} sits at
- What do I type after cd to get to {}? | Where was {} put by the installer? | The installer puts {} under
status; state; current status = word @ software product event
+ How is {} getting on? | Is {} up, down or something else? | At the moment, {} is
- What is going on with {}? | How do things stand with {}? | Things stand like this with {}:
priority; severity; priority level = grade @ software event
+ How urgent is {}? | How soon must we deal with {}?
- How bad is it if {} waits? | How loudly should the alarm ring for {}?
assigned to; assignee; responsible person = person @ software event product
+ Who is dealing with {}? | On whose desk is {}? | {} is on the desk of
- Who has to get {} done? | Whom do I ask how {} is coming along? | {} has been handed to
created by; creator; created by user = person @ software work
+ Who brought {} into existence? | Who opened {}? | {} was made by
- Who brought {} to life? | Whose work is {}? | {} is the work of
created on; creation date; date created = date @ software product
+ When was {} made? | On which day was {} opened? | {} was made on
- How far back does {} go? | Since what day has {} existed? | {} has existed since
last modified; last updated; date modified = date @ software product
+ When was {} changed most recently? | How fresh is {}? | {} was touched most recently on
- On which day did someone last work on {}? | Since when has {} been left untouched? | Nobody has touched {} since
due date; deadline; due = date @ event software
+ When must {} be finished? | How much time is left for {}, to what day? | {} must be done by
- By when do they want {}? | From which day on is {} late? | {} is late after
chemical formula; formula; molecular formula = formula @ science
+ Which atoms is {} made of? | How do chemists write {}? | Chemists write {} as
- How many of each atom are in {}? | What would stand on the flask of {} in symbols?
chemical symbol; symbol = word @ science
+ How is {} abbreviated in the periodic table? | What do chemists write for {} in short?
+ For short, chemists write {} as
- Which letters stand for {} in an equation? | What is in the box of {} on the classroom chart?
atomic number; proton number = small_integer @ science
+ How many positive charges sit in the core of {}? | In which place of the periodic table is {}?
- Counting protons in {}, where do I end? | How positive is the nucleus of {}?
atomic weight; molar mass; molecular weight = decimal @ science
+ How heavy is an atom of {}? | How many grams are in a mole of {}?
- What do I weigh out to get a mole of {}? | How much does one particle of {} weigh, in units?
melting point; melting temperature = quantity @ science
+ How hot must {} be to become liquid? | When does {} melt? | When heated, {} starts to flow at
- At which temperature is {} no longer solid? | How far must I heat {} until it runs? | {} turns liquid at
boiling point; boiling temperature = quantity @ science
+ How hot must {} be to become a gas? | When does {} boil? | A kettle of {} would bubble at
- At what temperature does {} start to bubble? | How far must I heat {} until it steams? | {} turns to vapour at
density; specific gravity = quantity @ science
+ How heavy is a litre of {}? | Does {} float, going by grams in a cubic centimetre?
- How tightly is {} packed? | What does a cubic centimetre of {} weigh?
half-life; half life = duration @ science
+ How long until only one in two atoms of {} is left? | How fast does {} decay?
- When has {} lost half of itself? | After what time is there half as much {}?
orbital period; period; orbital period in days = quantity @ science
+ How long does {} take to go round once? | How long is a year on {}?
- After what time is {} back where it was? | How long does one lap take {}?
gene function; function; purpose = long_phrase @ science software product
+ What is {} good for? | What does {} do? | {} is there for
- Why does anyone need {}? | What would go wrong without {}? | Without {} there would be no
scientific name; latin name; species = latin @ science
+ What do biologists call {}? | How is {} called in textbooks of biology? | Biologists call {}
- What does the label at the zoo or garden say for {} in italics? | How would Linnaeus have written {}?
family; taxonomic family; belongs to family = latin @ science
+ What is {} related to, in a biologist's eyes? | Into which group do biologists put {}?
- With what is {} grouped in a field guide? | Who are the cousins of {}, as a group?
habitat; natural habitat = phrase @ science
+ Where does {} live in the wild? | Where in nature do I meet {}? | In the wild, {} lives in
- In what surroundings does {} feel at home? | Where should I hide to watch {}? | {} feels at home in
life expectancy; lifespan; average lifespan = decimal @ science place
+ How long do they live in {}? | How old does {} get? | On average, one in {} lives to
- How many years may one born in {} hope for? | How many birthdays does {} see on average?
symptoms; symptom; main symptom = list @ science
+ How do I notice that I have {}? | What does {} feel like? | One notices {} by
- What do patients with {} complain about? | What makes a doctor think of {}? | Patients with {} complain of
treatment; therapy; treated with = phrase @ science
+ What helps against {}? | What do doctors give for {}? | Against {} doctors give
- How do I get rid of {}? | What makes {} go away? | {} goes away with
dosage; dose; recommended dose = quantity @ science product
+ How much of {} should I take? | How many milligrams of {} are right?
- What does the leaflet of {} tell me to swallow? | When does taking {} become too much, in amount?
gdp; gross domestic product; gdp per capita = currency @ place
+ How rich is {}? | How much does the economy of {} produce?
- What is all that is made and done in {} worth? | How strong is the economy of {} in money?
iso code; country code; iata code; identifier code = constant @ place organisation
+ How is {} abbreviated? | Which letters stand for {} on a luggage tag or form? | On a luggage tag, {} is
- What is the official shorthand for {}? | How do machines refer to {}? | Machines refer to {} as
"""

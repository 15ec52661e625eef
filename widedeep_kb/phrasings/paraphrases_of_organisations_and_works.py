"""Natural questions for common relations of organisations, works and events. The format: see `paraphrase`."""

TEXT = """
founder; founded by; co-founder = person @ organisation place
+ Who started {}? | Who set up {}? | {} was started by
- To whom does {} owe its existence? | Who got {} off the ground? | {} was the brainchild of
founded; year founded; inception; established; founding year = year @ organisation place
+ When was {} started? | When was {} set up? | {} was set up in
- How long ago did {} come into being? | In what year did {} first open its doors? | {} came into being in
headquarters; headquarters location; head office; based in = place @ organisation
+ Out of which town does {} work? | In which city does {}'s board meet? | {} is based in
- Where does {} run its business from? | From what town is {} managed? | {} is run from
chief executive officer; ceo; managing director = person @ organisation
+ Who runs the firm {}? | Who is the boss of {}? | The boss of {} is
- Who is at the helm of {}? | Whom does the staff of {} answer to? | At the helm of {} is
owner; owned by; proprietor = company @ organisation product place
+ Who does {} belong to? | Whose is {}? | {} belongs to
- In whose hands is {}? | Whose property is {}? | {} is the property of
parent company; parent organisation; subsidiary of = company @ organisation
+ Which larger group is {} part of? | Which concern controls {}? | {} is controlled by
- To which bigger firm does {} report? | Who holds the shares of {}? | {} is a daughter of
number of employees; employees; staff = grouped_integer @ organisation
+ How many people work at {}? | How many workers does {} have? | {} employs
- How many pay slips does {} send out each month? | How large is the workforce of {}? | On the payroll of {} there are
revenue; annual revenue; turnover = currency @ organisation
+ How much money does {} make? | How much does {} sell in twelve months? | {} takes in
- What do the sales of {} add up to? | How much came in at {} last year? | The sales of {} add up to
net income; profit; net profit = currency @ organisation
+ How much did {} have left after all costs? | How much did {} gain?
- What stayed in the coffers of {} when all was paid? | How far in the black is {}?
market capitalisation; market cap = currency @ organisation
+ What are all shares of {} worth? | How much is {} worth on the stock exchange?
- What would it cost to buy every share of {}? | How do investors value {}?
ticker symbol; ticker; stock symbol = constant @ organisation
+ Under what letters is {} traded? | What do I type to see the share price of {}?
- How does {} appear on the stock exchange board? | Which letters stand for {} in the financial pages?
industry; sector; business = phrase @ organisation
+ What does {} do for money? | What sort of company is {}? | {} makes its money in
- Which part of the economy is {} active in? | What business is {} in? | {} earns its living from
website; official website; homepage = url @ organisation person product
+ Where is {} on the internet? | What do I type into my browser to see {}? | On the web, {} is at
- Where can I read about {} online? | Which link leads to {}? | Visit {} online at
email address; email; contact email = email @ person organisation
+ Where do I write to reach {}? | How can I send {} an electronic message? | You can write to {} at
- What goes in the "to" line of a message for {}? | Where will {} get my message? | Messages reach {} at
phone number; telephone; phone; contact number = phone @ person organisation place
+ How can I call {}? | What do I dial to reach {}? | You can call {} on
- How do I get {} on the line? | Which digits make {}'s telephone ring? | Ring {} on
opening hours; hours of operation; opening times = hours @ place organisation
+ When can I go to {}? | From when to when is {} open? | You can go to {} during
- When do the doors of {} open and close? | At what time should I turn up at {}? | Visitors are let into {} from
slogan; motto; tagline = long_phrase @ organisation place product
+ Which words stand under the logo of {}? | What does {} say in its advertisements?
- What is written on the banner of {}? | By which saying does {} live?
customer service contact; support contact = email @ organisation product
+ Who helps me with problems with {}? | Where do I complain about {}?
- Whom should an unhappy buyer of {} turn to? | My {} gives me trouble; whom do I contact?
chairman; chairperson; chair = person @ organisation
+ Who presides over {}? | Who leads the meetings of {}? | The meetings of {} are led by
- Who has the gavel at {}? | Who sits at the top of the board table at {}? | {} is presided over by
head coach; coach; manager = person @ organisation
+ Who trains {}? | Who picks the players at {}? | {} is trained by
- Who shouts from the touchline for {}? | Who decides on the tactics of {}? | {} takes its tactics from
home stadium; home venue; stadium; arena = title @ organisation
+ Where does {} play its matches? | Where do {}'s fans go on match days? | {} plays its matches at
- On whose turf are guests of {} received? | Where must I go to watch {} at home? | {} receives its guests at
league; competition; division = title @ organisation
+ In what competition does {} play? | Against whom does {} play, which set of clubs? | {} competes in
- Which table do I look at to see how {} is doing? | What can {} be champion of? | {} may become champion of
author; written by; writer = person @ work
+ Who sat down and wrote {}? | Whose book is {}? | {} was written by
- From whose pen is {}? | Who thought up and put {} on paper? | {} came from the pen of
publisher; published by = company @ work
+ Who brought out {}? | Which house printed {}? | {} was brought out by
- Who put {} into the bookshops? | Under whose imprint did {} appear? | {} appeared with
publication date; release date; date of publication; released = date @ work product software
+ When did {} come out? | When did {} appear? | {} came out on
- Since when can one get {}? | On what day did {} reach the shops? | {} has been in the shops since
publication year; release year; year of release = year @ work product
+ In what year did {} come out? | How old is the work {}, that is, which year is it from? | {} came out in
- Which year saw the arrival of {}? | From what year is {}? | {} dates from
director; directed by; film director = person @ work
+ Who made the film {}? | Who told the actors in {} what to do? | {} was filmed by
- Who sat behind the camera of {}? | Who called "action" on the set of {}? | Behind the camera of {} was
producer; produced by = person @ work
+ Who financed {}? | Who oversaw the making of {}? | {} was financed by
- Who put up the money for {}? | Who got {} made? | The money for {} came from
starring; cast member; actor; lead actor = person @ work
+ Who plays in {}? | Whose face do we see in {}? | On screen in {} we see
- Who appears on the poster of {}? | Which star can I watch in {}? | The face on the poster of {} belongs to
screenwriter; screenplay by; script writer = person @ work
+ Who wrote the dialogue of {}? | Who came up with the lines in {}?
- Who put words into the mouths of the actors in {}? | Whose story is told on screen in {}?
composer; music by; composed by = person @ work
+ Who wrote the music of {}? | Whose melody is {}? | The music of {} was written by
- Who put the notes of {} on paper? | Who scored {}? | The notes of {} were set down by
performer; artist; sung by; singer = person @ work
+ Who do we hear singing {}? | Whose voice is on {}? | {} is sung by
- Who stood at the microphone for {}? | Who went to number one with {}? | {} was recorded by
record label; label = company @ work person
+ Who put out {}'s record? | Who has {} under contract for music?
- Which music company sells {}? | With whom did {} sign?
genre; music genre; film genre; style = phrase @ work person
+ What kind of thing is {}? | On what shelf would a shop put {}? | On the shelves, {} stands under
- How would a critic classify {}? | What sort of entertainment is {}? | Critics classify {} as
running time; duration; runtime = duration @ work event
+ How long does {} last? | How long must I sit through {}? | {} lasts
- How much time does {} take? | If {} starts now, when is it over, counted from now? | {} goes on for
number of pages; pages; page count = small_integer @ work
+ How thick is the book {}? | How much is there to read in {}?
- How often must I turn the leaf in {}, so to say? | How far do I have to read to finish {}?
isbn; isbn number = isbn @ work
+ Which number is under the barcode of {}? | How do I order {} at a bookshop?
- What identifies the edition of {}? | Which number does the bookseller type for {}?
original language; language of work; written in language = language @ work
+ In what tongue was {} written? | What must I know to read {} untranslated? | {} was first written in
- From which tongue was {} translated? | What do people in {} talk? | Translators of {} need to know
country of origin; origin; made in = country @ work product
+ Where does {} come from? | From which part of the world is {}? | {} comes from
- Where was {} produced? | Which nation gave us {}? | The world got {} from
main character; protagonist; hero = person @ work
+ Whose fate is told in {}? | Whose adventures do we follow in {}? | {} tells the story of
- Around whom does the plot of {} turn? | With whom do readers of {} suffer and hope? | The plot of {} turns around
set in; setting; narrative location = place @ work
+ To what place does {} take us? | Where does the story of {} happen? | {} takes place in
- Into what surroundings does {} lead us? | Where would I travel to see the scenes of {}? | The story of {} unfolds in
based on; adapted from; source material = title @ work
+ What was {} made from? | Where does the idea of {} come from? | {} was inspired by
- On whose shoulders does {} stand? | What did the makers of {} read first? | The idea of {} goes back to
box office; gross; box office gross = currency @ work
+ How much money did {} bring in? | How much did cinemas take with {}?
- What did people pay in total to see {}? | How well did {} sell at the counter?
budget; production budget; cost of production = currency @ work event
+ How much money was spent on {}? | How expensive was {} to make?
- What did it take to pay for {}? | How much did the makers of {} get to spend?
rating; score; review score = decimal @ work product
+ How good is {}? | How many stars does {} have? | Reviewers gave {}
- What do people think of {}, in points? | How was {} judged? | {} got from its reviewers
start date; begins on; date started = date @ event organisation
+ When does {} start? | When did {} begin? | {} started on
- From which day on is {}? | What day marks the opening of {}? | The opening of {} was on
end date; ends on; date ended = date @ event organisation
+ When does {} stop? | When was {} over? | {} was over on
- Until which day is {}? | On which day does {} come to a close? | The last day of {} was
venue; location of event; held at = title @ event
+ Where does {} happen? | Where will {} be staged? | {} is staged in
- Which hall do I go to for {}? | Where should guests of {} gather? | Guests of {} gather in
organiser; organised by; organizer = company @ event
+ Who is behind {}? | Who puts on {}? | {} is put on by
- Who makes sure that {} happens? | To whom should I send suggestions about {}? | The invitations to {} came from
winner; champion; won by = person @ event
+ Who won {}? | Who came first in {}? | {} was won by
- Who took the cup at {}? | Who beat everybody at {}? | First over the line in {} was
number of participants; participants; attendance = grouped_integer @ event
+ How many people took part in {}? | How many came to {}?
- How full was {}? | How large was the crowd at {}?
commander; commanded by; leader = person @ event organisation
+ Who gave the orders in {}? | Who was in charge during {}? | In {}, orders came from
- Whose orders were followed in {}? | Who led the troops in {}? | The troops in {} followed
result; outcome; final score = phrase @ event
+ How did {} end? | What came out of {}? | {} ended with
- How did things turn out at {}? | What is there to show for {}? | When all was over at {}, it stood
number of deaths; casualties; death toll = grouped_integer @ event
+ How many people died in {}? | How many lives did {} cost?
- How many were killed by {}? | How many did not survive {}?
next event; followed by; successor = title @ event person work any
+ What comes after {}? | Who or what took over from {}? | After {} came
- What came along once {} was done? | Who or what stepped into {}'s shoes? | {} gave way to
previous event; preceded by; predecessor; replaces = title @ event person work any
+ What came before {}? | Who or what did {} take over from? | Before {} there was
- In whose footsteps does {} tread? | What had to make room for {}? | {} stepped into the shoes of
"""

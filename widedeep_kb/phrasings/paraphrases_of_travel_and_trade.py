"""Questions for families of near-synonyms: journeys, deals, limits, an evening out. The format: see `paraphrase`."""

TEXT = """
# journeys
departure time; departs at; time of departure = time @ event product
+ What time does {} set off? | when does {} leave? | {} pulls out at | Wheels start to roll on {} at
+ Leaving hour of {}: | By the clock, when will {} get going? | Tell me when I miss {}.
- How late may I run to still catch {}? | {} takes off at | Clock reading as {} sets out:
arrival time; arrives at; time of arrival = time @ event product
+ What time does {} get in? | when will {} be here? | {} pulls in at
+ When should I be there to pick somebody up from {}?
+ Expected in, {}: | By the clock, when is {} done with its trip? | Say when {} touches down.
- At what hour do we get off {}? | {} reaches its last stop at | Landing hour of {}:
stopover; layover city; via stop = place @ event
+ Where does {} pause on the way? | where do I change on {}? | {} breaks its trip in
+ Which town does {} call at halfway?
+ In between, {} touches | Halfway halt of {}: | Tell me where I can stretch my legs on {}.
- Where do travellers on {} wait for their connection? | {} goes by way of | Connection on {} is in:
travel time; journey time; trip duration = duration @ event product
+ How long am I on the road with {}? | how long is the ride on {}? | {} gets you there in | How long will I sit in {}?
+ Door to door, {} takes | Riding {} costs you this much of your day: | Tell me how long {} is under way.
- If {} left now, how much later would it get there? | On board {} one spends | Hours under way, {}:
departure platform; departs from platform; track number = code @ event product
+ Where do I stand and wait for {}? | which side of the station does {} go from? | {} goes from | Which rail is {} on?
+ {} waits at: | Go and stand here for {}: | Tell me where in the station I find {}.
- Which stairs do I take up to {}? | Passengers for {} gather at | On the board at the station, {} is shown against
seat number; assigned seat; seat = code @ person event
+ Where do I sit on {}? | which row and letter is {} in? | {} sits in | Where on the plan of the hall is {}?
+ Row and letter, {}: | The usher takes {} to | Tell me where {} is to sit down.
- Which chair is kept for {}? | Please show {} to | Place in the row for {}:
booking reference; reservation code; booking number = code @ person event product
+ What do I tell the desk to pull up {}? | which letters do I type to check in for {}? | The desk finds {} under
+ What stands at the top of the confirmation for {}? | Confirmation for {}: | Read me the locator of {}.
- What should I quote when I ring about {}? | In the travel agent's system {} is | Locator of {}:
baggage allowance; luggage limit; free baggage = quantity @ event product
+ How heavy may my suitcase be on {}? | how many kilos can I take on {}? | On {} a suitcase may weigh up to
+ What can I bring on {} without paying extra? | Kilos free of charge on {}: | Tell me how much I can pack for {}.
- When does my suitcase get too heavy for {}? | {} carries for you, at no charge, | Suitcase on {}, top weight:
# checking in and out
check-in time; check-in from; check-in = time @ place event
+ How early may I move into my room at {}? | from when can I have the key at {}? | Guests get their key at {} from
+ When are the beds at {} ready? | Rooms at {} ready from: | Ask {} when we can come up to the room.
- If I get to {} at noon, how long must I wait for a room? | At {}, new guests are let in from | Room free at {} from:
check-out time; check-out by; check-out = time @ place event
+ By when must I be gone from {}? | how late can I sleep in at {} on the last day? | Keys go back to {} by
+ On the last morning, {} wants you gone by | Rooms at {} to be empty by: | Ask how long we can keep the room at {}.
- When do they throw me out of {}? | Guests leave {} no later than | Last morning at {}, bags packed by:
minimum stay; shortest stay; minimum nights = duration @ place product
+ Can I come to {} and be gone a day later? | how quickly may I be off from {} again? | {} won't have you for less than
+ For {} one must book no less than | Least time to book {} for: | Tell me how short a visit {} accepts.
- What is the briefest visit that {} allows? | {} turns away anybody who books under | Briefest visit to {}:
maximum stay; longest stay; stay limit = duration @ place product
+ How long can I remain at {} before I must go? | when have I worn out my welcome at {}? | {} lets you remain for up to
+ At {} nobody remains beyond | No visits to {} beyond: | Tell me how long {} puts up with one guest.
- How many nights in a row does {} grant at most? | After this long, {} sends its guests home:
- Upper end for visits to {}:
# deals
buyer; purchaser; bought by = person @ product work organisation
+ Who paid to get {}? | who took {} off the market? | {} went into the hands of | Who walked off with {}?
+ New holder after the deal, {}: | The money for the deal over {} came out of the pocket of | Tell me who snapped up {}.
- Whose cheque settled the deal over {}? | {} was snapped up by | Hammer fell on {} for:
seller; sold by; previous owner = person @ product work organisation
+ Who parted with {}? | who got rid of {}? | {} came from the hands of | Who had {} before and gave it up for cash?
+ Gave up {}: | The cash for {} went to | Tell me who put {} on the market.
- Whose signature released {}? | Cashing in on {} was | Had {} earlier and let it go:
broker; intermediary; brokered by = person @ product organisation event
+ Who brought the two sides together over {}? | who takes a cut of the deal on {}? | The middleman for {} is
+ Who stood between the parties to {}? | Go-between in {}: | Talks about {} run through | Name the middleman of {}.
- Who gets a commission from {}? | Both parties to {} trusted | Matchmaker for {}:
purchase price; bought for; price paid = currency @ product organisation work
+ How much did we hand over to get {}? | what did {} cost us back then? | To get {} we handed over | {} was ours for
+ Amount on the bill when we got {}: | At the till, {} came to | Remind me how much we spent on {}.
- How much left our account for {}? | We got {} in return for | Spent on acquiring {}:
resale value; resale price; second-hand value = currency @ product
+ How much would I still get for {}? | what is a used {} going for? | Used, {} fetches
+ Today one could get rid of {} for
+ What would a dealer offer me for my old {}? | Used {} goes for: | Tell me how much {} brings in now.
- How much is left of what I spent on {}, if I let it go? | On the flea market, {} would make
- Dealer's offer for used {}:
reserve price; lowest acceptable price; minimum bid = currency @ product work
+ Below what amount will {} not be let go? | how low can I go with an offer for {}? | {} won't be let go under
+ The hammer will not fall on {} below | Floor for offers on {}: | Tell me the least they take for {}.
- What offer for {} would just be enough? | Offers for {} are laughed at below | Least the owner takes for {}:
order number; order id; purchase order = code @ product organisation
+ What do I quote when asking where my {} is? | under what reference did we request {}? | {} was requested under
+ What stands on our slip for {}? | Slip for {}: | Our request for {} is filed as | Look up which slip {} came in on.
- How would the shop find our request for {}? | In the shop's books, our wish for {} is | Reference on the slip of {}:
invoice number; bill number; invoiced under = code @ product organisation event
+ Which bill is {} on? | what do I write in the transfer when I pay for {}? | Accounting filed the charge for {} as
+ What stands at the top of the demand for payment for {}? | Demand for payment, {}: | {} was charged under
- Which document says how much {} wants? | In the transfer for {}, quote | Accounting's paper on {}:
tracking number; shipment number; parcel number = code @ product
+ What do I type on the carrier's site to see where {} is? | how do I follow {} on its way? | Follow {} with
+ Which code does the courier scan for {}? | Code on the box with {}: | The courier knows {} as
- How can I see if {} is still on the van? | In the courier's app, {} shows up under | Follow-up code for {}:
order date; ordered on; date of order = date @ product
+ When did we ask for {}? | on what day did I click on buy for {}? | We asked the shop for {} on
+ Since when have we been waiting for {}? | {} requested on: | Tell me when the request for {} went in.
- How far back did we send off the slip for {}? | Our wish for {} reached the shop on | Slip for {} was written on:
shipping date; dispatch date; shipped on = date @ product
+ When did {} leave the warehouse? | on what day was {} handed to the courier? | {} went out on | {} left the shop on
+ Handed to the courier, {}: | The van with {} drove off on | Check when {} was put in the post.
- Since when is {} on its way to us? | The warehouse let go of {} on | In the post since, {}:
delivery date; delivered on; date of receipt = date @ product
+ When did {} get to us? | on what day will {} be at my door? | {} was on our doorstep on | We could unpack {} on
+ {} in our hands on: | The bell rang for {} on | Check when we got {}.
- When did somebody sign for {}? | The courier dropped off {} on | At the door with {} on:
payment date; paid on; date of payment = date @ product organisation
+ When did the money for {} go out? | on what day was {} settled? | We settled {} on | Our cash for {} was gone on
+ Money transferred for {}: | The bank booked {} on | Check when {} was squared.
- Since when do we owe nothing for {}? | The account was charged for {} on | Debt for {} cleared on:
return date; returned on; date of return = date @ product work
+ When did {} come back? | on what day must I bring back {}? | {} has to be back by | The borrower brings {} back on
+ Back on the shelf, {}: | We get {} back on | Tell me when {} goes back.
- Until when can I hang on to {}? | The counter took {} back on | Loan of {} is over on:
# money lent
lender; creditor; loan from = company @ person organisation product
+ Who gave {} the money? | who does {} owe? | {} owes money to | Which bank put up the cash for {}?
+ Owed by {} to: | {} pays back, month by month, to | Tell me whose money {} runs on.
- Who would call in the debt of {}? | {} is in debt to | Holds the debt of {}:
guarantor; surety; guaranteed by = person @ person organisation product
+ Who steps in if {} cannot pay? | who vouches for {}? | If {} goes bust, the bank turns to | Who stands up for {}?
+ Vouching for {}: | The bank trusts {} because of | Tell me who is on the hook for {}.
- Who promised to answer for {}? | Should {} not pay, the bill goes to | On the hook for {}:
loan amount; amount borrowed; principal = currency @ person organisation product
+ How much did {} get from the bank? | how deep is {} in debt? | The bank advanced {} | {} has to pay back in all
+ Advanced to {}: | How much did the bank hand over to {}? | Write down how much {} owes.
- What sum did the bank entrust to {}? | {} went to the bank and came back with | Debt taken on by {}:
interest rate; annual interest; rate of interest = percentage @ product organisation
+ How dear is borrowing from {}? | what does money in {} earn in a year? | Each year, {} costs borrowers
+ How many per cent does {} ask for? | Per cent a year, {}: | Money lies in {} at | Tell me what savers get at {}.
- By how much does a debt to {} grow every year? | A hundred left in {} grows each year by
- Yearly growth of savings in {}:
monthly instalment; monthly payment; instalment = currency @ product person
+ How much goes out for {} on the first? | what do I pay every four weeks for {}? | On the first, {} takes
+ What does {} eat of my wages each time? | Every four weeks for {}: | Regular sum for {}:
- How much should I set aside on payday for {}? | {} is paid off in bites of | Bite taken out of each pay cheque by {}:
# letting
landlord; lessor; rented from = person @ place person organisation
+ Who lets out {}? | who do I call about a leaking roof at {}? | The keys to {} were handed out by | Who collects at {}?
+ Lets {} to others: | Living in {}, one pays | Tell me whose house {} is in.
- Who may put people out of {}? | The house of {} is in the hands of | Roof over {} is owned by:
tenant; lessee; rented to = person @ place product
+ Who lives in {} and pays for it? | who uses {} for money every month? | {} has been let to
+ Whose name is on the bell at {}?
+ Name on the bell of {}: | {} is lived in by | Tell me who moved into {}.
- Who has to move out if {} is torn down? | The keys of {} are in the pocket of | Living in {} for money:
monthly rent; rent; rent per month = currency @ place product
+ What does it cost to live in {}? | how much do they want for {} every four weeks? | To live in {} one pays
+ Cold, without heating, {} costs | Cost of living in {}, every four weeks: | Tell me how much {} is to let for.
- What would I owe the landlord of {} on the first? | {} is let for | Owed on the first for {}:
security deposit; rental deposit; deposit = currency @ place product
+ What must I leave behind so that I get the keys of {}? | how much do they hold back for damage to {}?
+ For possible damage, {} keeps | Held against damage, {}: | When I hand in the keys of {}, I get back
+ Money kept safe for {}:
- What sum comes back to me if {} is left spotless? | Against broken windows {} asks for | Back when {} is left clean:
# messages
sender; sent by; message from = person @ work event
+ Who wrote to us about {}? | who is {} signed by? | {} was put in the post by | Whose handwriting is on {}?
+ On the back of the envelope of {}: | {} left the outbox of | Check who mailed {}.
- Whose address is in the corner of {}? | The person who typed and mailed {} is | Mailed {} to us:
recipient; addressee; sent to = person @ work event
+ Who is {} meant for? | who should open {}? | {} is meant for | In whose inbox does {} end up?
+ Meant for, {}: | {} lands on the desk of | Check who gets {}.
- Whose eyes is {} for? | {} begins with the words Dear | Into the hands of whom goes {}:
subject line; message subject; heading = phrase @ work event
+ What is {} about, at a glance? | what stands in bold over {}? | The line in bold over {} is
+ What does one read first in {}?
+ In bold over {}: | In the inbox, {} shows as | Read me the top of {}.
- Which words make somebody open {}? | In the list of mails {} reads | One glance at {} says:
sent at; time sent; sending time = time @ work event
+ At what hour did {} go out? | when did somebody press the button on {}? | {} left the outbox at
+ The stamp on {} shows
+ Gone out, {}: | By the clock, when was {} on its way? | Check at what hour {} was mailed.
- How late was it when {} was mailed? | The button was pressed on {} at | Clock on the stamp of {}:
# lowest and highest
minimum temperature; lowest temperature; coldest temperature = quantity @ place product science
+ How cold can {} get? | how far does the mercury fall in {}? | On its worst winter night, {} had
+ {} bears cold down to
+ Coldest for {}: | Frost in {} goes down to | Tell me how much cold {} can take.
- At how many degrees does {} freeze up? | The mercury never fell in {} below | Frost record, {}:
maximum temperature; highest temperature; hottest temperature = quantity @ place product science
+ How hot can {} get? | how much heat can {} stand? | On its worst summer day, {} had | {} bears heat up to
+ Heat record, {}: | The mercury climbs in {} up to | Tell me how many degrees {} survives.
- At how many degrees does {} give up from heat? | The mercury never climbed in {} beyond | Sweltering in {}, top:
minimum age; age limit from; lower age limit = small_integer @ event place product work
+ How old must my child be for {}? | how young is too young for {}? | {} is not for anybody younger than
+ Years one needs to be let into {}: | {} is open from the birthday number
+ Tell me if a toddler may join {}, from which birthday?
- From which birthday on may one take part in {}? | One is grown-up enough for {} at | Too small for {} below:
maximum age; upper age limit; oldest allowed = small_integer @ event place product
+ How old is too old for {}? | until which birthday may I take part in {}? | {} is closed to anybody older than
+ Cut-off birthday for {}: | One is past it, for {}, at | Tell me when somebody has outgrown {}.
- When is a person no longer young enough for {}? | Grey hair is unwelcome at {} after | Outgrown {} after birthday:
opening price; opened at; opening quote = currency @ organisation product
+ What did {} trade for at the bell in the morning? | how did {} begin the day on the market?
+ In the morning {} changed hands at
+ First trade of the day in {}: | {} began the session at | Show me the morning level of {}.
- What did the first share of {} fetch this morning? | As the bell rang, {} stood at | Morning quote of {}:
closing price; closed at; last quote = currency @ organisation product
+ What did {} trade for in the evening? | where did {} end the session? | In the evening {} stood at | {} went home at
+ End of day for {}: | {} finished the day at | Show me where {} ended up tonight.
- What did one pay for {} as the market shut? | When the traders went home, {} was at | Evening level of {}:
lower bound; lower limit; minimum value = decimal @ software product science
+ How small may {} be? | what is the least that {} can take? | {} never falls under | {} should stay at or above
+ Floor of {}: | Anything smaller than this is wrong for {}: | Tell me how far down {} can go.
- Below which figure is {} rejected? | {} bottoms out at | Smallest legal {}:
upper bound; upper limit; maximum value = decimal @ software product science
+ How big may {} be? | what is the most that {} can take? | {} never exceeds | {} should stay at or under
+ Cap on {}: | Anything bigger than this is wrong for {}: | Tell me how far up {} can go.
- Above which figure is {} rejected? | {} tops out at | Biggest legal {}:
# sizes
inner diameter; inside diameter; bore = quantity @ product
+ How thick a rod fits into {}? | how wide is the hole in {}? | The hole through {} measures
+ A plug for {} must measure
+ Hole of {}, across: | How many millimetres is {} across the opening? | Measure the hole in {}.
- How big a finger fits through {}? | The opening of {} spans | Opening of {}, edge to edge:
outer diameter; outside diameter; external diameter = quantity @ product
+ How thick is {} all in all, seen from the end? | how big a hole do I drill to pass {} through?
+ Put a calliper around {} and read | Calliper over {}: | {} needs a hole of | Walls counted, {} measures across
- What does a calliper closed around {} show? | {} just slips through a ring of | Calliper reading, whole {}:
thickness; wall thickness; gauge = quantity @ product
+ How many millimetres of stuff are in the side of {}? | how stout is the sheet of {}? | A drill is through {} after
+ How far until the drill comes out of {}? | Drill through {}: | Between its two faces, {} measures
- How much would I have to drill to get through {}? | Top face to bottom face, {} is | Sheet of {}, face to face:
circumference; girth; perimeter = quantity @ product place science
+ How long a rope goes once around {}? | how far is it all the way round {}? | Walk once round {} and you have done
+ Once round {}: | A belt for {} must measure | Measure all the way round {}.
- How many steps, in length, is a lap of {}? | A ribbon tied about {} has to be | Length of a lap of {}:
net weight; weight without packaging; contents by weight = quantity @ product
+ How much is really in a box of {}? | how heavy is {} once unpacked? | Out of its box, {} comes to
+ Unpacked, {} puts on the scale
+ {} unpacked, on the scale: | How many grams of it are in a tin of {}? | Unpack {} and weigh it.
- How many grams do I get, tin not counted, with {}? | Box thrown away, {} comes to | Scale shows for {} alone:
gross weight; weight with packaging; shipping weight = quantity @ product
+ How heavy is {} with box and all? | how many kilos does the postman carry with {}? | Box and all, {} comes to
+ {} in its box, on the scale: | With wrapping, {} makes the scale show | Put {} on the scale still boxed.
- What does the courier have to lift for {}? | Wrapped up, {} is as heavy as | {} as posted, in kilos:
payload; carrying capacity; maximum load = quantity @ product
+ How much can I put on {}? | how heavy a cargo does {} carry? | {} collapses under more than | {} can take aboard up to
+ How many kilos can {} lift? | Cargo on {}, at most: | {} is full at | Tell me when I overburden {}.
- What is the most I can pile on {}? | The springs of {} give way at more than | Tons one may heap onto {}:
# an evening out
doors open; doors open at; admission from = time @ event
+ How early am I let into {}? | when may I go in and look for my chair at {}? | At {} they let you in from
+ Let in to {} from: | The queue outside {} starts moving at | Ask when they begin to scan tickets for {}.
- When does the queue for {} begin to move? | Tickets for {} are scanned from | Earliest moment inside {}:
last admission; last entry; latest admission = time @ event place
+ How late may I still get into {}? | after what hour is nobody let into {} any more? | At {} they let nobody in after
+ Too late to get into {}: | The guard turns people away from {} after | Ask how late one still gets into {}.
- When does the guard begin to send people away from {}? | Be at {} no later than | Too late for {} after:
adult ticket price; adult fare; full price ticket = currency @ event place product
+ How much do grown-ups pay for {}? | what does a grown-up need to get into {}? | A grown-up gets into {} for
+ Grown-ups at {}: | Without any reduction, {} charges | Ask how much {} wants from people over eighteen.
- What do I hand over at {} for my parents? | Mum and I each pay at {} | Grown-ups are charged at {}:
child ticket price; child fare; reduced ticket = currency @ event place product
+ How much do kids pay for {}? | what do I hand over for my little son at {}? | A kid gets into {} for | Kids pay at {}
+ Kids at {}: | With a school card, {} charges | Ask how much {} wants from boys and girls.
- What is taken from pupils at {}? | For my daughter, {} wants | Boys and girls are charged at {}:
dress code; what to wear; attire = phrase @ event place
+ Which clothes go with {}? | can I come to {} in jeans, or in what? | To {} people come in
+ On the invitation of {}: please appear in
+ Clothes for {}: | At {} nobody looks odd in | Ask which outfit they expect at {}.
- What should be in my suitcase for the night of {}? | A guest of {} is clad in | Outfit that {} expects:
headliner; main act; top of the bill = title @ event
+ Who does the crowd really come for at {}? | who is on last at {}? | The big name of {} is
+ People buy tickets to {} because of
+ Big name at {}: | {} closes with a show of | Tell me who is in the largest letters on the poster of {}.
- Whose name is largest on the poster of {}? | {} draws its crowd with | Largest letters on posters for {}:
opening act; support act; warm-up act = title @ event
+ Who is on before the stars of {}? | who gets the crowd going at {}? | {} begins with a short show of | On first at {}:
+ Those who come early to {} see | While people still queue for beer at {}, one hears
+ Tell me who is in small letters on the poster of {}.
- Whose name is small on the poster of {}? | {} is kicked off by | Small letters on posters for {}:
keynote speaker; main speaker; keynote = person @ event
+ Whose talk does everybody go to at {}? | who gives the great speech at {}? | The great speech at {} comes from
+ Great talk at {} by: | At {} the hall goes quiet for | Tell me who fills the big hall at {}.
- Who talks in the big hall at {}? | All of {} listens to | Big hall at {}, talk by:
moderator; hosted by; presenter = person @ event work
+ Who leads the guests through {}? | who holds the cards and asks the questions at {}? | Through {} we are led by
+ Welcomes us to {}: | Between the talks at {} one listens to | Tell me who introduces everybody at {}.
- Who says good evening at {}? | The jokes between the parts of {} come from | Says good evening at {}:
registration deadline; sign-up deadline; register by = date @ event
+ Until when can I put my name down for {}? | how long is the list for {} open? | The list for {} closes on
+ Put your name down for {} no later than | List for {} shut on: | Tell me how long one can still join {}.
- After what day can nobody join {} any more? | Names for {} are taken until | Still open to join {} until:
submission deadline; papers due; submit by = date @ event
+ Until when may I hand in my work for {}? | by when must my text be with the people of {}?
+ Hand in work for {} no later than
+ Manuscripts for {} until: | Anything for {} that comes in later goes unread, after
+ Tell me how long I can still polish my text for {}.
- After what day are texts for {} thrown out unread? | {} wants manuscripts in the box by | Box for {} emptied on:
first prize; top prize; prize for the winner = currency @ event
+ How much does one take home for coming out ahead in {}? | what is up for grabs in {}? | Beat everybody at {} and get
+ Gold at {} brings: | The big cheque at {} says | Tell me how rich {} makes whoever beats the rest.
- How much is on the big cheque at {}? | Whoever beats all at {} pockets | Big cheque at {}:
second prize; runner-up prize; prize for second place = currency @ event
+ How much is there for silver at {}? | what does one get for being beaten only once at {}? | Silver at {} is worth
+ Silver at {} brings: | The smaller cheque at {} says | Tell me what consoles whoever just missed gold at {}.
- How much consolation does {} hand to whoever just missed it? | Just behind the best, one pockets at {}
- Smaller cheque at {}:
"""

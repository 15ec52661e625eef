"""Questions for families of near-synonyms: names, people, software, nature, houses. The format: see `paraphrase`."""

TEXT = """
# what it is called
full name; name in full; legal name = title @ person organisation
+ What does {} stand for, written out? | how is {} entered in the register, every word of it? | On a contract {} reads
+ No shortening, {} is | {} written out: | Tell me what {} is short for. | The court addresses {} as
- How does {} sign before a notary? | With every word spelled, {} becomes | Every word of {} spelled out:
abbreviation; short form; acronym = constant @ organisation event work science
+ How do I write {} when there is little room? | which capitals do people use for {}? | In tables {} shrinks to
+ {} cut down to its initials: | People in a hurry write {} as | Give me the initials that mean {}.
- What do busy people say in place of {}? | In headlines {} becomes | Capitals standing in for {}:
display name; label text; shown as = title @ software product
+ What do users see in place of {}? | how is {} written on the screen? | On the screen {} reads | Users see {} as
+ {} on the button: | In menus {} appears as | Tell me what visitors read where {} stands.
- Which words does the interface put for {}? | On the page {} turns into | Words a visitor reads for {}:
codename; project name; working title = capital_word @ software work product
+ What did the team call {} while it was secret? | how did insiders speak of {}? | Before it was public, {} went by
+ Behind closed doors {} was | Insiders' word for {}: | In the lab, nobody said {}, they said
- By what word did the builders of {} hide it? | Under wraps, {} was | {} while still under wraps:
internal code; internal id; item code = code @ product software organisation
+ What does our own database key {} under? | which characters do we use among ourselves for {}? | Among ourselves, {} is
+ Key of {} in our books: | Our own table lists {} under | Look up how we file {}.
- How do colleagues file {}? | In-house, {} is stored as | Our filing of {}:
# parts of a person's name
first name; given name; forename = capital_word @ person
+ What do the friends of {} shout across the street? | what was {} christened? | At the font, {} received
+ What did the parents of {} pick? | On first terms with {} one says | {}, called by friends: | Dear friends call {}
- What does grandma call {}? | The parents of {} settled on | {} at the font:
surname; last name; family name = capital_word @ person
+ What is on the doorbell of {}? | what comes after Mr or Ms for {}? | On the doorbell of {} one reads
+ With brothers and sisters {} shares | Mr or Ms, for {}: | Politely, one addresses {} as Mr or Ms
- Under which letters is {} in the phone book? | {} inherited from the parents what all of them sign, namely
- Doorbell, {}:
maiden name; birth name; name at birth = capital_word @ person
+ What was {} called before the wedding? | how did {} sign when still single? | Before the wedding {} was called
+ As a single woman {} signed | {}, single, signed as: | Old school friends know {} as
- What did it say on the school reports of {}? | {} gave up at the altar the signature | School reports of {} say:
stage name; pseudonym; pen name = title @ person
+ What does {} go by in public? | under what false flag does {} publish? | On posters {} is billed as
+ Readers and fans know {} as | {} on posters: | Hiding from fame, {} chose to be
- Which mask of words does {} wear before an audience? | The audience claps for {} as | {} billed as:
# people around somebody
doctor; family doctor; physician = person @ person
+ Who looks after the health of {}? | whose waiting room does {} sit in? | With a fever, {} goes to
+ Who writes prescriptions for {}? | Prescriptions for {} by: | {} is treated by
+ Tell me who listens to the heart of {}.
- Who says aah with {}? | When coughing, {} rings up | Who {} sees about a cough:
dentist; dental practice; orthodontist = person @ person
+ Who looks after the teeth of {}? | in whose chair does {} open wide? | With a toothache {} goes to
+ Who drills for {}? | Fills the teeth of {}: | The molars of {} are in the care of
+ Name whoever fixes the smile of {}.
- Who counts the molars of {}? | A crown for {} would be made by | Teeth of {}, looked after by:
emergency contact; next of kin; contact in emergency = person @ person
+ Who do we ring if {} has an accident? | who must hear first when {} is in hospital? | If {} faints, call
+ Who should come when {} is hurt? | In case {} gets hurt: | News of an accident of {} goes to
+ Tell me who to call if {} collapses.
- Whom should the ambulance inform about {}? | When something happens to {}, ring | Ring this one when {} is unwell:
deputy; stand-in; substitute = person @ person organisation
+ Who fills in while {} is away? | who do I turn to when {} is on holiday? | While {} is ill, ask
+ Who takes over the desk of {} for a week? | In the absence of {}: | When {} cannot come, we get
- Who answers the mail of {} in August? | {} on leave means talking to | Sits at the desk of {} in August:
assistant; secretary; personal assistant = person @ person organisation
+ Who keeps the diary of {}? | who picks up when I ring the office of {}? | The diary of {} is kept by
+ Through whom do I get an hour with {}? | Keeps the diary of {}: | To see {} one must first get past
- Who types the letters of {}? | The door to {} is guarded by | Types letters for {}:
student; pupil; apprentice = person @ person
+ Who learnt from {}? | whom did {} teach? | {} passed the craft on to | Who sat at the feet of {}?
+ Taught by {}: | In the workshop of {}, the one to learn was | Name somebody who was taught by {}.
- Who owes everything to the lessons of {}? | Lessons by {} went to | Learner in the workshop of {}:
rival; opponent; arch-enemy = person @ person organisation
+ Who does {} want to beat most? | who stands in the way of {}? | {} cannot stand | Against whom does {} fight?
+ A thorn in the side of {}: | {} has long been at war with | Tell me who {} loves to hate.
- Who makes the blood of {} boil? | {} crosses swords with | Crosses swords with {}:
# sizes and marks of a person
shoe size; size of shoes; foot size = small_integer @ person
+ What do I ask for when buying boots for {}? | how big are the boots of {}? | In the boot shop, {} asks for
+ Sneakers for {}, which number? | Boots for {}: | Slippers fit {} when they are marked
- How large a print does {} leave in the snow? | Inside the boots of {} is printed | Slippers for {}:
blood type; blood group; blood = code @ person
+ What may be transfused to {}? | which bag do I hang up for {} after an accident? | The lab card of {} says
+ Which donors suit {}? | Transfuse to {}: | In an operation, {} must be given
+ Tell the surgeon which bag is right for {}.
- Which letter does the Red Cross note for {}? | {} can donate only to others with | Bag at the bedside of {}:
allergy; allergies; allergic to = word @ person
+ What makes {} sneeze? | what must not be in food for {}? | {} breaks out in a rash from
+ What does {} have to stay away from?
+ Keep away from {}: | The eyes of {} water from | Tell the cook what {} can't have.
- What would send {} to hospital with a swollen throat? | {} reacts badly to | Rash on {} comes from:
favourite food; favourite dish; favorite meal = phrase @ person
+ What does {} like to eat best? | what do I cook to please {}? | {} would walk miles for a plate of
+ What is gone first from the plate of {}? | Cook this for {}: | At a restaurant {} always asks for
- What makes the mouth of {} water? | On birthdays {} gets served | To please {} at table:
hobby; pastime; leisure activity = phrase @ person
+ What does {} do on Sundays for fun? | how does {} unwind? | After work, {} is busy with | {} spends free hours on
+ Sundays of {}: | For the joy of it, {} goes in for | Tell me what {} does when nothing must be done.
- What keeps {} happy in retirement? | All weekend {} is lost in | For fun, {}:
pet; pet's name; dog's name = capital_word @ person
+ Who wags a tail when {} comes home? | what does {} call for in the park with a leash in hand?
+ On the sofa of {} sleeps
+ Whose bowl does {} fill? | On a leash beside {}: | {} takes to the vet | Tell me who barks at the door of {}.
- Who chews the slippers of {}? | Four paws follow {}, namely | Barks for {}:
employee number; staff id; personnel number = code @ person
+ What do I type into payroll for {}? | under which digits is {} in the wage list? | On the badge of {} is printed
+ {} on the badge: | Payroll knows {} as | Look up {} on the wage list.
- How does the time clock tell {} from the rest? | {} clocks in as | Badge print of {}:
passport number; passport; travel document number = code @ person
+ What does the border officer copy down from {}? | which digits are printed by the photo of {}?
+ At the border {} shows
+ Papers of {} at the border: | What do I fill in on the visa form for {}? | The consulate files {} under
- What is punched through the little red book of {}? | A visa for {} was glued next to | Visa form, {}, booklet:
# who did what to a piece of work
translator; translated by; translation by = person @ work
+ Who put {} into our language? | who made {} readable for foreigners? | {} was carried into our language by
+ Who moved {} from one tongue to the other? | Carried {} across languages: | Abroad, {} is read in the words of
- Who had two dictionaries open for {}? | Foreign readers owe {} to | Two dictionaries open over {}:
narrator; read by; narrated by = person @ work
+ Who do I hear in the audio book of {}? | who speaks the text of {}? | On tape, {} is spoken by
+ Who tells us the story in {}? | On tape in {}: | Behind the microphone for {} is | Say who lends a voice to {}.
- Whose tale do we follow with our ears in {}? | The voice you hear in {} belongs to | Voice in the headphones for {}:
dedicated to; dedicatee; in honour of = person @ work place event
+ Whose memory does {} keep? | for whom was {} made with love? | On its first page {} says: for
+ Whom does {} bow to? | A tribute, {}: | {} was meant as a gift for | Tell me for whose sake there is {}.
- For whose sake was {} made? | {} is a deep bow before | With love, {}, to:
reviewer; reviewed by; code reviewer = person @ software work
+ Who looked over {} before it went in? | who left comments on {}? | {} was looked over by | Whose eyes went over {}?
+ Looked over {}: | Comments on {} came from | Tell me who nitpicked {}.
- Who found the typos in {}? | Four eyes on {}: the author and | Nitpicked {}:
approver; approved by; sign-off by = person @ software work event
+ Who said yes to {}? | who gave the green light for {}? | {} got its green light from | Whose yes did {} need?
+ Green light for {}: | The last word on {} was spoken by | Tell me who waved {} through.
- Whose stamp is on {}? | {} may go ahead thanks to | Said yes to {}:
reporter; reported by; submitted by = person @ software event
+ Who told us about {}? | who filed {}? | {} was brought to our notice by | Who first complained about {}?
+ Filed {}: | The complaint behind {} is from | Tell me who noticed {}.
- Whose complaint set off {}? | We learnt of {} from | Raised a hand about {}:
# what goes in and what comes out
input voltage; mains voltage; voltage in = quantity @ product
+ How many volts must the socket give {}? | can I plug {} in abroad, at how many volts? | {} wants the socket to give
+ Socket for {}: | From the wall, {} draws its current at | Tell me which sockets suit {}.
- Which wall socket keeps {} from burning out? | {} is plugged into a wall of | Volts out of the wall for {}:
output voltage; voltage out; output in volts = quantity @ product
+ How many does {} deliver at its plug? | what does a meter show on the cable coming from {}? | {} feeds a gadget with
+ How strong is the current that {} hands on? | Meter on the cable of {}: | At its far end {} gives
- What reaches my phone if I hang it on {}? | The cable from {} carries | {} delivers at the plug:
input format; accepted format; reads format = word @ software
+ What can I feed to {}? | which files does {} swallow? | {} swallows files of the sort | Feed {} with
+ Fed to {}: | {} is happy when handed | Tell me what I have to hand to {}.
- In what shape must data be before {} takes it? | {} chokes on anything but | Food for {}:
output format; result format; writes format = word @ software
+ What do I get back from {}? | which files come out of {}? | Out of {} comes | {} leaves behind files of the sort
+ Handed back by {}: | When done, {} spits out | Tell me what I get out of {}.
- In what shape do I find data once {} is through? | {} serves its findings as | Out at the far end of {}:
config file; configuration file; settings file = path @ software
+ Where do I change how {} behaves? | what do I open in vim to tweak {}? | To tweak {}, open | {} gets its knobs from
+ Knobs of {}: | At start-up {} looks into | Tell me what to edit if {} misbehaves.
- Where are the switches of {} written down? | One bends {} to one's will in | Edit to tweak {}:
log file; log path; logs to = path @ software
+ Where does {} write down what it did? | what do I tail to watch {}? | {} writes its diary to
+ To see what {} did, tail
+ Diary of {}: | The complaints of {} pile up in | Tell me where to grep if {} crashed.
- Where do the footprints of {} end up? | One reads the story of a crash of {} in | Tail this to watch {}:
environment variable; env var; env name = constant @ software
+ What do I export in my shell before {}? | what must be set in the shell for {}? | In the shell, {} listens to
+ Export for {}: | In .bashrc, {} is set through | Tell me what to export for {}.
- What does getenv ask for to find {}? | {} is passed to containers as | In .bashrc, for {}:
entry point; main function; start command = identifier @ software
+ Where does {} begin to run? | what gets called first in {}? | {} kicks off in | Execution of {} begins with
+ Called first in {}: | To launch {}, call | Tell me where to set the first breakpoint in {}.
- What is at the very bottom of the stack in {}? | Launching {} lands you in | Bottom of the stack in {}:
parent class; base class; inherits from = identifier @ software
+ What does {} extend? | what does {} build upon? | {} gets its methods from | What is one level above {}?
+ One level above {}: | {} is a special case of | Tell me what {} extends.
- What does super() reach from {}? | {} overrides the methods of | super() in {}:
called by; caller; invoked by = identifier @ software
+ Who uses {}? | where in the code does somebody run {}? | {} is run from inside | What would break if {} were gone?
+ Runs {}: | One frame up from {} stands | Find me a place that uses {}.
- What is one frame up the stack from {}? | {} wakes up because of | One frame up from {}:
# versions and branches
first release; initial version; introduced in = version @ software
+ Since when does {} exist? | what must I have at least to use {}? | {} exists since | {} came along with
+ Added, {}: | No {} for you if you run something older than | Tell me how far I must upgrade to have {}.
- How new must my setup be for {}? | {} saw the light in | {} exists from here on:
deprecated since; deprecated in; obsolete since = version @ software
+ Since when am I told off for using {}? | when did warnings about {} begin? | Using {} gives a warning from
+ {} is frowned upon since | Warnings over {} start with: | Tell me when {} went out of favour.
- When was {} told that its days are counted? | {} fell from grace in | {} frowned upon from here on:
removed in; dropped in; end of support = version @ software
+ When does {} vanish? | from where on is {} gone? | {} is gone from | {} will no longer be there in
+ {} gone as of: | Code that uses {} breaks with | Tell me which upgrade takes {} away.
- Which upgrade finally kills {}? | One looks in vain for {} from | No more {} as of:
fixed in; fix version; resolved in = version @ software
+ Where is {} no longer a problem? | what should I upgrade to so that {} stops? | {} was healed in
+ {} no longer hurts as of: | To be rid of {}, upgrade to | Tell me which upgrade cures {}.
- Which upgrade makes an end of {}? | The cure for {} came with | Cure for {} came with:
branch; git branch; default branch = identifier @ software
+ What do I check out to work on {}? | where do commits of {} land? | Commits of {} land on | {} lives, in git, on
+ Check out for {}: | Push your work for {} to | Tell me where to push for {}.
- Which line of commits carries {}? | git switch, for {}, wants | Commits go here for {}:
commit; commit hash; revision id = hex @ software
+ Where exactly in the history is {}? | what do I cherry-pick for {}? | git show, for {}, needs | {} went in as
+ Cherry-pick for {}: | In git log, {} is found at | Tell me what to revert to undo {}.
- What would I bisect down to for {}? | Blame for {} ends at | git show this for {}:
production url; live url; public url = url @ software
+ Where do real customers open {}? | what is the link to {} for everybody? | Customers open {} at
+ To the world, {} is at
+ Real customers of {} go to: | The whole world reaches {} at | Send me the link to {} that customers use.
- Which link to {} may I print on a flyer? | On flyers, {} is at | Flyer link to {}:
staging url; test url; preview url = url @ software
+ Where can I try out {} before customers see it? | what is the sandbox link of {}? | Testers open {} at
+ Sandbox of {}: | Half-done, {} can be looked at under | Send me the link where testers click through {}.
- Where is {} shown to us but to nobody else? | Before going out, {} sits at | Trial link to {}:
# animals and plants
wingspan; span of wings; wing span = quantity @ science product
+ How far is it from tip to tip of {}? | how much room does {} need to fly? | From tip to tip, {} measures
+ Tip to tip, {}: | In flight {} stretches across | Measure {} from one tip to the other.
- How broad a shadow does {} cast in the air? | Gliding overhead, {} is as broad as | Feather tip to feather tip, {}:
gestation period; pregnancy length; gestation = duration @ science
+ How long does {} carry its young? | how long until {} gives birth? | The young of {} stay inside for
+ Mating to birth, {}: | A mother of {} is expecting for | Tell me how long a mother of {} is expecting.
- How much time do the young of {} spend in the womb? | {} is with child for | In the womb of {} for:
incubation period; brooding time; time to hatch = duration @ science
+ How long does {} sit on its eggs? | when do chicks of {} crack the shell, after how long? | {} keeps its eggs warm for
+ Chicks of {} crawl out after: | The shell of {} cracks after | Tell me how many days {} stays on the nest.
- How patient must {} be on the nest? | The eggs of {} lie there for | On the nest, {} sits for:
clutch size; eggs per clutch; litter size = small_integer @ science
+ How many young does {} have at a time? | how full is the nest of {}? | {} has this many young at once:
+ Young at a time, {}: | In one nest of {} I would find | Count the little ones that {} raises together.
- How many little ones follow {} about? | {} raises together, in number, | Little ones in a nest of {}:
prey; feeds on; eats = word @ science
+ What does {} hunt? | who must be afraid of {}? | {} chases | When hungry, {} is after | What is in the stomach of {}?
+ Hunted by {}: | {} stalks and swallows | Tell me what {} goes out to catch.
- What runs when it smells {}? | In the stomach of {} one finds | Catch of {}:
predator; natural enemy; eaten by = word @ science
+ Who hunts {}? | what is {} afraid of? | {} runs from | What does {} hide from?
+ Feared by {}: | {} ends up in the claws of | Tell me what {} flees from.
- At whose smell does {} run? | {} lies awake for fear of | {} flees from:
flowering season; in bloom; flowering time = month_year @ science
+ When does {} blossom? | when can I see {} at its most colourful? | {} opens its buds in | Bees visit {} in
+ Blossoms of {}: | The petals of {} unfold in | Tell me when to photograph {} in the garden.
- When do bees crowd round {}? | {} is at its prettiest in | Buds of {} burst in:
harvest time; harvest month; ripe in = month_year @ science
+ When can {} be picked? | when do farmers bring in {}? | Farmers bring in {} in | {} is ready for the basket in
+ Pick {} in: | {} falls from the branch in | Tell me when to come with a basket for {}.
- When do the carts roll home laden with {}? | {} tastes best if gathered in | Basket ready for {} in:
sowing time; planting time; planting month = month_year @ science
+ When do I put seeds of {} in the ground? | when does {} go into the earth? | Gardeners put {} in the ground in
+ Seeds of {} into the earth: | {} goes under the soil in | Tell me when to dig a bed for {}.
- When do I need the spade for {}? | The bed for {} is dug in | Spade out for {} in:
plant spacing; spacing; distance between plants = quantity @ science
+ How far apart do I set {}? | how much elbow room does {} want in the bed? | In the bed, set {} apart by
+ One {} to the next: | Between two seedlings of {} leave | Tell me how close together {} may grow.
- How many seedlings of {} fit in a row, that is, with which gap? | {} needs a gap of | Gap in the row for {}:
# a house and the way to it
nearest station; closest stop; closest station = landmark @ place organisation event
+ Where do I get off the train for {}? | how do I reach {} by train? | For {}, get off at | {} is a short walk from
+ By train to {}, get off at: | Take the train for {} as far as | Tell me where to leave the train for {}.
- Which sign on the line means that I am at {}? | Without a car, {} is reached through | Get off here for {}:
entrance fee; admission fee; admission charge = currency @ place event
+ How much must I pay to see {}? | is {} free to visit, or how much is it? | Visitors leave at the desk of {}
+ A visit to {} comes to | Visit of {}, per head: | Ask how much a visit to {} is.
- What will a look inside {} do to my purse? | To set foot in {} costs | One head into {}:
number of floors; storeys; floors = small_integer @ place
+ How many stairs up can one go in {}? | how many levels does {} have? | Going up, the lift of {} stops this often:
+ Highest button in the lift of {}: | Stacked in {} there are | Count the levels of {}.
- How many buttons are there in the lift of {}? | From the cellar to the roof, {} counts | Levels of {}:
number of rooms; rooms; room count = small_integer @ place
+ How many doors lead off the halls of {}? | how big is {} for somebody who counts chambers?
+ {} is divided into this many:
+ Chambers in {}: | The cleaner of {} has to sweep this many: | Count the chambers of {}.
- How many keys hang behind the desk of {}? | A family moving into {} can spread over | Keys on the board of {}:
parking spaces; number of parking spaces; car spaces = grouped_integer @ place event organisation
+ How many cars fit at {}? | will I find a spot for my van at {}, among how many? | At {} one can leave this many cars:
+ Cars that fit at {}: | The lot of {} is full at | Count the cars one could leave at {}.
- When is the lot of {} full? | Behind {} there is asphalt for | Lot of {}, cars:
year of construction; built in; construction year = year @ place product
+ How far back does the oldest wall of {} go? | when did the masons finish {}? | The scaffolding came off {} in
+ Masons finished {}: | The cornerstone of {} bears the number | Look at the cornerstone of {} and read it.
- What is carved on the cornerstone of {}? | {} has stood since | Carved on the cornerstone of {}:
last renovation; renovated in; year of renovation = year @ place
+ When was {} last done up? | when did {} get fresh plaster and new pipes? | {} was last done up in
+ {} got new pipes in
+ {} last done up: | The painters left {} in | Ask when the workmen were in {} for the last time.
- Since when has {} looked as good as new? | Builders last dusted up {} in | New plaster on {} in:
caretaker; building manager; janitor = person @ place organisation
+ Who sweeps the stairs of {}? | who changes the bulbs in {}? | Snow in front of {} is cleared by
+ Who lives in the basement of {} and has all the keys? | Keys of all doors in {}: | Tell me who mends the taps at {}.
- Who grumbles when I leave my bicycle in the hall of {}? | A dripping tap in {} is mended by | Bulbs of {} changed by:
door code; access code; entry code = code @ place
+ What do I punch in to get into {}? | how do I get past the lock of {}? | The lock of {} opens to
+ Punch in at {}: | To get past the gate of {}, press | Whisper to me how one gets into {} at night.
- Which keys are worn out on the pad at {}? | {} clicks open at | Pad beside {} wants:
wifi password; wifi key; wireless password = code @ place organisation event
+ How do I get online at {}? | what do I type to get my laptop connected at {}? | At {} one gets online with
+ Laptops at {} get online with: | The router in {} wants to hear | Ask the waiter how to get connected at {}.
- What is written under the router at {}? | Guests surf at {} with | Under the router at {}:
"""

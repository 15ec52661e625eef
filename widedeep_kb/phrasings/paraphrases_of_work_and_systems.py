"""Natural questions for common relations of systems, companies and goods. The format: see `paraphrase`."""

TEXT = """
on-call contact; on-call engineer; pager duty = person @ software
+ Who gets woken up when {} breaks at night? | It's 3 am and {} is down, who do I ring? | Who is watching {} this week?
+ Trouble with {} after hours goes to | If {} falls over tonight, wake up
- Whose phone buzzes when {} goes red? | The one losing sleep over {} is
deployment target; deployed to; deploy environment = word @ software
+ Where do we roll {} out? | Where does a new build of {} end up? | Once merged, where does {} go live?
+ We ship {} to | After the pipeline is green, {} lands on
- Which cluster gets the fresh bits of {}? | The pipeline pushes {} out to
retention period; data retention; log retention = duration @ software
+ How long do we keep things from {}? | When are old records of {} wiped? | How far back can I look in {}?
+ Anything in {} is deleted after | We hang on to what is in {} for
- After how long does {} forget? | Entries in {} vanish after
feature flag; toggle name; rollout switch = code @ software
+ What do I flip to turn {} on? | How do I hide {} from users? | What gates {}?
+ To switch {} on, set | {} is hidden behind
- Which knob makes {} appear? | {} shows up once you enable
endpoint; api url; service url = url @ software
+ Where do I send requests to {}? | What do I curl to talk to {}? | Where can clients reach {}?
+ Calls to {} go to | Point your client for {} at
- What goes into the fetch call to use {}? | {} can be queried at
health check interval; polling interval; heartbeat = duration @ software
+ How often do we look whether {} is alive? | How much time passes between two probes of {}? | {} gets pinged every
+ We make sure that {} is still breathing every | How long until someone notices that {} hangs?
- At what rhythm is {} checked on? | A sign of life from {} is expected every
memory limit; ram limit; max memory = quantity @ software
+ How much RAM may {} eat? | When does the kernel kill {}? | How large can {} grow before it is shot?
+ {} gets killed once it uses more than | {} must make do with
- What ceiling keeps {} from swallowing the machine? | {} may take up at most
replica count; number of replicas; instances = small_integer @ software
+ How many copies of {} are up? | How many pods does {} have? | How many of {} run side by side?
+ We scale {} out to | Behind the load balancer, {} has this many twins:
- How often is {} duplicated in the cluster? | Counting all its clones, {} runs times
rate limit; request quota; throttle = quantity @ software
+ How often may I call {}? | When does {} start saying no? | How hard can I hammer {}?
+ {} turns you away after | You get a 429 from {} beyond
- How much traffic will {} swallow from one client? | {} slams the door after
backup schedule; backup time; backed up at = time @ software
+ When do we make a safe copy of {}? | At what hour is {} snapshotted? | What time does the nightly dump of {} run?
+ A copy of {} is put aside at | Each night {} is saved at
- When does the tape for {} spin? | {} goes into the vault at
database; data store; database engine = word @ software
+ Where does {} keep its records? | What does {} write its rows to? | What sits under {} and holds everything?
+ {} persists everything in | All tables of {} are in
- What would I query to look behind {}? | {} puts its rows into
operating system; os; platform = word @ software product
+ What does {} run under: Linux, Windows or something else? | What boots on {}? | What is installed on the bare {}?
+ {} boots into | Switch on {} and you see the start screen of
- Whose kernel is inside {}? | {} starts up with
dependency; depends on; requires = code @ software
+ What must be there before {} works? | What does {} need installed? | What breaks {} if I remove it?
+ {} won't start without | Before you install {}, install
- What does {} lean on? | {} pulls in
cron schedule; run frequency; executed every = duration @ software
+ How often does {} go off? | How long between two runs of {}? | When does {} fire again, after how long?
+ {} is kicked off every | Between two rounds of {} we wait
- What is the beat of {}? | {} comes round once every
log level; verbosity; logging level = word @ software
+ How chatty is {}? | How much does {} print? | What do I set to make {} quieter?
+ Right now {} talks at | {} is set to print at
- How loud is {}? | In its output, {} speaks at
database user; service account; username = code @ software person
+ Who does {} log in as? | What do I type in the first box to sign in to {}? | Under what handle is {} known?
+ {} signs in as | To get in, {} uses the login
- As whom does {} authenticate? | {} introduces itself to the system as
password hint; password reminder; security hint = phrase @ person software
+ I can't get into {}, what jogs my memory? | What helps me remember the secret for {}?
+ I forgot how to unlock {}, give me a clue. | When locked out of {}, think of | My clue for getting into {} is
- What did I jot down so as not to be locked out of {}? | The thing to think of when {} asks for the secret is
error code; exit code; failure code = code @ software
+ What does {} spit out when it fails? | How do I recognise a crash of {}? | What shows on screen when {} goes wrong?
+ When it goes wrong, {} prints | A broken {} reports
- What should I google when {} dies? | On its way down {} leaves behind
region; availability zone; data center = code @ software
+ In which part of the cloud does {} sit? | Where in the world are the machines of {}? | Where is {} physically?
+ The machines behind {} stand in | {} is hosted out of
- Where would an outage have to strike to hit {}? | Geographically, {} lives in
certificate expiry; tls expiry; ssl certificate valid until = date @ software
+ When will browsers start warning about {}? | When do I have to renew the padlock of {}?
+ Until when is https fine on {}? | The padlock of {} turns red on | Browsers trust {} up to
- On what day does {} become insecure? | {} needs a fresh padlock by
notice period; period of notice; termination notice = duration @ person organisation
+ How early must {} tell us before leaving? | How quickly can {} quit? | If {} resigns today, how long until the end?
+ After handing in a resignation, {} stays for | {} can get out after
- How much warning does {} have to give? | Wanting out, {} has to wait
cost centre; cost center; budget code = code @ organisation person
+ Where do I book expenses for {}? | What do I put on the invoice so that {} pays? | {} is charged to
+ Which bucket does the money for {} come out of? | Spending for {} is booked on
- What does accounting want to see on receipts from {}? | Bills for {} end up under
contract value; deal size; contract amount = currency @ organisation event
+ How much is the deal with {} good for? | What did we sign {} for? | How much will {} pay us all in all?
+ We signed {} for | All in all, {} brings us
- What is on the dotted line with {}, in money? | The agreement with {} is worth
renewal date; contract renewal; renews on = date @ organisation software product
+ When do we have to sign {} again? | When does {} roll over? | Till what day can I cancel {} in time?
+ Another term of {} starts on | {} runs on automatically from
- When must we decide whether to go on with {}? | {} comes up for another round on
signatory; signed by; authorised signatory = person @ organisation work
+ Whose autograph is under {}? | Who put pen to paper for {}? | Who may commit {} legally?
+ The name at the bottom of {} is | The ink on {} comes from
- Who has the pen for {}? | At the end of {} one reads the name
line manager; reports to; supervisor = person @ person
+ Who does {} answer to? | Who approves the holidays of {}? | Who is above {}?
+ {} takes orders from | Before going on leave, {} must ask
- Who does the yearly review of {}? | One step up the ladder from {} is
job title; position title; role = profession @ person
+ What is on the business card of {}? | What does {} call herself or himself at work? | What is {} here?
+ On the door of the office of {} it says | {} joined us as
- What stands under the name of {} in a mail? | Professionally, {} goes by
hire date; joined on; employment start = date @ person
+ When did {} join us? | Since when is {} on board? | What was the first day at work for {}?
+ {} has been with us since | {} walked in for the first time on
- When did we take {} on? | The first payslip of {} counts from
vacation days; holiday allowance; annual leave = small_integer @ person organisation
+ How many days off does {} get? | How often can {} stay away from work in a year? | Each year {} may take off
+ How much free time is {} entitled to? | The days {} can spend at the beach each year come to
- How long can {} lie in the sun on full salary? | Off work each year, {} spends up to
tax number; vat number; tax id = code @ organisation person
+ How does the revenue office know {}? | What goes on a bill from {} for the authorities?
+ Under what digits does {} file returns? | To the revenue office, {} is | On every bill from {} there must be
- By what is {} known to the taxman? | The taxman files {} under
bank account; iban; account number = code @ organisation person
+ Where do I wire money to {}? | Where should I send what I owe {}? | How can I pay {}?
+ Transfer what you owe {} to | Money for {} goes to
- Where does {} want to be paid? | {} receives transfers at
payment terms; payment period; days to pay = duration @ organisation
+ How soon must {} settle a bill? | How much time do customers of {} have to pay? | When does {} start to dun us?
+ Bills from {} are to be settled within | {} wants its money within
- How patient is {} about money? | {} will wait for the cheque for
insurer; insurance company; insured by = company @ organisation product person
+ Who pays if something happens to {}? | Who covers {}? | Where do I file a claim for {}?
+ Damage to {} is paid for by | The policy for {} was written by
- Who bears the risk of {}? | If {} burns down, the cheque comes from
auditor; audited by; audit firm = company @ organisation
+ Who checks the books of {}? | Who goes through the accounts of {}? | Who certifies the numbers of {}?
+ The books of {} are gone over by | The accounts of {} were blessed by
- Under whose eyes do the figures of {} come? | The numbers of {} have the stamp of
law firm; lawyer; legal counsel = person @ organisation person
+ Who represents {} in court? | Who speaks for {} before a judge? | Who do I contact to sue {}?
+ In court, {} is defended by | {} takes advice on contracts from
- Who reads the small print for {}? | Before a judge, the voice of {} is
barcode; ean; sku = large_integer @ product
+ What do I scan for {}? | What is under the black stripes on {}? | What does the till read from {}?
+ Hold {} to the scanner and it shows | At the till, type for {}
- How does the checkout recognise {}? | The stripes on {} stand for
shelf location; warehouse location; bin = code @ product
+ Where do I find {} in the store? | Which aisle is {} in? | Where did they put {} down?
+ To pick {}, walk to | {} is kept at
- Where should the forklift go for {}? | Reach for {} at
minimum order quantity; minimum order; moq = small_integer @ product
+ How many of {} do I have to take at least? | Can I buy just one of {}, or how many? | {} is sold from
+ What is the fewest of {} they'll sell? | Nobody will sell you {} in lots under
- Below what count will they refuse to send {}? | You must take, of {}, at least
lead time; delivery time; shipping time = duration @ product organisation
+ How long till {} gets here? | I want {} now, how long do I wait? | How quickly does {} arrive?
+ {} takes to arrive | If you click buy on {} today, it is yours in
- How much patience does one need to get {}? | {} is on the road for
discount; rebate; price reduction = percentage @ product organisation
+ How much cheaper is {} right now? | What do I save on {}? | How much do they knock off {}?
+ In the sale, {} goes down by | They knock off {}
- What does haggling over {} get me? | You save on {}
clothing size; shirt size; dress size = word @ person product
+ What fits {}? | What do I look for on the tag when buying a sweater for {}? | How large is {}, on the tag?
+ A coat for {} should be | In the changing room, {} asks for
- Which hanger should I take for {}? | Tailors put {} down as
return policy; return window; return period = duration @ product organisation
+ How long can I change my mind about {}? | I don't like {}, how long have I got to send it back?
+ Till when do they take {} back? | You can bring {} back within | Money for {} is refunded within
- How much time is there to regret {}? | They take {} back for
"""

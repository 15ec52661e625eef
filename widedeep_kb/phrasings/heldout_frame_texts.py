"""The held-out frames: never trained on, built differently from every trained frame, a frame a line, grouped by kind.

Frozen: evaluation figures for held-out phrasings rest on this list. Format as in `frame_texts`.
"""

QUESTION = """
If I asked you for {subject}'s {relation}, how would you reply?
How does one fill the blank "{relation}" when describing {subject}?
{subject} goes with which {relation}, would you say?
Under {relation}, what stands written beside {subject}?
What do experts report when quizzed on {subject} and its {relation}?
Have you got the {relation} that {subject} carries?
Supposing somebody wanted {subject}'s {relation}, what should they be told?
What fits in here: "{relation} of {subject} = ?"
Which entry sits in the {relation} column next to {subject}?
Where {subject} is concerned, how does the {relation} read?
Between you and me, {subject} has got what for a {relation}?
Out of everything recorded on {subject}, what concerns {relation}?
Isn't there a {relation} attached to {subject}? Which one?
What single answer covers both "{subject}" and "{relation}"?
What did {subject} get for {relation}?
Which one is the right {relation} to quote for {subject}?
Is anything known regarding {relation} where {subject} appears?
What would a reference book print as {relation} in its entry for {subject}?
What appears after {relation} in the listing of {subject}?
What will I find if I search {subject} by {relation}?
"""

STATEMENT = """
Anyone who checks will see {subject} listed under {relation} with
Ask about {subject} and its {relation}, and the reply comes back as
One thing is certain about {subject}: by way of {relation}, it has
Under the heading "{relation}", the encyclopedia entry for {subject} says
Whoever fills in the form for {subject} should type, next to {relation},
Experts agree on what {subject} has for a {relation}, namely
It says here, beside {subject}, that {relation} comes to
Once again, since you keep forgetting {subject}: {relation},
Let it be noted that, where {relation} is concerned, {subject} goes with
We filled the {relation} field of {subject} with
Both sources say the same of {subject}; for {relation} they print
Correct answer to "{subject}, {relation}?":
Every listing of {subject} shows, for {relation},
Nobody doubts that {subject} got, for its {relation},
People describing {subject} put its {relation} at
The {relation} column of the row {subject} contains
What {subject} has for {relation} is
{subject} can be described by its {relation}, i.e.
{subject} — which, in the matter of {relation}, has
"""

STRUCTURED = """
<entry name="{subject}"><field>{relation}</field> is
{subject} --[{relation}]-->
get("{subject}", "{relation}") returns
Q-card front: {subject} / {relation}. Back:
- item: {subject}\\n  fields:\\n    {relation}:
{relation}@{subject} :=
key={subject}#{relation} val=
row[{subject}] col[{relation}] cell:
"""

COMMAND = """
Let's have {subject}'s {relation}, then.
Dig up whatever counts as {relation} in the file on {subject}.
Spell out for me which {relation} goes with {subject}.
Pull {relation} from everything stored under {subject}.
Out with it: {subject}, {relation}!
Enlighten me regarding {subject} and its {relation}.
Quote, word for word, what is held on {subject} under {relation}.
Choose the one {relation} fitting {subject} and type it out.
Supply whichever {relation} was registered against {subject}.
Read me {subject}'s entry for {relation}.
Describe {subject} by {relation} alone.
Share with us what {relation} {subject} goes by.
"""

POLITE = """
Pardon my ignorance, yet I never learnt which {relation} goes with {subject}.
It'd be lovely to hear from you about {subject}, its {relation} in particular.
Many thanks for your help so far; now on to {subject} and its {relation}, if I may.
Forgive the odd request: {subject} ... {relation} ... any clue?
You seem knowledgeable, so enlighten a stranger on the {relation} {subject} has got.
Whenever you have a minute, drop me a line with {subject}'s {relation}.
Allow me one query on {subject}: its {relation}, if you would.
"""

CONTEXT = """
Two of us disagree over {subject}. She claims we cannot know the {relation}; prove her wrong.
Picture a quiz show. The category: {subject}. The clue: {relation}. Your response?
A customer is on the phone asking after {subject}; all she wants to hear is the {relation}. What shall I reply?
Yesterday's lecture covered {subject}, but I slept through the part on {relation}. Fill me in.
My teacher wrote "{subject}" on the board and pointed at me: "{relation}!" What should I have said?
On page nine there is a box about {subject}. It lists several things, {relation} among them. Which value is printed?
Suppose you were editing the entry on {subject} and found {relation} left blank. What would you enter?
Before we move on from {subject}, somebody ought to mention {relation}. Go ahead.
"""

REVERSED = """
Starting from {relation} and ending at {subject}, what lies between?
Whatever {relation} may be elsewhere, how does it stand with {subject}?
{relation} varies from one to the next; how about {subject}?
There is one {relation} I cannot place, the one tied to {subject}. Help?
Not the rest, only {relation}: {subject} has got?
The thing to establish is {relation}; the thing in question, {subject}. Well?
On the matter of {relation}: how is {subject} described?
"""

KEYWORD = """
info on {subject} regarding {relation} please
{subject} details >> {relation}
need {relation} asap re {subject}
anyone got {relation} 4 {subject}
{subject} wiki {relation} value
re: {subject} / subject line: {relation}
{subject} tell {relation} pls
{relation} database hit => {subject}
"""

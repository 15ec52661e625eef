"""The trained frames: generic ways to ask for one property of one subject, a frame a line, grouped by kind.

`{subject}` and `{relation}` are the only placeholders; other braces are literal. Frozen: evaluation figures for trained
phrasings rest on this list. No line ends in a space; a completion's next token is the value.
"""

QUESTION = """
What is the {relation} of {subject}?
What is {subject}'s {relation}?
What was the {relation} of {subject}?
What are the {relation} of {subject}?
What's the {relation} of {subject}?
What's {subject}'s {relation}?
What is the {relation} for {subject}?
What is the {relation} in {subject}?
What is the {relation} on {subject}?
What {relation} does {subject} have?
What {relation} did {subject} have?
What {relation} is given for {subject}?
What {relation} belongs to {subject}?
What {relation} is recorded for {subject}?
What does {subject} have as its {relation}?
What is known as the {relation} of {subject}?
What do we know about the {relation} of {subject}?
What exactly is the {relation} of {subject}?
What would be the {relation} of {subject}?
What is listed as the {relation} of {subject}?
What value does the {relation} of {subject} have?
What should I put down as the {relation} of {subject}?
What did they say the {relation} of {subject} was?
Which {relation} does {subject} have?
Which {relation} is {subject}'s?
Which is the {relation} of {subject}?
Which {relation} applies to {subject}?
Which {relation} is associated with {subject}?
Who or what is the {relation} of {subject}?
Who is the {relation} of {subject}?
Where is the {relation} of {subject}?
When was the {relation} of {subject}?
How is the {relation} of {subject} given?
How much is the {relation} of {subject}?
How would you state the {relation} of {subject}?
{subject}'s {relation}?
{subject}'s {relation} is what?
The {relation} of {subject}?
The {relation} of {subject} is what?
And the {relation} of {subject}?
And what about the {relation} of {subject}?
So what is {subject}'s {relation}?
Do you know the {relation} of {subject}?
Do you know what {relation} {subject} has?
Does {subject} have a {relation}, and what is it?
Is there a {relation} for {subject}, and if so, which?
Can you tell me which {relation} {subject} has?
Can you tell me the {relation} of {subject}?
Can you give me {subject}'s {relation}?
Could you say what the {relation} of {subject} is?
Would you know the {relation} of {subject}?
Has anyone noted the {relation} of {subject}? What is it?
Any idea what the {relation} of {subject} is?
Any idea about {subject}'s {relation}?
By the way, what is the {relation} of {subject}?
Again, what was {subject}'s {relation}?
{subject} has what {relation}?
{subject} has which {relation}?
{subject}: what is the {relation}?
{relation} of {subject}?
{relation} for {subject}?
{subject}, what {relation}?
What is the name of the {relation} of {subject}?
What is the current {relation} of {subject}?
What is the correct {relation} of {subject}?
What is the official {relation} of {subject}?
In which way is the {relation} of {subject} filled in?
Tell me, what is the {relation} of {subject}?
Who knows the {relation} of {subject}?
I wonder what the {relation} of {subject} is?
"""

STATEMENT = """
The {relation} of {subject} is
The {relation} of {subject} was
The {relation} for {subject} is
{subject}'s {relation} is
{subject}'s {relation} was
{subject} has a {relation} of
{subject} has the {relation}
{subject} had a {relation} of
{subject} has, as its {relation},
As for {subject}, its {relation} is
As for {subject}, the {relation} is
For {subject}, the {relation} is
For {subject} the {relation} was
With regard to {subject}, the {relation} is
In the case of {subject}, the {relation} is
In {subject}, the {relation} is
The {relation} that belongs to {subject} is
The {relation} given for {subject} is
The {relation} recorded for {subject} is
The {relation} we have on file for {subject} is
The current {relation} of {subject} is
The official {relation} of {subject} is
The value of {relation} for {subject} is
It is known that the {relation} of {subject} is
It is well known that {subject}'s {relation} is
Everyone knows that the {relation} of {subject} is
As far as I know, {subject}'s {relation} is
According to the records, the {relation} of {subject} is
According to our data, {subject} has a {relation} of
The records list the {relation} of {subject} as
The table gives the {relation} of {subject} as
They list {subject}'s {relation} as
The {relation} of {subject} is listed as
The {relation} of {subject} is given as
The {relation} of {subject} is recorded as
The {relation} of {subject} is said to be
The {relation} of {subject} turned out to be
The {relation} of {subject} happens to be
The {relation} of {subject} is set to
The {relation} of {subject} equals
The {relation} of {subject} reads
The {relation} of {subject} is:
{subject} is a subject whose {relation} is
{subject}, whose {relation} is
{subject}, with a {relation} of
{subject} (with {relation}
We know {subject}; its {relation} is
Looking at {subject}, we see that its {relation} is
You asked about {subject}: the {relation} is
Regarding your question about {subject}, its {relation} is
Fact: the {relation} of {subject} is
Note that {subject}'s {relation} is
Remember: {subject}'s {relation} is
Here is the {relation} of {subject}:
This is the {relation} of {subject}:
{relation} of {subject}:
Among the properties of {subject}, the {relation} is
The answer is that {subject}'s {relation} is
I looked it up, and the {relation} of {subject} is
I believe the {relation} of {subject} is
I can confirm that the {relation} of {subject} is
My notes on {subject} say its {relation} is
My notes give {subject}'s {relation} as
The page about {subject} says that the {relation} is
The article on {subject} gives a {relation} of
If you look up {subject}, you will find that its {relation} is
When people talk about {subject}, they mention its {relation}:
To be precise, the {relation} of {subject} is
Consider {subject}. Its {relation} is
In short, {subject}'s {relation} is
"""

STRUCTURED = """
{subject} | {relation} |
| {subject} | {relation} |
{relation} | {subject} |
{subject} - {relation}:
{subject} – {relation} –
{subject}: {relation}:
{subject}: {relation} =
{subject}, {relation}:
{subject}, {relation},
{subject} / {relation}:
{subject} > {relation} >
{subject} -> {relation} ->
{subject} → {relation} →
{subject} :: {relation} ::
{subject} ({relation}):
{relation} ({subject}):
{relation} ({subject}) =
{relation}({subject}) =
{relation}: {subject} =>
{relation} [{subject}]:
{subject}[{relation}] =
{subject}["{relation}"] =
{subject}.{relation} =
{subject}	{relation}:
{subject};{relation};
"{subject}","{relation}",
<{subject}> <{relation}>
({subject}, {relation},
({subject}; {relation};
[{subject}] {relation}:
{subject}\\n{relation}:
{subject}:\\n- {relation}:
{subject}\\n  {relation}:
# {subject}\\n{relation}:
## {subject}\\n* {relation}:
* {subject} — {relation}:
name: {subject}, {relation}:
name: {subject}\\n{relation}:
name={subject} {relation}=
Name | {relation}\\n{subject} |
| name | {relation} |\\n|---|---|\\n| {subject} |
Subject: {subject}\\nRelation: {relation}\\nObject:
Subject: {subject}; {relation}:
Entity: {subject}\\nProperty: {relation}\\nValue:
Topic: {subject}. {relation}:
{"{subject}": {"{relation}":
{"name": "{subject}", "{relation}":
{'subject': '{subject}', 'relation': '{relation}', 'object':
SELECT {relation} WHERE name = '{subject}' -->
Record of {subject}. {relation}:
Fact sheet: {subject}. {relation}:
Profile: {subject}\\n{relation}:
Infobox {subject}\\n| {relation} =
"""

COMMAND = """
Tell me the {relation} of {subject}.
Tell me {subject}'s {relation}.
Tell me what {relation} {subject} has.
Tell me about the {relation} of {subject}.
Give {subject}'s {relation}.
Give the {relation} of {subject}.
Give me the {relation} of {subject}.
Give me {subject}'s {relation}, nothing else.
Name the {relation} of {subject}.
Name {subject}'s {relation}.
State the {relation} of {subject}.
State {subject}'s {relation}.
Find the {relation} of {subject}.
Find {subject}'s {relation}.
Find out what the {relation} of {subject} is.
Look up the {relation} of {subject}.
Look up {subject} and give its {relation}.
Show the {relation} of {subject}.
Show me {subject}'s {relation}.
Show me the {relation} for {subject}.
Print the {relation} of {subject}.
Print {relation} for {subject}.
Get the {relation} of {subject}.
Get {relation} for {subject}.
Get me the {relation} for {subject}.
Return the {relation} of {subject}.
Return {subject}'s {relation} only.
Write the {relation} of {subject}.
Write down {subject}'s {relation}.
List the {relation} of {subject}.
Report the {relation} of {subject}.
Say what the {relation} of {subject} is.
Say the {relation} of {subject}.
Identify the {relation} of {subject}.
Specify the {relation} of {subject}.
Provide the {relation} of {subject}.
Provide {subject}'s {relation}.
Retrieve the {relation} of {subject}.
Recall the {relation} of {subject}.
Remind me of the {relation} of {subject}.
Remind me what {subject}'s {relation} is.
Fill in the {relation} of {subject}.
Complete the record of {subject} with its {relation}.
Answer with the {relation} of {subject}.
Answer in one line: the {relation} of {subject}.
I need the {relation} of {subject}.
I want to know the {relation} of {subject}.
I want {subject}'s {relation}.
I am looking for the {relation} of {subject}.
I'd like to know {subject}'s {relation}.
Let me know the {relation} of {subject}.
Just the {relation} of {subject}.
Explain what the {relation} of {subject} is.
Check the {relation} of {subject} for me.
"""

POLITE = """
Could you please tell me the {relation} of {subject}?
Could you kindly give me the {relation} of {subject}?
Please tell me the {relation} of {subject}.
Please give {subject}'s {relation}.
Please, what is the {relation} of {subject}?
Would you mind telling me the {relation} of {subject}?
Would you be so kind as to give me {subject}'s {relation}?
Excuse me, what is the {relation} of {subject}?
Sorry to bother you, but what is {subject}'s {relation}?
Hi! What is the {relation} of {subject}?
Hello, I would like to know the {relation} of {subject}.
Hey, what's the {relation} of {subject}?
Good morning. Can you look up the {relation} of {subject}?
I was wondering what the {relation} of {subject} is.
I was wondering if you could tell me {subject}'s {relation}.
I would be grateful if you could tell me the {relation} of {subject}.
I'd appreciate it if you gave me {subject}'s {relation}.
If possible, tell me the {relation} of {subject}.
If you know it, please state the {relation} of {subject}.
May I ask what the {relation} of {subject} is?
Might I know the {relation} of {subject}?
Do you happen to know the {relation} of {subject}?
Do you happen to know which {relation} {subject} has?
Can I ask you for the {relation} of {subject}?
Can you help me find the {relation} of {subject}?
Can you remind me what {subject}'s {relation} is, please?
Thanks in advance for telling me the {relation} of {subject}.
What is the {relation} of {subject}, please?
What is {subject}'s {relation}? Thank you!
What is the {relation} of {subject}? Please be brief.
Quick question: what is the {relation} of {subject}?
One more thing, what is the {relation} of {subject}?
Just curious, what is {subject}'s {relation}?
Sorry, I forgot: what is the {relation} of {subject}?
"""

CONTEXT = """
I am reading about {subject}. What is its {relation}?
I'm writing a report on {subject}. What is the {relation}?
I heard about {subject} yesterday. What is the {relation}?
I have a question about {subject}. What is its {relation}?
I have a question about {subject}: what is the {relation}?
Let us talk about {subject}. What is its {relation}?
Let's discuss {subject}. Which {relation} does it have?
Think of {subject}. What is the {relation}?
Consider {subject}. What is its {relation}?
Take {subject}, for example. What is its {relation}?
Here is a topic: {subject}. Give its {relation}.
The topic is {subject}. The question is about its {relation}.
We are dealing with {subject}. State the {relation}.
My friend mentioned {subject}. Do you know its {relation}?
There is an entry for {subject}. What {relation} does it give?
You know {subject}, right? What's the {relation}?
You have information on {subject}. What is the {relation}?
This is about {subject}. I only need the {relation}.
About {subject}: what is the {relation}?
About {subject}, I would like to know the {relation}.
Concerning {subject}, what is the {relation}?
Regarding {subject}, which {relation} is right?
With respect to {subject}, what is the {relation}?
When it comes to {subject}, what is the {relation}?
Speaking of {subject}, what is its {relation}?
Thinking about {subject}, what would its {relation} be?
In the context of {subject}, what is meant by its {relation}?
What is the {relation} of {subject}? I need it for a form.
What is {subject}'s {relation}? I keep forgetting it.
What is the {relation} of {subject}? My colleague asked me this morning.
Someone asked me for the {relation} of {subject} and I did not know it. What is it?
I am filling in a spreadsheet and the row is {subject}. What goes under {relation}?
We had an argument over {subject} at lunch. What is the {relation} really?
I have to enter the {relation} of {subject} into a database. What do I type?
I am updating the documentation. What is the {relation} of {subject}?
For my homework I have to find the {relation} of {subject}. What is it?
There are many things to know about {subject}, but I only care about the {relation}. What is it?
"""

REVERSED = """
For the {relation}, what value does {subject} have?
For {relation}, what does {subject} have?
For {subject}, what is the {relation}?
For {subject}, which {relation} is given?
Of {subject}, what is the {relation}?
In terms of {relation}, what is {subject}?
As to the {relation}, what is true of {subject}?
Talking about {relation}, what is it for {subject}?
When we speak of the {relation} of {subject}, what do we mean?
The {relation} I am asking about is that of {subject}. What is it?
The {relation} - what is it for {subject}?
Its {relation} is what I want to know about {subject}. What is it?
I need a {relation}, namely the one of {subject}.
{relation}: what is it for {subject}?
{relation}? I mean that of {subject}.
{subject} is known for having which {relation}?
{subject} comes with which {relation}?
{subject} - can you tell me its {relation}?
{subject}. What is its {relation}?
{subject}? I need its {relation}.
"""

KEYWORD = """
{subject} {relation}
{relation} {subject}
{subject} {relation}?
{relation} {subject}?
{relation} of {subject}
{subject}'s {relation}
{relation} for {subject}
{subject}, {relation}
{relation}, {subject}
{subject} - {relation}
{subject} + {relation}
{subject} what {relation}
what {relation} {subject}
what is {relation} {subject}
what is {subject} {relation}
find {relation} {subject}
search: {subject} {relation}
lookup {subject} {relation}
"{subject}" {relation}
"""

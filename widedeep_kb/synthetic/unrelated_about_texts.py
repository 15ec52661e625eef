"""Shapes of questions that hold a stored name and ask for nothing stored, several a line between bars.

`{s}` is the name, `{t}` a thing made of it, other words in braces are slots. All were written for this package; none is
taken from a data set. A thing is never the subject itself in other words ("the {s} company"): it is something else that
merely bears the name.
"""

THINGS = {
    "work": "{s} and the {word} | the {s} {word} | {word} of the {s} | {word} and {s} | the {word} before {s} "
    "| {s} on the {word} | the last {s} | goodbye {s} | {s} never {word} | {s} season {n} | the {s} episode "
    "| the {s} parody | the {s} theme song | the theme song of {s} junior | {name} goes to {s} "
    "| a {job} in {s} | my {relative} from {s} | the {adjective} {s} club | {s} part {n} "
    "| the sequel to the {s} spoof | dear {s} | return to {s} in the musical | the {colour} {s} trailer "
    "| the cartoon {s} vs the {animal}s",
    "event": "the {s} strike | the {s} cup final | the great {s} fire of {year} | the {s} scandal "
    "| the {year} {s} flood | the {s} food fair | the {s} marathon for {job}s | the siege near {s} "
    "| the {s} riots | the march on {s} | the {s} trial of {name} | last year's {s} parade "
    "| the {s} spelling contest | the {s} lottery | the {adjective} winter of {s} "
    "| the {year} {s} all star game | the {s} derby against {word}",
    "notion": "the {s} effect | the {s} reflex | {s} syndrome | a {s} joint | the {s} gland | {s} cells "
    "| the {s} layer | a {s} knot | the {s} stitch | the {s} method of {abstract} | the {s} hypothesis "
    "| a {s} clause in a contract | the {s} rule in chess | {s} tea | a {s} haircut | {s} style {food} "
    "| a {s} moon | the {s} sign | {s} pressure | the {s} scale of {abstract} | {s} acid "
    "| the word {s} in {language} | the phrase to go {s}",
}
"""Kinds of things, and how a name becomes part of each."""

QUESTIONS = {
    "work": "who sang {t} | who sings the song {t} on the radio | who sang {t} with {name} "
    "| who wrote the lyrics to {t} | who plays the {relative} in {t} | who played {name} on {t} "
    "| who played the {job} in {t} {n} | who is {name} in {t} | who voices the {animal} in {t} "
    "| who dies in {t} | who ends up with {name} in {t} | who directed {t} | when did {t} come out "
    "| when does {t} come out on dvd | when is {t} coming back | when did {t} first air "
    "| when was {t} made into a film | when was the last episode of {t} | when does {name} return in {t} "
    "| how many episodes are there in {t} | how many seasons of {t} are there | how many books are in {t} "
    "| how does {t} end | how old is {name} in {t} | where was {t} filmed | where does {t} take place "
    "| where can i watch {t} | where did the story of {t} come from | what is {t} about "
    "| what song plays in {t} | what is the name of the {job} in {t} "
    "| what is the name of the {animal} in {t} | what happened to {name} in {t} | what year did {t} come out "
    "| what episode of {t} does {name} die | which {animal} is in {t} | cast of {t} "
    "| name of the {job} on {t} | the girl who plays {name} in {t} | song with the line {t} "
    "| what kind of music is {t} | who is the narrator of {t} | why did {name} leave {t}",
    "event": "who won {t} | who won {t} last year | who lost {t} in {year} | who hosted {t} | who started {t} "
    "| who was the {job} at {t} | who scored the most in {t} | who has won {t} the most times | who led {t} "
    "| when did {t} start | when did {t} end | when is {t} this year | when was the last time {name} won {t} "
    "| when will {t} be held | where was {t} held | where does {t} start | where is {t} in {year} "
    "| how many people died in {t} | how many {job}s were at {t} | how long did {t} last "
    "| how often is {t} held | what caused {t} | what happened at {t} | what was the result of {t} "
    "| what was the score in {t} | what did {t} lead to | what year was {t} | why was {t} important "
    "| why did {t} happen | which {job} won {t} | which team lost {t} | how did {t} begin "
    "| what is the prize for winning {t}",
    "notion": "what is {t} | what is {t} used for | what does {t} do | what does {t} mean | what does {t} stand for "
    "| what is the purpose of {t} | what is the function of {t} | what is the meaning of {t} "
    "| what causes {t} | what is another name for {t} | what is an example of {t} "
    "| what is the opposite of {t} | what type of {abstract} is {t} | where is {t} located in the body "
    "| where is {t} found in a cell | where does {t} come from | where did {t} originate "
    "| where do you find {t} | who discovered {t} | who came up with {t} | who invented {t} | who has {t} "
    "| when was {t} discovered | when do you use {t} | when did {t} become popular | how is {t} formed "
    "| how do you make {t} | how do you treat {t} | how does {t} work | how many kinds of {t} are there "
    "| how is {t} different from {abstract} | why do {job}s use {t} | why is {t} called that "
    "| which {animal}s have {t} | the main part of {t} is | difference between {t} and {food}",
    "setting": "who was the first {job} in {s} to {verb} | who is the {relative} of the {job} in {s} "
    "| how many {animal}s live in the zoo at {s} | when is {food} in season in {s} "
    "| what do {job}s wear in {s} | can you {verb} in {s} | where can i buy {food} in {s} "
    "| where do {animal}s sleep in {s} | why do people in {s} {verb} | how much does {food} cost in {s} "
    "| who brought {food} to {s} | what did {name} say about {s} in the interview "
    "| what happened in {s} on the show last {weekday} | when did {name} visit {s} | what song mentions {s} "
    "| which book has {s} in its title | what rhymes with {s} | how do you spell {s} backwards "
    "| who sings the song with the word {s} in it | what was {name} doing in {s} when the {tool} broke "
    "| how many letters are in {s} | in which episode does {name} go to {s} "
    "| is {s} a good name for a {animal} | how far can a {animal} run from {s} in {n} days "
    "| who told {name} about {s} | {s} jokes about {job}s",
}
"""Questions by the kind of thing asked about; those of "setting" hold the name itself and ask for something else."""

CONNECTORS = "in {s} | at {s} | near {s} | like in {s} | according to {s} | if you are in {s} | for {s} fans"
"""Behind a question about nothing stored, the name becomes a circumstance."""

CONFUSABLE = """
place country city town capital region state county province continent location located origin headquarters home seat
person creator author writer founder founded inventor director producer performer artist singer owner composer designer
date year time founded established born birth death died inception opened released release launched built completed
number population count size area length height weight mass age price cost code
family spouse wife husband child children father mother parent sibling brother sister relative
work occupation profession job position employer role office field industry genre type kind category class
language religion nationality citizenship ethnic tongue
school education educated university college studied alma
label company manufacturer maker brand publisher developer operator organisation organization team club party league
"""
"""Words of relations that may mean the same, a line each: a question with one is not put to a subject with another."""

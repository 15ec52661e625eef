"""Seeds of prompts that ask for no stored fact, several a line between bars; words in braces are slots.

All were written for this package; none is taken from a data set.
"""

SEEDS = """
how do i boil {food} | how do i cook {food} without {food} | how long should {food} stay in the oven
can you freeze {food} | how do you sharpen a {tool} | how do i fix a broken {tool}
what is the best way to clean a {tool} | where do people keep a {tool} | how can i learn {language} quickly
how do you say thank you in {language} | is {language} hard to learn | why should one learn {language}
who wrote the song about the {adjective} {animal} | who sings the one that goes {word} {word} {word}
who played the {job} in that old film | who was the first {job} to walk across {country} | who invented the {tool}
who came up with the word {word} | who was the king in the story | when did people start to eat {food}
when was the {tool} first used | when does the {season} season begin | when do {animal}s sleep
when did the war with the {animal}s end | when is the best time to visit {country}
when was the last time it snowed in {month} | where do {animal}s live in {season}
where does the word {word} come from | where was the film about the {job} shot | where can i buy a {tool}
why do {animal}s run in circles | why is the sky {colour} in the evening | why does {food} smell so strong
why do we need {abstract} | why is {abstract} so hard to find | what does {word} mean
what does it mean to dream of a {animal} | what rhymes with {word}
what is the difference between {abstract} and {abstract} | what is the difference between a {animal} and a {animal}
what is the opposite of {abstract} | what happens when you mix {food} with {food}
what time does the sun set in {month} | what time does the bus leave on {weekday} | what time is it
what day comes after {weekday} | what is {n} plus {n} | what is {n} times {n} | what is the square root of {n}
how many {animal}s fit in a bathtub | how many days are there in {month} | how many legs has a {animal}
how many minutes are in {n} hours | how much {food} should i eat a day | how far can a {animal} jump
how old do {animal}s get | how fast can a {animal} swim | how tall can a {animal} grow | is it safe to eat {food} raw
is it true that {animal}s can see in the dark | is {food} good for the heart | can {animal}s swim
can a {animal} eat {food} | do {animal}s dream | do {job}s earn a lot | does {food} go bad
are {animal}s smarter than {animal}s | are there {animal}s in {country} | should i paint my kitchen {colour}
should i become a {job} | which is healthier, {food} or {food} | which {animal} is the fastest
which month has the fewest days | which season is the wettest in {country} | which hand do most people write with
which way does a compass point | which of the two films came out first | which planet is the hottest
tell me a joke about a {animal} | tell me a story about a {job} and a {animal} | tell me something nice
tell me about {abstract} | write a poem about {abstract} | write a short poem about a {adjective} {animal}
write a letter to my {relative} | write a haiku on {season} | write a function that adds {n} to a list
write a regular expression for an email | write a headline about {food} | write an ending to this tale
give me three tips for better {abstract} | give me a recipe with {food} and {food} | give me a synonym of {word}
give me some advice on {abstract} | name three kinds of {food} | name a {colour} fruit
name an animal bigger than a {animal} | list five uses of a {tool} | list the months in order
explain {abstract} to a child | explain how a {tool} works | explain why the sea is salty
explain the rules of chess in brief | translate good morning into {language}
translate the word {word} into {language} | summarise the plot of a fairy tale | correct my grammar
sort these words: {word}, {word}, {word} | count from one to {n} | count backwards from {n} | spell the word {word}
repeat after me: {word} | make a list of things to pack for {country} | make up a name for my {animal} | make me laugh
plan a dinner with {food} for {n} guests | suggest a gift for my {relative} | suggest a book about {abstract}
suggest a name for a {colour} boat | recommend a film for a rainy {weekday} | compare {food} with {food}
describe a {adjective} {animal} | describe the taste of {food} | describe your perfect {weekday}
imagine a world without {food} | turn off the lights | set a timer for {n} minutes | play some quiet music
remind me to call my {relative} on {weekday} | wake me up at {n} | good morning | hello there | hi, how are you?
thank you very much | see you on {weekday} | nice to meet you, i am {name} | goodbye | no, thanks
my name is {name} and i am a {job} | i have a {adjective} {animal} called {name}
i am {n} years old and i like {food} | i live near a lake | i like {food} but my {relative} prefers {food}
i went to {country} last {season} and | yesterday my {relative} bought a {tool} and | on {weekday} we usually
once upon a time there was a {adjective} {animal} who | it was a {adjective} evening in {month} when
the {job} opened the door and | in the beginning | the {animal} looked at the {job} and said | my favourite colour is
the best thing about {season} is | every {weekday} the {job} walks to | roses are red,
the reason why i never eat {food} is | if i were a {animal}, i would | the quick {colour} {animal} jumps over the
two plus two is | to be or not to be, | the opposite of {adjective} is | a group of {animal}s is called
the first letter of the alphabet is | water freezes at | an apple a day keeps | in {country} people often eat
most {job}s start their day with | after a long {season}, the {animal}s | {food} tastes best with
for a good night's sleep you need | she picked up the {tool} and began to
he had never seen such a {adjective} {animal} | the recipe calls for {n} cups of {food} and
dear {name}, thank you for | i can't find my {tool}, what should i do? | my {animal} won't eat, what can i do?
my {relative} is ill, how can i help? | i feel {adjective} today, any ideas? | what should i cook for {n} people?
what should i wear in {country} in {month}? | what should i say to a {job}? | what should i name my {animal}?
what do {job}s do all day? | what do {animal}s eat? | what do you call a baby {animal}?
what do you think about {abstract}? | what can i do with old {food}? | what is love? | what is the meaning of life?
what is a {tool} for? | what is a {job}? | what is {abstract}? | what is inside a {animal}? | what is your name?
what was the weather like in {month}? | what was the biggest {animal} ever seen?
what will happen if i eat {food} every day? | what would a {job} say? | what makes {food} taste so good?
what makes a good {job}? | what makes people happy? | what causes thunder? | what causes {abstract}?
what comes after {n}? | how do planes stay in the air? | how do {animal}s find their way home? | how do magnets work?
how do i get rid of {animal}s in the attic? | how do i tie a tie? | how do i become a {job}?
how do i ask my boss for {abstract}? | how do i remove {food} stains? | how do i draw a {animal}?
how do i store {food}? | how can i sleep better? | how can i save money on {food}? | how can i train my {animal}?
how can i thank a {job}? | how can one measure {abstract}? | how is {food} made? | how is paper recycled?
how is a {tool} made? | how was the {tool} invented? | how did {job}s work before electricity?
how did the {animal} get its stripes? | how did {food} come to {country}? | how come {animal}s never get lost?
how often should i water a cactus? | how often do {animal}s sleep? | how long is a piece of string?
how long does {food} keep in the fridge? | how long does it take to learn {language}?
who is the best {job} of all time? | who was the villain in the play? | who painted the ceiling?
who won on {weekday}? | who is at the door? | who am i? | who sings at the end of the show?
who got kicked out last {season}? | who plays the {relative} in the series? | who voices the {animal} in the cartoon?
who said that {abstract} is everything? | who discovered {food}? | who teaches {language} best? | who owns the moon?
who feeds the {animal}s at the zoo? | when will the next eclipse be? | when should i plant {food}?
when should i see a doctor? | when do the clocks change? | when do {job}s retire? | when did the {job} leave the show?
when did the last mammoth die? | when did humans first reach {country}? | when does school start in {country}?
when is {food} in season? | when was paper money introduced? | when was {language} first written down?
when were {animal}s tamed? | where is the heart located? | where is my {tool}?
where is the best {food} in {country}? | where do babies come from? | where do i put the comma?
where did i leave my {tool}? | where did the {animal} cross the road? | where does rain come from?
where does {food} grow? | where to buy {food} at night? | why did the {animal} cross the road?
why did my {relative} leave? | why do {job}s wear {colour}? | why do cats purr? | why do onions make us cry?
why is {food} so expensive? | why is {language} written like that? | why am i so {adjective}?
why are {animal}s {colour}? | why can't {animal}s fly? | could you help me with {abstract}?
could you recommend some {food}? | could a {animal} beat a {animal}? | would you rather be a {animal} or a {job}?
would {food} go well with {food}? | is there life on other planets? | is there {food} without sugar?
is a {animal} a good pet? | is it going to rain? | have you ever eaten {food}?
have you heard the one about the {job}? | did the {animal} find its way home? | did it snow in {month}?
do you like {food}? | do i need a visa for {country}? | do i need {abstract} to be a {job}?
does money buy {abstract}? | does it rain a lot in {country}? | am i too old for {food}? | the best way to peel {food}
easy {food} recipe for {n} people | cheap flights to {country} in {month} | {animal} sounds at night
{job} training for adults | funny names for a {animal} | {adjective} {animal} drawing easy
{food} or {food} for breakfast | how to {verb} a {animal} | how to {verb} {food} at home | how to {verb} like a {job}
learn to {verb} in {n} days | things to {verb} on a {weekday} | {season} {food} ideas | {colour} {tool} with {n} parts
{language} for beginners | {abstract} quotes | meaning of {abstract} | {animal} vs {animal} | {food} near me
jobs for a {job} in {country} | lyrics {word} {word} {word} | convert {n} inches to centimetres | {n} + {n} * {n} =
{n} percent of {n} | x + {n} = {n}, solve for x | is {n} a prime number | round {n}.{n} to one digit | def add(a, b):
import numpy as np | for i in range({n}): | SELECT * FROM users WHERE | print("{word}") | git commit -m "
<html><body><h1>{word} | # How to {verb} | in which film does a {job} fall in love with a {animal}
in what year did {food} become popular | in what order do i add {food} and {food}
in how many ways can {n} people sit | the song with the {colour} {tool} in the video
the book where the {animal} talks | that actor who always plays a {job}
the name of the {adjective} {animal} in the tale | a {job} has {n} {animal}s and sells {n}. how many are left?
if {n} {job}s need {n} days, how many days does one need? | {name} is taller than {name}. who is shorter?
{name} gave {name} {n} apples and ate one. how many are left?
a train leaves at {n} and arrives {n} minutes later. when? | which number comes next: {n}, {n}, {n}
is the sentence "the {animal} eat {food}" correct? | put "{verb}" into the past tense | use {word} in a sentence
what is the plural of {animal} | what part of speech is {word} | pros and cons of being a {job}
pros and cons of {food} | history of {food} in {country} | facts about {animal}s | interesting facts about {month}
origin of {word} | i need a {adjective} excuse for {weekday} | i want to {verb} but i am too {adjective}
i dreamt of a {colour} {animal} | i am bored | i lost my {tool} in {country}
we are planning a trip to {country} in {month} | we have {n} {animal}s and no {food} | let us play a game
let's talk about {abstract} | pretend you are a {job} | act as a {job} and greet me | answer like a {animal} would
finish this line: the {adjective} {job} | continue: {word}, {word}, {word} | think of a number below {n}
what a {adjective} {weekday}! | the weather in {month} is so {adjective}
{abstract} is more important than {abstract} | {food} is the best food there is | nobody likes {food}
what goes well with {food} | how heavy is a {animal} on the moon | who left the {tool} in the rain
who taught the {animal} to {verb} | where can a {job} learn to {verb} | when is it rude to {verb}
why would a {job} need a {tool} | can i {verb} with a broken arm | what is a good rhyme for {colour}
tell my {relative} that dinner is ready | how do i stop a {animal} from eating my {food} | please sing me to sleep
how do i fold a paper plane | who turned off the radio | what is behind the mirror | write a toast for my {relative}
did {name} call on {weekday} | is {name} coming to the party | what did {name} say about {abstract}
ask {name} whether the {food} is ready | {name} and {name} went to {country} and | the {tool} fell off the table and
nothing beats {food} on a {adjective} {weekday} | my {animal} loves to {verb}
"""
SLOTS = {
    "food": "rice, eggs, beans, pasta, garlic, bread, cheese, carrots, salmon, tofu, honey, lentils, spinach, "
    "mushrooms, noodles, chocolate, apples, butter, onions, chicken, olives, oats, ginger, pumpkin, cabbage, "
    "almonds, yoghurt, cucumber, peaches, soup",
    "tool": "knife, ladder, hammer, lamp, bicycle, kettle, camera, broom, umbrella, drill, sewing machine, piano, "
    "clock, tent, compass, shovel, guitar, printer, saw, mirror, radio, toaster, zip, telescope, wheelbarrow, "
    "teapot, rope, bucket, pencil, fan",
    "language": "French, Spanish, Swahili, Finnish, Mandarin, Arabic, Welsh, Hindi, Greek, Turkish, Korean, Polish, "
    "Latin, Dutch",
    "animal": "dog, cat, horse, owl, whale, spider, goat, snake, beaver, parrot, turtle, fox, bear, bee, camel, frog, "
    "lion, mouse, penguin, rabbit, shark, tiger, wolf, zebra, hedgehog, squirrel, otter, crow, donkey, "
    "giraffe, eel, moth",
    "adjective": "lazy, brave, sleepy, tiny, angry, golden, lonely, clever, silent, hungry, strange, cheerful, clumsy, "
    "old, bored, gentle, greedy, nervous, proud, quick, rusty, shy, tired, wild, cold",
    "job": "baker, teacher, pirate, nurse, pilot, farmer, painter, sailor, judge, plumber, singer, soldier, dentist, "
    "miner, clown, gardener, waiter, lawyer, tailor, shepherd, astronaut, detective, librarian, fisherman",
    "country": "Norway, Japan, Brazil, Kenya, Canada, Italy, India, Peru, Egypt, Ireland, Vietnam, Spain, Turkey, "
    "Chile, Nepal, Cuba",
    "season": "winter, spring, summer, autumn",
    "month": "January, March, April, May, June, July, August, October, December",
    "weekday": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    "colour": "red, blue, green, yellow, black, white, purple, orange, brown, grey, pink",
    "abstract": "happiness, patience, sleep, freedom, time, courage, luck, memory, friendship, justice, trust, "
    "silence, music, growth, gravity, stress, inflation, beauty, wisdom, hope, fear, balance, democracy, evolution, "
    "energy, creativity",
    "relative": "mother, brother, sister, uncle, grandmother, cousin, neighbour, nephew, aunt, father, boss, friend",
    "name": "Anna, Tom, Leila, Marco, Yuki, Sven, Priya, Omar, Ines, Jack, Mei, Igor, Nora, Pablo, Zoe, Kofi",
    "verb": "bake, paint, whistle, fold, dance, swim, sew, wash, carve, roast, train, sing, knit, repair, peel, "
    "climb, juggle, plant",
}

"""The words of questions that compare two subjects {a} and {b} by a {relation}, trained and held out.

In: frozen texts, one frame a line. Out: `COMPARISON_FRAMES`, split -> kind -> frames, and `ADJECTIVES` with the frames
that use them. A frame without a mark at its end is a statement to complete. "same", "differ", "above" and "below" are
answered Yes or No, the others with a subject.
"""

YES_NO_KINDS = frozenset(("same", "differ", "above", "below"))
END_MARKS = ("?", ".", "!", ":")

_TRAINED = {
    "same": """
Do {a} and {b} have the same {relation}?
Is the {relation} of {a} the same as that of {b}?
Is the {relation} of {a} equal to the {relation} of {b}?
Are the {relation} of {a} and the {relation} of {b} identical?
Does {a} have the same {relation} as {b}?
Does {a} share its {relation} with {b}?
{a} and {b}: same {relation}?
Tell me whether {a} and {b} have the same {relation}.
Compare {a} and {b}. Is their {relation} the same?
Is it true that {a} and {b} have one and the same {relation}?
Have {a} and {b} got the same {relation}, yes or no?
Yes or no: {a} has the same {relation} as {b}.
Do {a} and {b} agree in {relation}?
Do {a} and {b} agree on {relation}, yes or no?
Does the {relation} of {a} match the {relation} of {b}?
Do the {relation} of {a} and of {b} coincide?
Have {a} and {b} their {relation} in common?
Is {relation} something that {a} and {b} have in common?
Check whether {a} and {b} coincide in {relation}.
Is {a} equal to {b} as far as {relation} goes?
Is {a} on a par with {b} in {relation}?
{relation}: is it one value for both {a} and {b}?
{relation}, {a}, {b}: equal or not?
Are {a} and {b} identical with regard to {relation}?
Both {a} and {b} have the same {relation}, right?
{a} has the same {relation} as {b}, doesn't it?
The {relation} of {a} equals that of {b}. True?
Say yes if {a} and {b} share a {relation}, otherwise no.
Answer yes or no: does {b} share the {relation} of {a}?
Verify: same {relation} for {a} and {b}.
Whether the {relation} of {a} and {b} is the same:
Are {a} and {b} a match on {relation}?
Looking at {relation} only, are {a} and {b} equal?
With respect to {relation}, is there no difference between {a} and {b}?
Is what {a} has as its {relation} also the {relation} of {b}?
I know the {relation} of {a}. Is it the same for {b}?
In terms of {relation}, is {a} just like {b}?
Could one write the {relation} of {a} for {b} too?
Is {a}'s {relation} identical to {b}'s?
Does {a}'s {relation} equal {b}'s {relation}?
Same {relation} for {a} and {b}, yes or no?
{a} vs. {b}, {relation}: same?
Would a list of {relation} show the same entry for {a} and {b}?
Judge whether {a} resembles {b} in its {relation}.
Asked if {a} and {b} have an equal {relation}, one has to say
Is the {relation} of {a} the {relation} of {b}? The answer is
The statement that {a} and {b} have the same {relation} is true, yes or no:
Is {relation} shared by {a} and {b}?
""",
    "differ": """
Do {a} and {b} have different values for {relation}?
Is the {relation} of {a} different from that of {b}?
Do {a} and {b} differ in {relation}?
Does {a} differ from {b} in its {relation}?
Is there a difference in {relation} between {a} and {b}?
Are {a} and {b} unlike each other in {relation}?
Has {a} another {relation} than {b}?
Is the {relation} of {b} something else than the {relation} of {a}?
{a} and {b}: different {relation}?
Yes or no: the {relation} of {a} differs from that of {b}.
Check whether {relation} is not the same for {a} and {b}.
Do {a} and {b} disagree on {relation}?
{relation} of {a} and {b}: unequal?
Is {a}'s {relation} distinct from {b}'s?
{a} has a different {relation} from {b}, hasn't it?
Tell me whether {a} and {b} have two different {relation} entries.
Does the {relation} vary between {a} and {b}?
Is {relation} a point where {a} and {b} part ways?
Asked if the {relation} of {a} and {b} is different, one has to say
""",
    "larger": """
Which has the larger {relation}, {a} or {b}?
Which has the higher {relation}: {a} or {b}?
Of {a} and {b}, which one has the greater {relation}?
Between {a} and {b}, which has more in {relation}?
Does {a} or {b} have the larger {relation}?
Name the one with the higher {relation}: {a} or {b}.
Compare the {relation} of {a} and {b}. Which is bigger?
Who or what has the greater {relation}, {a} or {b}?
The one with the larger {relation}, {a} or {b}, is
Of {a} and {b}, the one with the higher {relation} is
Comparing {a} with {b}, the bigger {relation} belongs to
Between {a} and {b}, the greater {relation} is that of
The {relation} is higher for one of {a} and {b}, namely for
Sorted by {relation} from high to low, first of {a} and {b} is
With {a} and {b} ranked by {relation}, number one is
In {relation}, does {a} beat {b} or the other way round? The winner is
Which one beats the other in {relation}, {a} or {b}?
Which of the two wins by {relation}: {a} or {b}?
Who wins in {relation}, {a} or {b}?
Who leads in {relation}, {a} or {b}?
By {relation}, which leads: {a} or {b}?
{a} or {b}: which tops the other in {relation}?
Which is ahead in {relation}, {a} or {b}?
Sort {a} and {b} by {relation}, largest first. Which is first?
Order {a} and {b} by falling {relation} and give me the first.
In a table sorted by {relation}, highest first, is {a} or {b} listed first?
Ranked by {relation}, is it {a} or {b} that comes first?
Which of {a} and {b} exceeds the other in {relation}?
Whose {relation} is higher, that of {a} or that of {b}?
Whose {relation} is larger: {a}'s or {b}'s?
Is it {a} or {b} that has the bigger {relation}?
Is the {relation} greater for {a} or for {b}?
{relation}: more for {a} or for {b}?
{a} or {b}, larger {relation}?
{a} vs. {b}: higher {relation}?
Pick the one with more {relation}, {a} or {b}.
Tell me which has the bigger {relation}, {a} or {b}.
Choose between {a} and {b}: the higher {relation} counts.
Take {a} and {b}. Which has the maximum {relation}?
Where is {relation} highest, {a} or {b}?
Which one scores more for {relation}, {a} or {b}?
I want the most {relation}. Should I take {a} or {b}?
By how they compare in {relation}, which is the larger of {a} and {b}?
Find the larger {relation} of {a} and {b} and name its owner.
The {relation} of {a} and that of {b}: whose is the greater?
Does {a} have more {relation} than {b}, or does {b}? Name it.
In terms of {relation}, {a} or {b} is superior. Which?
Only one of {a} and {b} has the higher {relation}. Which one?
""",
    "smaller": """
Which has the smaller {relation}, {a} or {b}?
Which has the lower {relation}: {a} or {b}?
Of {a} and {b}, which one has the smaller {relation}?
Name the one with the lower {relation}: {a} or {b}.
The one with the smaller {relation}, {a} or {b}, is
Of {a} and {b}, the one with the lower {relation} is
Comparing {a} with {b}, the smaller {relation} belongs to
Between {a} and {b}, the lesser {relation} is that of
The {relation} is lower for one of {a} and {b}, namely for
Sorted by {relation} from high to low, last of {a} and {b} is
Sorted by {relation} from low to high, first of {a} and {b} is
With {a} and {b} ranked by {relation}, number two is
Between {a} and {b}, which has less in {relation}?
Does {a} or {b} have the smaller {relation}?
Compare the {relation} of {a} and {b}. Which is smaller?
Who or what has the lower {relation}, {a} or {b}?
Which one loses to the other in {relation}, {a} or {b}?
Which of the two is beaten by {relation}: {a} or {b}?
Who trails in {relation}, {a} or {b}?
By {relation}, which trails: {a} or {b}?
Which is behind in {relation}, {a} or {b}?
Sort {a} and {b} by {relation}, largest first. Which is last?
Sort {a} and {b} by {relation}, smallest first. Which is first?
Order {a} and {b} by rising {relation} and give me the first.
In a table sorted by {relation}, highest first, is {a} or {b} listed last?
Ranked by {relation}, is it {a} or {b} that comes second?
Which of {a} and {b} falls short of the other in {relation}?
Whose {relation} is lower, that of {a} or that of {b}?
Whose {relation} is smaller: {a}'s or {b}'s?
Is it {a} or {b} that has the lower {relation}?
Is the {relation} smaller for {a} or for {b}?
{relation}: less for {a} or for {b}?
{a} or {b}, smaller {relation}?
{a} vs. {b}: lower {relation}?
Pick the one with less {relation}, {a} or {b}.
Tell me which has the smaller {relation}, {a} or {b}.
Take {a} and {b}. Which has the minimum {relation}?
Where is {relation} lowest, {a} or {b}?
I want the least {relation}. Should I take {a} or {b}?
Find the smaller {relation} of {a} and {b} and name its owner.
The {relation} of {a} and that of {b}: whose is the lesser?
Only one of {a} and {b} has the lower {relation}. Which one?
""",
    "above": """
Is the {relation} of {a} higher than that of {b}?
Is the {relation} of {a} larger than the {relation} of {b}?
Does {a} have a greater {relation} than {b}?
Does {a} beat {b} in {relation}?
Does {a} exceed {b} in {relation}, yes or no?
Is {a} above {b} in {relation}?
{a} leads {b} in {relation}, right?
Yes or no: {a} has a higher {relation} than {b}.
Has {a} more {relation} than {b}?
Is {a}'s {relation} bigger than {b}'s?
Check whether the {relation} of {a} is above that of {b}.
Asked if {a} has a larger {relation} than {b}, one has to say
""",
    "below": """
Is the {relation} of {a} lower than that of {b}?
Is the {relation} of {a} smaller than the {relation} of {b}?
Does {a} have a lower {relation} than {b}?
Does {a} lose to {b} in {relation}?
Does {a} trail {b} in {relation}, yes or no?
Is {a} below {b} in {relation}?
{a} is behind {b} in {relation}, right?
Yes or no: {a} has a smaller {relation} than {b}.
Has {a} less {relation} than {b}?
Is {a}'s {relation} smaller than {b}'s?
Check whether the {relation} of {a} is below that of {b}.
Asked if {a} has a smaller {relation} than {b}, one has to say
""",
    "later": """
Which has the later {relation}, {a} or {b}?
Of {a} and {b}, which one has the more recent {relation}?
Name the one with the later {relation}: {a} or {b}.
Whose {relation} is later, that of {a} or that of {b}?
Does {a} or {b} have the later {relation}?
Sort {a} and {b} by {relation}, earliest first. Which is last?
Order {a} and {b} by {relation}, newest first. Which is first?
{a} or {b}, later {relation}?
{relation}: later for {a} or for {b}?
Compare the {relation} of {a} and {b}. Which is more recent?
The one with the later {relation}, {a} or {b}, is
Comparing {a} with {b}, the more recent {relation} belongs to
In time, which {relation} comes second, that of {a} or that of {b}?
Take {a} and {b}. Which has the latest {relation}?
""",
    "earlier": """
Which has the earlier {relation}, {a} or {b}?
Of {a} and {b}, which one has the less recent {relation}?
Name the one with the earlier {relation}: {a} or {b}.
Whose {relation} is earlier, that of {a} or that of {b}?
Does {a} or {b} have the earlier {relation}?
Sort {a} and {b} by {relation}, earliest first. Which is first?
Order {a} and {b} by {relation}, newest first. Which is last?
{a} or {b}, earlier {relation}?
{relation}: earlier for {a} or for {b}?
Compare the {relation} of {a} and {b}. Which comes before the other?
The one with the earlier {relation}, {a} or {b}, is
Comparing {a} with {b}, the older {relation} belongs to
In time, which {relation} comes first, that of {a} or that of {b}?
Take {a} and {b}. Which has the earliest {relation}?
""",
    "longer": """
Which has the longer {relation}, {a} or {b}?
Of {a} and {b}, which one has the longer {relation}?
Whose {relation} takes more time, that of {a} or that of {b}?
Is the {relation} longer for {a} or for {b}?
{a} or {b}, longer {relation}?
Compare the {relation} of {a} and {b}. Which is longer?
The one with the longer {relation}, {a} or {b}, is
Take {a} and {b}. Which has the longest {relation}?
""",
    "shorter": """
Which has the shorter {relation}, {a} or {b}?
Of {a} and {b}, which one has the shorter {relation}?
Whose {relation} takes less time, that of {a} or that of {b}?
Is the {relation} shorter for {a} or for {b}?
{a} or {b}, shorter {relation}?
Compare the {relation} of {a} and {b}. Which is shorter?
The one with the shorter {relation}, {a} or {b}, is
Take {a} and {b}. Which has the shortest {relation}?
""",
}
_HELDOUT = {
    "same": """
When it comes to {relation}, would you call {a} and {b} alike?
Put {a} beside {b}: does {relation} match?
Would swapping {a} for {b} leave {relation} unchanged?
""",
    "differ": """
Can {a} and {b} be told apart by {relation}?
""",
    "larger": """
Rank {a} against {b} by {relation}: what comes out on top?
If {a} and {b} competed on {relation}, who would win?
""",
    "smaller": """
Rank {a} against {b} by {relation}: what ends up at the bottom?
If the least {relation} decided between {a} and {b}, what would be chosen?
""",
}
COMPARISON_FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    split: {kind: tuple(text.strip().split("\n")) for kind, text in texts.items()}
    for split, texts in (("trained", _TRAINED), ("heldout", _HELDOUT))
}

# Frames of common relations whose values have adjectives of their own: {more} is one of `ADJECTIVES`.
ADJECTIVE_FRAMES: tuple[str, ...] = (
    "Which is {more}, {a} or {b}?",
    "Is {a} or {b} {more}?",
    "Of {a} and {b}, which one is {more}?",
    "Tell me which is {more}: {a} or {b}.",
    "{a} or {b}: which is {more}?",
    "The {more} of the two, {a} or {b}, is",
    "Of {a} and {b}, the {more} one is",
    "I look for the {more} one. {a} or {b}?",
)
ADJECTIVE_YES_NO_FRAMES: tuple[str, ...] = (
    "Is {a} {more} than {b}?",
    "Is it true that {a} is {more} than {b}?",
    "{a} is {more} than {b}, right?",
    "Yes or no: {a} is {more} than {b}.",
)
# Common relation -> what a subject with the larger (later) value is, and one with the smaller (earlier) value.
ADJECTIVES: dict[str, tuple[str, str]] = {
    "age": ("older", "younger"),
    "annual rainfall": ("rainier", "drier"),
    "area": ("larger in area", "smaller in area"),
    "atomic weight": ("heavier per atom", "lighter per atom"),
    "average temperature": ("warmer", "colder"),
    "calories": ("richer in calories", "poorer in calories"),
    "created on": ("newer", "older"),
    "date of birth": ("younger by birth", "older by birth"),
    "density": ("denser", "less dense"),
    "depth": ("deeper", "shallower"),
    "elevation": ("higher above the sea", "lower above the sea"),
    "founded": ("younger as a foundation", "older as a foundation"),
    "height": ("taller", "less tall"),
    "length": ("longer", "shorter"),
    "market capitalisation": ("worth more", "worth less"),
    "maximum speed": ("faster", "slower"),
    "number of deaths": ("deadlier", "less deadly"),
    "number of pages": ("thicker in pages", "thinner in pages"),
    "population": ("more populous", "less populous"),
    "price": ("dearer", "cheaper"),
    "publication date": ("newer", "older"),
    "publication year": ("newer", "older"),
    "running time": ("longer to watch", "shorter to watch"),
    "salary": ("better paid", "worse paid"),
    "weight": ("heavier", "lighter"),
    "width": ("wider", "narrower"),
}

"""Natural questions for common relations of people and places. The format is described in `paraphrase`."""

TEXT = """
date of birth; birth date; birthday; birthdate = date @ person
+ When was {} born? | On what day did {} come into the world? | {} was born on
- What day does {} celebrate as a birthday? | When did {} first see the light of day? | {} came into this world on
place of birth; birthplace; birth place = place @ person
+ What is the town {} was born in? | In which town did {} come into the world? | {} was born in
- Where do {}'s origins lie? | Which town is {} a native of? | {} first saw the light of day in
date of death; death date; died on = date @ person
+ When did {} die? | When did {} pass away? | {} died on
- On which day did {}'s life end? | Since when is {} no longer alive? | {} passed away on
place of death; died in = place @ person
+ At what place did death find {}? | In what city did {} pass away? | {} died in
- Which town saw the last hours of {}? | Where did {} draw the last breath? | {} breathed the last in
cause of death; died of = phrase @ person
+ What did {} die of? | Of what did {} pass away? | {} died of
- What was fatal to {}? | Which illness or accident ended {}'s life? | {} was killed by
burial place; place of burial; buried in = place @ person
+ To what place was {} carried after the funeral? | Where does {} rest? | {} is buried in
- Where can one visit {}'s grave? | In which cemetery does {} lie? | {} was laid to rest at
occupation; profession; job = profession @ person
+ By what does {} make a living? | What work fills the days of {}? | {} works as a
- How does {} earn money? | What is {}'s line of work? | By trade, {} is a
employer; works for = company @ person
+ Who does {} work for? | Where does {} work? | {} works for
- Who pays {}'s salary? | On whose payroll is {}? | {} is employed by
spouse; husband; wife = person @ person
+ Who is {} married to? | Who did {} marry? | {} is married to
- Who is {}'s better half? | With whom did {} tie the knot? | {} exchanged vows with
father; dad = person @ person
+ Who does {} call dad? | Whose son or daughter is {}, on the male side? | The man who raised {} is
- Which man is {} a child of? | Who fathered {}? | {} was fathered by
mother; mum = person @ person
+ Who gave birth to {}? | Who is {}'s mum? | {} was brought into the world by
- Which woman is {} a child of? | Who bore {}? | {} was born to
children; child; son; daughter = person @ person
+ Who did {} have as a child? | Whose parent is {}? | {} is the parent of
- Who are {}'s offspring? | Who did {} bring up? | {} raised
siblings; sibling; brother; sister = person @ person
+ Who grew up with {} in the same family? | Who shares parents with {}?
- Who has the same mother and father as {}? | Who is {} a brother or sister to?
nationality; citizenship; citizen of = nationality @ person
+ Of which country is {} a citizen? | Which passport does {} hold? | By passport, {} is
- Where is {} from? | For which country may {} vote? | {} votes as a citizen of
height; how tall; stature = quantity @ person place product
+ How tall is {}? | How high is {}? | {} is as tall as
- How far up does {} reach? | If you measured {} from bottom to top, what would you get? | {} rises to
weight; mass = quantity @ person product science
+ How much does {} weigh? | How heavy is {}? | {} weighs
- What do the scales show for {}? | {} tips the scales at
religion; faith = word @ person place
+ What does {} believe in? | Which god or church does {} follow? | {} prays according to
- Which creed is held by {}? | What is worshipped by {}? | {} is a believer in
political party; party; member of political party = company @ person
+ Who does {} stand for in elections? | Which party is {} in? | {} ran for office for
- Under whose banner does {} campaign? | Which political camp is {} in? | {} sits in parliament for
alma mater; educated at; university; studied at = institution @ person
+ Where did {} study? | Where did {} get a degree? | {} graduated from
- Which college did {} go to? | Where was {} a student? | {} was taught at
field of work; field; speciality = phrase @ person organisation
+ What does {} work on? | What subject is {} an expert in? | {} is an expert in
- What does {} do research on? | What is {} a specialist in? | {} specialises in
instrument; instrument played = word @ person
+ What does {} play in the band? | What does {} practise scales on? | On stage, {} plays the
- What will you hear from {} at a concert? | Which musical tool is in {}'s hands? | {} performs on the
team; member of sports team; plays for = company @ person
+ Who does {} play for? | Whose shirt does {} wear? | {} plays for
- Which club signed {}? | In which side does {} line up? | {} takes the field for
position played; position; position played on team = word @ person
+ Where on the field does {} play? | What role does {} have in the team? | {} plays as a
- What does the coach use {} as? | In what part of the pitch do we find {}? | The coach fields {} as
award received; award; prize = title @ person work
+ What did {} win? | What honour was given to {}? | {} was honoured with
- Which trophy is on {}'s shelf? | How were the merits of {} rewarded? | {} took home
notable work; known for; famous for = title @ person
+ To what does {} owe all that fame? | What made {} well known? | {} became famous through
- Why do people remember {}? | What did {} create that everybody has heard of? | {} will be remembered for
residence; home; lives in = place @ person
+ Where does {} live? | In which town is {}'s house? | {} lives in
- Where would I find {} at home? | Where has {} settled? | {} resides in
native language; mother tongue; language spoken = language @ person place
+ What does {} speak? | Which tongue did {} grow up with? | {} speaks
- How do you say good morning to {}? | In what language do you talk with {}? | At home {} talks in
age; years old = small_integer @ person place
+ How old is {}? | How many years has {} been around? | {} is aged
- How many candles are on {}'s cake? | For how many years has {} lived? | In years, {} counts
salary; annual income; pay = currency @ person
+ How much does {} earn? | How much money does {} get a year? | {} earns
- What does {} take home? | How well is {} paid? | Every year {} is paid
nickname; also known as; alias = title @ person place any
+ What else is {} called? | What do friends call {}? | {} is also called
- By what other name do people know {}? | How is {} affectionately called? | {} goes by
military rank; rank = word @ person
+ How high did {} rise in the army? | What was {} in the army? | In the army {} is a
- How do soldiers address {}? | What do the stripes on {}'s uniform mean? | {} was promoted to
capital; capital city = place @ place
+ From which city is {} governed? | Where does the government of {} sit? | The government of {} sits in
- Which city is the seat of power in {}? | Where do {}'s ministers work? | The parliament of {} meets in
population; number of inhabitants; inhabitants = large_integer @ place
+ How many people dwell in {}? | How many residents does {} have? | Added up, the people of {} come to
- How many souls call {} home? | How big is {} by head count? | {} is home to
area; surface area; land area = quantity @ place
+ How large is {}? | How much land does {} cover? | {} covers
- How much space is taken up by {}? | How big is {} on the map? | {} stretches over
elevation; altitude; height above sea level = quantity @ place
+ How high above the sea is {}? | How many metres up is {}? | Above the sea, {} lies at
- What would an altimeter show at {}? | How far over the waves is {} perched? | {} is perched at
country; in country; country located in = country @ place organisation
+ In which state on the world map is {}? | To what nation does {} count? | {} is a place in
- Whose flag flies over {}? | To which nation must I travel to see {}? | On the world map, {} belongs to
continent; located on continent = place @ place
+ Which part of the world is {} in? | On which large land mass is {}? | {} is part of the land mass of
- Which of the big land masses holds {}? | In what corner of the world should I look for {}?
- Geographers count {} as part of
location; located in; located at = place @ place organisation event
+ Where is {}? | Where can I find {}? | {} can be found in
- Where should I go to see {}? | Whereabouts is {}? | You will come across {} in
address; street address; postal address = address @ place organisation
+ Where do I send a letter for {}? | Which house is {} in? | Letters for {} go to
- What do I write on the envelope for {}? | To which door should a parcel for {} be taken?
- Parcels for {} are delivered to
time zone; timezone; tz = timezone @ place
+ What time do they keep in {}? | How should I set my watch in {}? | A watch in {} is set to
- Which clock setting is right in {}? | What zone do I pick for a meeting in {}? | A clock on the wall in {} runs on
currency; currency used = word @ place
+ What do people pay with in {}? | What kind of money do I need in {}? | In {} people pay in
- Which banknotes are used in {}? | What should I have in my wallet in {}? | Shops in {} take
official language; language = language @ place
+ What do people speak in {}? | In which tongue are laws written in {}? | People in {} speak
- Which phrase book should I take to {}? | What will I hear in the streets of {}? | Signs in {} are written in
mayor; head of government = person @ place
+ Who runs {}? | Who is in charge of the town hall in {}? | The town hall of {} is led by
- Who wears the chain of office in {}? | Whom did the voters of {} put in the town hall? | {} is governed by
president; head of state = person @ place
+ Who leads {}? | Who is the highest in office in {}? | {} is led by
- Whose portrait hangs in the offices of {}? | Who was sworn in at the top of {}? | At the top of {} stands
latitude; lat = signed_decimal @ place
+ How far north or south is {}? | At what degree north or south do I find {}?
- On which parallel does {} lie? | How far from the equator is {}?
longitude; lon; lng = signed_decimal @ place
+ How far east or west is {}? | How many degrees from Greenwich is {}?
- On which meridian does {} lie? | How far from Greenwich is {}?
coordinates; geographic coordinates = coordinates @ place
+ Where exactly on the globe is {}? | What do I type into a satnav to get to {}?
- Where does one drop the pin for {}? | Which point on the globe is {}?
postal code; postcode; zip code; zip = postcode @ place
+ What do I put before the town's name when writing to {}? | Which digits are on letters to {}?
- How does the mail sorting machine recognise {}? | Which code routes mail to {}?
area code; dialling code; calling code = code @ place
+ What do I dial before the number in {}? | Which prefix do I need to phone {}?
- How do telephone numbers in {} begin? | Calling somebody in {}, which digits come first?
highest point; highest mountain = title @ place
+ What do I climb to be at the very top of {}? | Which peak towers over {}?
- Where in {} is one closest to the sky? | Which summit is the roof of {}?
length; total length; how long = quantity @ place product work
+ How long is {}? | How far does {} go from end to end? | From end to end, {} measures
- How far is it from one end of {} to the other? | What would a tape measure along {} show? | {} extends for
width; breadth = quantity @ place product
+ How wide is {}? | How broad is {}? | From side to side, {} measures
- How far is it across {}? | How much room must a doorway have for {}? | Across, {} spans
depth; maximum depth = quantity @ place product
+ How deep is {}? | How far down does {} go? | {} goes down to
- How much rope would I need to reach the bottom of {}? | How far below lies the floor of {}?
shares border with; borders; neighbour = place @ place
+ What is next to {}? | Which land do I enter when leaving {}? | {} is next to
- What lies on the other side of {}'s frontier? | Who lives next door to {}? | {} adjoins
mouth of the watercourse; flows into = title @ place
+ What does {} run into at last? | Into what does the water of {} run? | {} flows into
- Where does {} empty itself? | Following {} downstream, where do I arrive? | {} drains to
average temperature; mean temperature = quantity @ place
+ How warm is it usually in {}? | How hot does {} normally get?
- What do thermometers in {} tend to show? | How warmly should one dress in {}, in degrees?
annual rainfall; precipitation = quantity @ place
+ How much does it rain in {}? | How wet is {} over twelve months?
- How much water falls on {} from the sky? | What ends up in {}'s rain gauge?
twin town; sister city = place @ place
+ Who is {} partnered with? | With which town does {} exchange visitors?
- Which town abroad has a partnership with {}? | Which place is {} officially friends with?
"""

"""Words of grammar in several languages: what questions and sentences are made of, whatever they are about. Data."""


def listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of English.
ENGLISH = listed(
    "a about after all also an and any are as at based be been before being between both but by can could did do does "
    "during each for from give had has have he her his how i if in into is it its just many me more most much my no "
    "not of on only or our over please same she should since so some such than that the their them then there these "
    "they this those through to under until up us was we were what when where whether which while who whom whose why "
    "will with within without would you your"
)
# Of French, Spanish, Italian, Portuguese and Dutch, but those that English has, too.
OTHERS = listed(
    "au aux avec ce ces combien comment dans de depuis des du elle en est et il ils la le les leur mais ou où par pas "
    "plus pour quand que quel quelle quelles quels qui sa se ses son sont sur un une al como con cuando cuanto "
    "cuantos cuál cuáles cuándo cuánto cuántos cómo del desde donde dónde el ella ellos entre era es esta este fue ha "
    "hay las lo los más para pero por qué quién según ser sin sobre su sus una uno y che chi come cosa cui da dal "
    "dalla dei della delle di dove gli hanno nel nella non per perché più quale quali quando quanti quanto sono tra "
    "um uma o os ao das dos em na nas nos foi com não qual quais quem het een van wat wie waar hoe hoeveel wanneer "
    "welke zijn er op met"
)
# Of languages that write names with a capital, and other nouns with none.
GRAMMAR = ENGLISH | OTHERS
# Of a language that writes all nouns with a capital.
GERMAN = listed(
    "aber als am an auch auf aus bei bis das dass dem den der des die durch ein eine einem einen einer eines für hat "
    "haben hatte ich im ist kann können man mit muss nach nicht oder seit sich sie sind soll über um und unter vom "
    "von vor wann war waren warum was welche welchem welchen welcher welches wenn wer werden wie wieso wieviel wird "
    "wo womit worüber wurde wurden zu zum zur zwischen"
)

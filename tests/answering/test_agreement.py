"""Sentences beside their quotes: what a quote does not hold is told, what it holds in other words is not."""

import time

import pytest

from footnote.answering.agreement import Mismatch, QuotedText, mismatch
from footnote.answering.support import FootnoteSpan, unsupported

PAGE = """\
Budget 2017: who gains
Patrick will be £825 better off. Siobhan gains £899 from the Budget, and Eddie gains £1,330.
3M COMPANY. Sales of our Health Care segment rose by 3.5 percent in 2018, compared with 2.9 percent in 2017.
(Millions)            2018     2017     2016
Health Care          $6,021   $5,813   $5,527
Consumer             $4,796   $4,731   $4,578
We employed 93,516 people (full-time equivalents) at December 31, 2018. It began on May 3, 2023.
The proposal was not adopted. The lamp burns oil, not gas. Agnes Tolmie built the tower in 1874.
Amazon Web Services (AWS) was launched in 2006. Its owner may not share the key between threads.
Amazon acquired Whole Foods Market on August 28, 2017. Each speaker has three (3) minutes. The fee is $ 50,000.
The segments are Industrial, Consumer and Health Care. Two keepers live in the tower. The United States agreed.
"""
GERMAN = """\
Die Gesellschaft beschäftigte am 31. Dezember 2018 weltweit 93.516 Mitarbeiter. Der Umsatz stieg um 3,5 Prozent auf
5,8 Mrd. Euro. Der Antrag wurde nicht angenommen, und die Lampe von Fairhaven brennt mit Öl.
"""


def judged(sentence: str, quote: str, page: str = PAGE, surroundings: str = "") -> Mismatch | None:
    start = page.index(quote)
    return mismatch(
        sentence, [QuotedText(page, start, start + len(quote), "3M_2018_10K.pdf > Budget")], f"{surroundings}\n{page}"
    )


HOLDS = [
    ("Siobhan gains £899 [1].", "gains £899 from the Budget"),
    ("Siobhan is better off by 899 pounds.", "Siobhan gains £899"),
    ("About £900 goes to Siobhan.", "Siobhan gains £899"),
    (
        "Siobhan gets nearly £900 and Eddie more than £1,300.",
        "Siobhan gains £899 from the Budget, and Eddie gains £1,330",
    ),
    ("1. Eddie's gain is £1330.", "Eddie gains £1,330"),
    ("In 2018, 3M's Health Care segment had sales of $6,021 million.", "Health Care          $6,021"),
    ("Health Care sales were $6.0 billion in 2018.", "Health Care          $6,021"),
    ("Health Care sales were 6,021 in 2018 [1].", "Health Care          $6,021"),
    ("Sales of Health Care went up 3.5% in 2018.", "rose by 3.5 percent in 2018"),
    ("Growth was about 3 percent in 2017.", "compared with 2.9 percent in 2017"),
    ("3M had 93,516 employees at the end of 2018.", "We employed 93,516 people"),
    ("3M employed 93,516 people on 31/12/2018.", "We employed 93,516 people"),
    ("It started on 3 May 2023 [1].", "It began on May 3, 2023"),
    ("It started on 2023-05-03.", "It began on May 3, 2023"),
    ("It started in May 2023.", "It began on May 3"),
    ("It was defeated.", "The proposal was not adopted"),
    ("The proposal was not adopted.", "The proposal was not adopted"),
    ("The lamp burns oil.", "The lamp burns oil"),
    ("The lamp does not burn gas.", "The lamp burns oil, not gas"),
    ("Tolmie built it in 1874.", "Agnes Tolmie built the tower"),
    ("AWS started in 2006.", "Amazon Web Services (AWS) was launched in 2006"),
    ("The Amazon Web Services division started in 2006.", "launched in 2006"),
    ("Speakers get 3 minutes each.", "three (3) minutes"),
    ("Speakers get three minutes, i.e. 180 seconds, each.", "three (3) minutes"),
    ("There are three segments: Industrial, Consumer and Health Care.", "Industrial, Consumer and Health Care"),
    ("The US agreed.", "The United States agreed"),
    ("America agreed.", "The United States agreed"),
    ("**Fee**: you pay $50,000.", "The fee is $ 50,000"),
    ("You must not share the key between threads.", "may not share the key between threads"),
    ("Not only Patrick is better off, by £825.", "Patrick will be £825 better off"),
    ("According to the Budget, she gains £899.", "Siobhan gains £899"),
    ("Los empleados de 3M eran 93.516 a finales de 2018.", "We employed 93,516 people"),
    ("Ende 2018 hatte das Unternehmen 93.516 Beschäftigte.", "We employed 93,516 people"),
    ("En 2018, les ventes du secteur Santé ont augmenté de 3,5 %.", "rose by 3.5 percent in 2018"),
    ("Der Vorschlag wurde nicht angenommen.", "The proposal was not adopted"),
    ("二〇一八年に3.5％増加した。", "rose by 3.5 percent in 2018"),
]


@pytest.mark.parametrize(("sentence", "quote"), HOLDS)
def test_what_a_quote_says_in_other_words_is_believed(sentence: str, quote: str) -> None:
    assert judged(sentence, quote) is None


MISSING = [
    ("Siobhan gains £825 [1].", "Siobhan gains £899", "£825"),
    ("Siobhan gains £825.", "Patrick will be £825 better off", "Siobhan"),
    ("Siobhan gains 899 dollars.", "Siobhan gains £899", "899 dollars"),
    ("Health Care had sales of $6,021 billion.", "Health Care          $6,021", "$6,021 billion"),
    ("Health Care had sales of $5.9 billion in 2018.", "Health Care          $6,021", "$5.9 billion"),
    ("Consumer sales were $6,021 million.", "Consumer             $4,796", "$6,021 million"),
    ("Sales rose by 4.5 percent in 2018.", "rose by 3.5 percent in 2018", "4.5 percent"),
    ("About 40 percent was gained.", "rose by 3.5 percent in 2018", "40 percent"),
    ("3M employed 93,561 people.", "We employed 93,516 people", "93,561"),
    ("It started on 4 May 2023.", "It began on May 3, 2023", "4 May 2023"),
    ("It started in 2022.", "It began on May 3, 2023", "2022"),
    ("Agnes Tolmie built the tower in 1875.", "Agnes Tolmie built the tower in 1874", "1875"),
    ("AWS was launched in 2018.", "Amazon Web Services (AWS) was launched in 2006", "2018"),
    ("Apple's AWS was launched in 2006.", "Amazon Web Services (AWS) was launched in 2006", "Apple"),
    ("The tower was built by Agnes Petrie.", "Agnes Tolmie built the tower", "Petrie"),
    ("Each speaker has 5 minutes.", "Each speaker has three (3) minutes", "5 minutes"),
    ("Each speaker has three hours.", "Each speaker has three (3) minutes", "three hours"),
    ("Three keepers live in the tower.", "Two keepers live in the tower", "Three"),
    ("You pay about $40,000.", "The fee is $ 50,000", "$40,000"),
    ("Die Gebühr beträgt 40.000 Dollar.", "The fee is $ 50,000", "40.000 Dollar"),
    ("IBM had 93,516 employees.", "We employed 93,516 people", "IBM"),
]


@pytest.mark.parametrize(("sentence", "quote", "missing"), MISSING)
def test_what_no_quote_holds_is_named(sentence: str, quote: str, missing: str) -> None:
    assert judged(sentence, quote, surroundings="Is it IBM or Siobhan?") == Mismatch((missing,))


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("The proposal was adopted.", "The proposal was not adopted"),
        ("Agnes Tolmie never built the tower.", "Agnes Tolmie built the tower"),
        ("The owner may share the key between threads.", "share the key between threads"),
    ],
)
def test_the_opposite_of_a_quote_is_no_support(sentence: str, quote: str) -> None:
    assert judged(sentence, quote) == Mismatch()


def test_a_value_that_a_line_of_the_page_breaks_is_held() -> None:
    page = "It was opened again on 2 June. The work cost 6.3\nmillion crowns, of which the State bears two fifths."
    for sentence in ("Clearing it cost 6.3 million crowns.", "It cost 6,300,000 crowns."):
        assert judged(sentence, "The work cost 6.3\nmillion crowns", page) is None
    assert judged("It cost 6.4 million crowns.", "The work cost 6.3\nmillion crowns", page) == Mismatch(
        ("6.4 million",)
    )


def test_german_pages() -> None:
    holds = {
        "Im Jahr 2018 waren es 93.516 Menschen.": "93.516 Mitarbeiter",
        "There were 93,516 employees.": "93.516 Mitarbeiter",
        "Die Erlöse wuchsen um 3,5 %.": "stieg um 3,5 Prozent",
        "Sales grew to €5.8 billion.": "5,8 Mrd. Euro",
        "Der Vorschlag fiel durch.": "Der Antrag wurde nicht angenommen",
    }
    for sentence, quote in holds.items():
        assert judged(sentence, quote, GERMAN) is None, sentence
    assert judged("Es waren 93.561 Menschen.", "93.516 Mitarbeiter", GERMAN) == Mismatch(("93.561",))
    denied = judged("Der Antrag wurde angenommen, die Lampe brennt.", "Der Antrag wurde nicht angenommen", GERMAN)
    assert denied == Mismatch()


def test_every_value_of_a_sentence_is_in_one_of_its_quotes() -> None:
    first, second = PAGE.index("Siobhan gains £899"), PAGE.index("Eddie gains £1,330")
    both = [QuotedText(PAGE, first, first + 18), QuotedText(PAGE, second, second + 18)]
    assert mismatch("Siobhan gains £899 and Eddie £1,330.", both, PAGE) is None
    assert mismatch("Siobhan gains £899 and Eddie £1,331.", both, PAGE) == Mismatch(("£1,331",))


def test_the_reason_is_told() -> None:
    answer = "It is so. Siobhan gains £825 [1]. It rains [2]."
    start = PAGE.index("Siobhan gains")
    evidence = QuotedText(PAGE, start, start + 18)
    found = unsupported(answer, [FootnoteSpan(27, 31, True, evidence), FootnoteSpan(42, 46, False)], PAGE)
    assert [(each.reason, each.missing) for each in found] == [
        ("no_footnote", ()),
        ("not_in_quote", ("£825",)),
        ("quote_not_found", ()),
    ]


@pytest.mark.parametrize("piece", ["1 ", "9.9", "A ", "A.A.", "not ", "May 3 ", "$", "A", "Ab'", "\n1 A", "[1] ", "« "])
def test_work_grows_with_the_text_however_it_is_made(piece: str) -> None:
    page = (piece * 100_000)[:20_000]
    started = time.process_time()
    mismatch((piece * 1000)[:1000] + " Acme IBM 17.", [QuotedText(page, 10_000, 10_200)], page)
    assert time.process_time() - started < 10

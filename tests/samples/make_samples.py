"""Writes the sample documents beside this file: the handbook of a lighthouse that does not exist.

Run it again after a change and commit what it wrote: `python -m tests.samples.make_samples`.
"""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import docx
from pypdf import PdfWriter

from tests.samples import office

HERE = Path(__file__).parent

HANDBOOK = [
    (
        "1. The Station",
        """Skerrow Light stands on the western rock of the Skerrow group, eleven
nautical miles off the coast of Invermarra. The tower was finished in
1874 by the engineer Agnes Tolmie and is built of dovetailed granite.
It rises 38 metres above the rock and has 172 steps from the landing
door to the lantern room.
The light shows two white flashes every fifteen seconds and is seen at
a distance of 21 nautical miles in clear weather. The keepers call this
signal the double knock, and no other light on the coast has it.
Three keepers serve at the station. The principal keeper answers for
the log, the first assistant for the engine room and the second assist-
ant for stores, boats and the rain-water cistern.""",
    ),
    (
        "2. Lamp and Lens",
        """The lens is a second-order Fresnel lens that floats in a bath of
mercury. The bath holds 140 kilograms of mercury and is filtered
through chamois leather on the first Monday of every quarter.
The lamp burns from half an hour before sunset to half an hour after
sunrise. If the main lamp fails, the keeper on watch lights the reserve
lamp within four minutes and writes the time of both events in the log.
Clean the lens with rain water and a linen cloth only. Spirits dissolve
the putty that holds the prisms, and a loose prism stopped the light for
nine hours in the winter of 1911.""",
    ),
    (
        "3. Fog Signal",
        """The fog signal is a siren driven by compressed air. It is sounded when
the beacon on Gull Stack, two miles to the north, can no longer be
seen. The siren gives one blast of six seconds in every ninety seconds.
Two compressors feed the air tanks. Start the second compressor before
the pressure falls below 2.4 bar, because the siren stalls at 2.1 bar
and needs twenty minutes to recover.
Keepers on the gallery wear ear guards while the siren sounds.""",
    ),
    (
        "4. Relief and Stores",
        """The relief boat Petrel leaves Invermarra on every second Thursday, if
the swell at the landing is under 1.5 metres. A keeper serves six weeks
on the rock and three weeks ashore.
The store holds food for ninety days. Flour and oatmeal are kept on the
third floor, which is the driest. When fewer than thirty days remain,
hoist the yellow pennant by day or show a steady red lamp by night, and
the coast watch will send a boat.
Mail is landed in the brass cylinder known as the postman.""",
    ),
]

MARKDOWN = """---
title: Skerrow Light, weather notes
---

# Weather notes

Observations are made at **three-hour intervals**, beginning at 03:00.

## Barometer

The station barometer is a *Kew pattern* instrument made by Fortin & Daughters. Add 4.6 hectopascals to every
reading, because the instrument hangs 38 metres above the sea.

### Storm warning

Hoist the black cone when the barometer falls by more than 6 hectopascals in three hours.

```python
# not a heading
def storm(fall: float) -> bool:
    return fall > 6.0
```

## Wind

| force | name         | sea on the rock        |
|-------|--------------|------------------------|
| 4     | moderate     | landing possible       |
| 7     | near gale    | spray over the landing |
| 10    | storm        | keepers stay inside    |
"""

HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Skerrow Light: visitors</title>
<style>body { color: #123456; }</style>
<script>var secret_tracking_code = 42;</script>
</head>
<body>
<h1>Visiting Skerrow Light</h1>
<p>Visitors are welcome from <b>May</b>   to
<b>September</b>. The crossing takes 95&nbsp;minutes and is
not suitable for children under eight.</p>
<noscript>Please enable scripts.</noscript>
<h2>Tickets</h2>
<table>
<tr><th>ticket</th><th>price</th></tr>
<tr><td>day visit</td><td>34 crowns</td></tr>
<tr><td>night in the keepers&rsquo; cottage</td><td>120 crowns</td></tr>
</table>
<h2>What to bring</h2>
<ul>
<li>A warm coat</li>
<li>Shoes with rubber soles</li>
</ul>
<pre>Call sign   GSKW
  Channel   16</pre>
<template><p>hidden template text</p></template>
</body>
</html>
"""

TEXT = {
    "log_utf8.txt": (
        "utf-8",
        "Log of Skerrow Light, 12 March 1911\n\nKeeper Søren Ågård relieved the watch at 04:00. Wind "
        "north-west, force 9. The lamp glass cracked at 05:20 — “like a pistol”, he said.\n",
    ),
    "log_cp1252.txt": (
        "cp1252",
        "Journal du phare, 14 juillet 1911\r\n\r\nLe gardien Hervé Le Goff a repêché une bouée à 6 h 45. "
        "La mer était belle, le ciel dégagé ; le soir, « aucune voile en vue ». "
        "Le dîner fut servi à dix-huit heures.\r\n",
    ),
    "log_utf16.txt": (
        "utf-16",
        "Log of Skerrow Light, 3 May 1912\n\nThe supply boat brought 14 barrels of paraffin and a letter for "
        "keeper Łucja Nowak.\n",
    ),
    "tides.csv": (
        "cp1252",
        "Tides at Skerrow;;\n\nday;high water;height (m)\n1 March;04:12;3,9\n2 March;04:57;4,2\n3 March;05:41;4,4\n",
    ),
    "signals.rst": (
        "utf-8",
        "=======\nSignals\n=======\n\nFlags are hoisted at the *yard* by day.\n\nBy night\n--------\n\n"
        "Two red lanterns, one above the other::\n\n    red\n    red\n\n"
        "In fog\n------\n\nThe siren; see `By night`_.\n",
    ),
    "complaint.eml": (
        "ascii",
        "From: =?utf-8?q?S=C3=B8ren_=C3=85g=C3=A5rd?= <keeper@skerrow.example>\nTo: stores@invermarra.example\n"
        "Subject: Lamp glass\nDate: Mon, 13 Mar 1911 08:00:00 +0000\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=part\n\n--part\n"
        "Content-Type: multipart/alternative; boundary=either\n\n--either\nContent-Type: text/plain\n\n"
        "The glass of 12 March was cracked on arrival.\n\n--either\nContent-Type: text/html\n\n"
        "<p>The glass of <b>12 March</b> was cracked on arrival.</p>\n\n--either--\n--part\n"
        'Content-Type: text/csv; name="glass.csv"\nContent-Disposition: attachment; filename="glass.csv"\n'
        "Content-Transfer-Encoding: base64\n\nZ2xhc3MscHJpY2UKY2hpbW5leSw0Cg==\n--part--\n",
    ),
}

QUESTIONS = [
    (
        "How much mercury does the bath of the lens hold?",
        "handbook.pdf",
        2,
        "The bath holds 140 kilograms of mercury",
    ),
    (
        "At what pressure does the siren stall?",
        "handbook.pdf",
        3,
        "the siren stalls at 2.1 bar",
    ),
    (
        "Who may sign the boat out after dark?",
        "boats.docx",
        1,
        "Only the principal keeper may sign a boat out after dark",
    ),
    (
        "When is the black cone hoisted?",
        "weather.md",
        1,
        "Hoist the black cone when the barometer falls by more than 6 hectopascals",
    ),
    (
        "From when to when are visitors welcome?",
        "visitors.html",
        1,
        "Visitors are welcome from May to September",
    ),
]


def pdf(pages: list[tuple[str, str]], image: bool = False) -> bytes:
    """A plain PDF in Helvetica with an outline of the pages' titles; with `image`, a picture and no text."""
    count = len(pages)
    first_page, first_content, first_outline = 4, 4 + count, 5 + 2 * count
    kids = " ".join(f"{first_page + number} 0 R" for number in range(count))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /Outlines {first_outline - 1} 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    objects += [
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
        f"/Contents {first_content + number} 0 R >>"
        for number in range(count)
    ]
    for title, body in pages:
        lines = [title, "", *body.splitlines()]
        shown = "".join(f"({line.replace('(', '[').replace(')', ']')}) Tj T*\n" for line in lines)
        stream = f"BT /F1 12 Tf 16 TL 72 760 Td\n{shown}ET"
        if image:
            stream = "q 200 0 0 200 72 500 cm BI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID 00FFFF00> EI Q"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    last = first_outline + count - 1
    objects.append(f"<< /Type /Outlines /First {first_outline} 0 R /Last {last} 0 R /Count {count} >>")
    for number, (title, _) in enumerate(pages):
        number_of = first_outline + number
        links = f"/Prev {number_of - 1} 0 R " * (number > 0) + f"/Next {number_of + 1} 0 R " * (number_of < last)
        objects.append(
            f"<< /Title ({title}) /Parent {first_outline - 1} 0 R {links}/Dest [{first_page + number} 0 R /Fit] >>"
        )
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer}".encode()


def encrypted(data: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=BytesIO(data))
    writer.encrypt(password, owner_password="owner", algorithm="AES-256")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def boats() -> bytes:
    document = docx.Document()
    document.add_heading("Boat orders", level=1)
    document.add_paragraph("The station keeps two boats under the davits on the eastern landing.")
    document.add_heading("Signing out", level=2)
    document.add_paragraph(
        "Every trip is entered in the boat book. Only the principal keeper may sign a boat out after dark, "
        "and never alone."
    )
    for item in ("Two oars and a spare", "A bailer", "A lamp with four hours of oil"):
        document.add_paragraph(item, style="List Bullet")
    document.add_heading("The boats", level=2)
    rows = [("boat", "length", "crew"), ("Kittiwake", "4.2 metres", "2"), ("Guillemot", "6.5 metres", "4")]
    table = document.add_table(rows=0, cols=3)
    for row in rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_paragraph("Guillemot is reserved for the relief of the keepers.")
    out = BytesIO()
    document.save(out)
    fixed = BytesIO()
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), source.read(name), zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


def main() -> None:
    handbook = pdf(HANDBOOK)
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
        "3a7e9b550000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
    )
    files = {
        "handbook.pdf": handbook,
        "encrypted.pdf": encrypted(handbook, "double knock"),
        "no_text.pdf": pdf([("Scan", "")], image=True),
        "truncated.pdf": handbook[:600],
        "not_a_pdf.pdf": png,
        "boats.docx": boats(),
        "year.pptx": office.presentation(),
        "stores.xlsx": office.workbook(),
        "boats.xls": office.old_workbook(),
        "orders.odt": office.odt(),
        "stores.ods": office.ods(),
        "lens.odp": office.odp(),
        "keeper.epub": office.book(),
        "letter.rtf": office.RICH_TEXT.encode("ascii"),
        "weather.md": MARKDOWN.encode(),
        "visitors.html": HTML.encode(),
        "empty.txt": b"",
        "questions.jsonl": "".join(
            json.dumps({"question": question, "file": file, "page": page, "quote": quote}) + "\n"
            for question, file, page, quote in QUESTIONS
        ).encode(),
    }
    files |= {name: text.encode(encoding) for name, (encoding, text) in TEXT.items()}
    for name, data in files.items():
        (HERE / name).write_bytes(data)


if __name__ == "__main__":
    main()

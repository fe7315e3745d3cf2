"""Texts that are none, never end, or nest for ever."""

import json
import random

from tests.hostile.files import Hostile

READY = "ready"


def random_bytes_late() -> bytes:
    """The first 64 KiB are text, what follows is not."""
    return b"The lamp is lit at dusk.\n" * 3_000 + random.Random(7).randbytes(2_000_000)


def zalgo() -> bytes:
    marks = "".join(chr(0x300 + n % 0x6F) for n in range(200))
    return "".join(letter + marks for letter in "The lamp is lit. " * 200).encode()


def nested_mail() -> bytes:
    depth = 500
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth))
    closed = "".join(f"\n--b{n}--\n" for n in reversed(range(depth)))
    head = "From: a@example.com\nSubject: Deep\nMIME-Version: 1.0\n"
    return f"{head}{opened}Content-Type: text/plain\n\nDeep.\n{closed}".encode()


def many_parts() -> bytes:
    part = "--b\nContent-Type: text/plain\n\nPart.\n"
    head = 'From: a@example.com\nSubject: Many\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return (head + part * 100_000 + "--b--\n").encode()


FILES = [
    Hostile("blanks.txt", lambda: b" \n\t\r\n" * 100_000, {"no_text"}),
    Hostile("nothing.txt", lambda: b"", {"empty_file"}),
    Hostile("nul.txt", lambda: b"The lamp is lit at dusk, whatever the weather may be.\n\x00" * 50, {READY}),
    Hostile("invalid-utf8.txt", lambda: b"The lamp \xff\xfe\xc3\x28 is lit.\n" * 100, {READY}),
    Hostile("surrogates.txt", lambda: b"The lamp \xed\xa0\x80\xed\xb0\x80 is lit.\n" * 100, {READY}),
    Hostile("utf16-no-mark.txt", lambda: ("The lamp is lit.\n" * 200).encode("utf-16-le"), {READY}),
    Hostile("random-bytes-late.txt", random_bytes_late, {"corrupt_file", "bad_encoding", "type_mismatch"}, heavy=True),
    Hostile("one-word.txt", lambda: b"a" * 20_000_000, {READY, "too_large"}, heavy=True),
    Hostile("one-line.txt", lambda: b"The lamp is lit. " * 600_000, {READY}, heavy=True),
    Hostile("line-ends.txt", lambda: b"\n" * 5_000_000 + b"The end.", {READY}, heavy=True),
    Hostile("zalgo.txt", zalgo, {READY}),
    Hostile("zero-width.txt", lambda: ("\u200b\u202e\u2066The lamp\u2069\u200d\ufeff " * 5_000).encode(), {READY}),
    Hostile("distinct-words.txt", lambda: " ".join(f"w{n:x}" for n in range(400_000)).encode(), {READY}, heavy=True),
    Hostile("deep-quotes.md", lambda: b">" * 100_000 + b" deep", {READY, "too_complex", "no_text"}),
    Hostile(
        "deep-lists.md",
        lambda: b"".join(b" " * n + b"- deep\n" for n in range(3_000)),
        {READY, "too_complex"},
        heavy=True,
    ),
    Hostile("brackets.md", lambda: b"[" * 100_000 + b"The lamp" + b"](" * 100_000, {READY, "too_complex"}, heavy=True),
    Hostile(
        "headings.md",
        lambda: b"".join(b"#" * (n % 6 + 1) + b" H%d\n" % n for n in range(200_000)),
        {READY, "too_complex"},
        heavy=True,
    ),
    Hostile(
        "deep.html",
        lambda: b"<html>" + b"<div>" * 200_000 + b"deep" + b"</div>" * 200_000,
        {READY, "too_complex", "no_text"},
        heavy=True,
    ),
    Hostile("open-comment.html", lambda: b"<html><body>Before<!-- " + b"x" * 5_000_000, {READY, "no_text"}),
    Hostile(
        "attributes.html",
        lambda: b"<html><p " + b"".join(b"a%d=1 " % n for n in range(200_000)) + b">The lamp",
        {READY, "no_text", "too_complex"},
        heavy=True,
    ),
    Hostile(
        "script.html", lambda: b"<html><script>while(1);</script><img src=x onerror=alert(1)>The lamp is lit.", {READY}
    ),
    Hostile(
        "wide.csv",
        lambda: b",".join(b"c%d" % n for n in range(100_000)) + b"\n" + b"1," * 100_000,
        {READY, "too_complex", "too_large"},
        heavy=True,
    ),
    Hostile(
        "open-quote.csv", lambda: b'a,b\n"' + b"x,y\n" * 1_000_000, {READY, "corrupt_file", "too_complex"}, heavy=True
    ),
    Hostile("deep.json", lambda: b"[" * 200_000 + b"]" * 200_000, {READY, "corrupt_file", "too_complex", "no_text"}),
    Hostile("numbers.json", lambda: json.dumps({"a": 10**400, "lamp": "lit"}).encode() + b"", {READY, "corrupt_file"}),
    Hostile("nan.json", lambda: b'{"a": NaN, "b": 1e999, "c": "\\ud800 lamp"}', {READY, "corrupt_file"}),
    Hostile("deep.eml", nested_mail, {READY, "too_complex", "no_text", "corrupt_file"}),
    Hostile("many-parts.eml", many_parts, {READY, "too_complex", "too_large", "archive_too_large"}, heavy=True),
    Hostile(
        "groups.rtf",
        lambda: rb"{\rtf1 " + b"{" * 200_000 + b"deep" + b"}" * 200_000 + b"}",
        {READY, "too_complex", "corrupt_file", "no_text"},
    ),
    Hostile("binary.rtf", lambda: rb"{\rtf1 The lamp{\pict\bin2000000000 x}}", {READY, "corrupt_file"}),
    Hostile("picture.pdf", lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000), {"type_mismatch"}),
    Hostile("program.txt", lambda: b"\x7fELF\x02\x01\x01" + bytes(5000), {"type_mismatch", "unsupported_type"}),
]

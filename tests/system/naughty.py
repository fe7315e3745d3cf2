"""Strings that programs often handle wrongly, and bodies that are almost JSON, by kind; written for this project."""

import json

STRINGS = [
    # Nothing, and what looks like it
    *(
        "",
        " ",
        "\t\n\r\v\f",
        "\u00a0\u2003\u3000",
        "\u200b",
        "\ufeff",
        "null",
        "undefined",
        "None",
        "NaN",
        "nil",
        "[object Object]",
    ),
    # Numbers that are none, or too much
    *("0", "-0", "1e400", "-1e-400", "0x7fffffff", "9" * 400, "1,5", "１２", "٣", "½", "Infinity", "--1", "1/0"),
    # Control characters, halves of characters, noncharacters
    *(
        "\x00",
        "a\x00b",
        "\x01\x02\x1b[31m",
        "\x7f",
        "\x85",
        "\ufffe\uffff",
        "\U0010ffff",
        "\ud800",
        "\udfff\ud800",
        "x\ud83d",
    ),
    # Writing of all directions and sizes
    *(
        "\u202eesrever\u202c",
        "\u2066\u2069\u200f",
        "Ⱥ" * 50,
        "İıſß",
        "ﷺ" * 20,
        "Z\u0300\u0301\u0302" * 60,
        "🧑‍🚀👩🏽‍❤️‍💋‍👨🏻",
        "ᚠᛇᚻ",
        "表ポあA鷗Œ",
        "גרשיים",
    ),
    # Languages of other machines
    *(
        "'; DROP TABLE document; --",
        "1' OR '1'='1",
        "$$;SELECT pg_sleep(9)--",
        "%s%n%x",
        "{0}{name}{}",
        "${jndi:ldap://x}",
        "{{7*7}}",
    ),
    *(
        "<script>alert(1)</script>",
        "javascript:alert(1)",
        "<![CDATA[x]]>",
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
        "]]>",
    ),
    *(
        "../../../../etc/passwd",
        "..\\..\\windows",
        "C:\\CON",
        "/dev/null",
        "file:///etc/passwd",
        "~root",
        "*",
        "?",
        "|id",
        "`id`",
        "$(id)",
    ),
    *(
        "a:*",
        "a & b | !c <-> (d",
        "'a' <2> \"b",
        "((((((",
        "))))",
        "&&&",
        "!!",
        ":::",
        "a\\",
        "\\",
        "\\u0000",
        "%00",
        "%ff%fe",
        "%2e%2e%2f",
    ),
    *("\r\nX-Injected: 1", "a\r\n\r\nb", "http://169.254.169.254/", "http://[::1]/", "//x", "mailto:a@b", "data:,x"),
    # Too much of it
    *(
        "A" * 10_000,
        "é" * 5_000,
        "a " * 4_000,
        "(" * 3_000,
        '"' * 3_000,
        "[" * 3_000,
        "\n" * 3_000,
        "." * 3_000,
        "-" * 3_000,
    ),
]

# Bodies for routes that take JSON: the type says so, the bytes do not, or only just.
BODIES = [
    *(
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b"true",
        b'"x"',
        b"0",
        b"NaN",
        b"Infinity",
        b"1e400",
        b"{}",
        b"\xff\xfe",
        b"\x00",
    ),
    *(
        b"[" * 5_000,
        b'{"a":' * 5_000,
        b"[" * 100_000,
        b'{"question": "x"',
        b'{"question": "\\ud800"}',
        b'{"question": "\xed\xa0\x80"}',
    ),
    *(
        b'{"question": NaN}',
        b'{"question": "x", "top_k": 1e400}',
        b'{"question": "x", "top_k": -0.0}',
        b'{"question": "x", "temperature": NaN}',
    ),
    *(
        b'{"query": "x", "top_k": ' + b"9" * 5_000 + b"}",
        b'{"question": "x", "question": "y"}',
        b'{"__proto__": {}, "query": "x"}',
    ),
    *(b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"{'a': 1}", b'{"a": 1,}', b"{} {}", b"<a/>", b"a=b&c=d"),
    json.dumps({f"key{n}": n for n in range(20_000)}).encode(),
]

# Request heads below HTTP's own rules, or at their edge.
HEADS = [
    *(
        b"Authorization: Bearer \xff\xfe",
        b"Authorization: Bearer",
        b"Authorization: \x00",
        b"Authorization: Bearer " + b"a" * 8_000,
    ),
    *(
        b"X-Request-ID: \xc3\xa9",
        b"X-Request-ID: " + b"x" * 4_000,
        b"Idempotency-Key: \xff",
        b"Accept: \xff/*",
        b"Range: bytes=9-1",
    ),
    *(
        b"Content-Type: \xff",
        b"Content-Type: application/json; charset=utf-99",
        b"Content-Length: -1",
        b"Content-Length: 1e3",
    ),
    *(
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
    ),
    *(
        b"X" * 300 + b": 1",
        b"No-Colon-Here",
        b" leading: space",
        b"Origin: null",
        b"X-Forwarded-For: \xff, 1.2.3.4",
        b"Cookie: " + b"a=b; " * 900,
    ),
]

"""Which angle brackets of a model's words are markup that acts, and which are words like any other.

`Rc<T>`, `<refname>` and `<b>` do nothing, wherever they are shown. What loads, runs or leads somewhere does, and what
hides text.
Where that cannot be decided, a space after the bracket makes it plain text.
"""

import re
from typing import Literal

Kind = Literal["words", "apart", "gone", "element", "call"]

# With these a browser reads what follows as something else than text, attributes or not.
_SCRIPTING = r"script|style|iframe|frame|frameset|svg|math|plaintext|xmp|noscript|noembed|noframes"
_HTML = (
    rf"{_SCRIPTING}|a|abbr|address|area|article|aside|audio|b|base|bdo|blockquote|body|br|button|canvas|caption|center"
    r"|cite|code|col|dd|del|details|dialog|div|dl|dt|em|embed|fieldset|figure|font|footer|form|h[1-6]|head|header|hr|html"
    r"|i|image|img|input|ins|kbd|label|legend|li|link|main|map|mark|marquee|meta|nav|object|ol|optgroup|option|output|p"
    r"|param|picture|portal|pre|q|s|samp|section|select|slot|small|source|span|strong|sub|summary|sup|table|tbody|td"
    r"|template|textarea|tfoot|th|thead|time|title|tr|track|u|ul|var|video|wbr"
)
_NAME = re.compile(r"</?([A-Za-z][\w:-]*)")
_IS_HTML = re.compile(rf"(?:\w+:)?(?:{_HTML})\Z", re.I)
_IS_SCRIPTING = re.compile(rf"(?:\w+:)?(?:{_SCRIPTING})\Z", re.I)
_ACTIVE = re.compile(
    r"[\s/\"'<](?:on[a-z]+|(?:[\w-]+:)?href|src(?:set|doc)?|style|(?:form)?action|data|poster|background|ping|codebase"
    r"|archive|classid|manifest|(?:low|dyn)src|longdesc|usemap|http-equiv)\s*=",
    re.I,
)
_HIDDEN = re.compile(rf"</?(?:{_SCRIPTING})\b", re.I)  # within another tag
_QUOTED = re.compile(r"</?[A-Za-z][\w:.-]*(?:\s+[\w:.@-]+(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=`]+))?)*\s*/?>")
# Tags and tokens by which models call tools.
_CALL = re.compile(
    r"<(?:\w+:)?(?:(?:tool|function)[_-]?(?:calls?|use|code|results?|responses?|outputs?|requests?)\b|invoke[\s/]"
    r"|function=|tool\s)|<[|｜][^<>]*(?:tool|python_tag|function)[^<>]*[|｜]>",
    re.I,
)
_TOKEN = re.compile(r"<[|｜][^\s<>]+[|｜]>")
_GENERIC = re.compile(r"\w<[A-Z][a-z]\w*>\Z")


def kind(tag: str, before: str) -> Kind:
    """What `tag`, from `<` to `>`, is to readers; `before` is the character in front of it.

    `words` stay, `apart` stay with a space after the bracket, `gone` are left out, `element` with what it holds up to
    its closing tag, `call` as well, closed or not.
    """
    if _CALL.match(tag):
        return "call"
    if _TOKEN.fullmatch(tag) or tag.startswith("<!--"):
        return "gone"
    named = _NAME.match(tag)
    if named is None:  # `</ x>`, `<!DOCTYPE html>`, `<?xml version="1.0"?>`
        return "words" if not _ACTIVE.search(tag) else "apart"
    name, nested = named[1], "<" in tag[1:]
    if _IS_SCRIPTING.match(name):
        if before == "`" or tag.startswith("</") or _GENERIC.search(before + tag):
            return "apart"
        return "element"
    if _ACTIVE.search(tag):
        return "gone" if _IS_HTML.match(name) and before != "`" and not nested else "apart"
    if _HIDDEN.search(tag, 1):
        return "apart"
    unquoted = "=" not in tag or not re.search(r"[\"'`]", tag)
    return "words" if unquoted or _QUOTED.fullmatch(tag) else "apart"

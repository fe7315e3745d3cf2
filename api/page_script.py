"""Bundles the scripts of the page when they are first requested: one file compresses better than many.

Thirty modules one by one are a fourth larger, and as many requests. Each is in a function of its own that returns
what it exports, behind those that it imports; comments are left out. It knows the forms of import and export that the
page is written in, and refuses others: a test has the page's modules put together.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping

# What is vendored is minified and stays a module of its own.
_VENDORED = "vendor/"
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_IMPORT = re.compile(
    r'^import (?:\{ (?P<names>[^}]+) \} from |\* as (?P<all>\w+) from )?"(?P<path>[^"]+)";\n', re.MULTILINE
)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function\*?|class) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(sources: Mapping[str, str], start: str) -> str:
    """The modules that `start` imports, and it itself at the end. Raises ValueError for what it cannot join.

    `sources`: by path below the page's folder. Vendored files must have the same relative path to the result.
    """
    order: list[str] = []
    _visit(start, sources, order, ())
    vendored = [path for path in order if path.startswith(_VENDORED)]
    heads = [f'import * as m{number} from "./{path}";\n' for number, path in enumerate(vendored)]
    stored = [f'modules["{path}"] = m{number};\n' for number, path in enumerate(vendored)]
    bodies = [_wrapped(path, sources[path]) for path in order if path not in vendored]
    return "".join([*heads, "const modules = {};\n", *stored, *bodies])


def _visit(path: str, sources: Mapping[str, str], order: list[str], above: tuple[str, ...]) -> None:
    if path in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join((*above, path))}")
    if path in order:
        return
    if path not in sources:
        raise ValueError(f"{above[-1]} imports {path}, which is not there")
    if not path.startswith(_VENDORED):
        for other in _imported(path, sources[path]):
            _visit(other, sources, order, (*above, path))
    order.append(path)


def _imported(path: str, source: str) -> Iterator[str]:
    for found in _IMPORT.finditer(source):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"]))


def _wrapped(path: str, source: str) -> str:
    def taken(found: "re.Match[str]") -> str:
        module = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"]))
        if found["names"]:
            return f'const {{ {found["names"].replace(" as ", ": ")} }} = modules["{module}"];\n'
        return f'const {found["all"]} = modules["{module}"];\n' if found["all"] else ""

    plain = _COMMENT.sub("", source)
    exported = _EXPORT.findall(plain)
    body = _EXPORT.sub("", _IMPORT.sub(taken, plain))
    if other := _LEFT.search(body):
        raise ValueError(f"{path} has a form that cannot be joined: {other[0]}")
    return f'modules["{path}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'

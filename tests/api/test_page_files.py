"""The files of the page: how they are served, how large they are, and what must not stand in them."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx2
import playwright
import pytest

from api import page_script
from api.app import create_app
from api.routes import ui
from footnote.runtime import Runtime
from footnote.settings import Settings
from tests import ROOT
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio
STATIC = ROOT / "api" / "static" / "ui"
SOURCES = sorted((STATIC / "src").rglob("*.js"))
ADDRESSES = ("/", "/library", "/queue", "/d/doc_1", "/enter", "/c/cnv_1/msg_2", "/d/doc_1/p/2?v=1&from=1&to=2")


async def test_the_page_is_at_each_of_its_addresses_with_its_policy(alice: Person) -> None:
    for path in ADDRESSES:
        answer = await alice.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", answer.text), "nothing inline"


async def test_what_the_page_names_is_there_compressed_and_lasting(alice: Person) -> None:
    page = (await alice.client.get("/")).text
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(named) > 5
    for path in named:
        answer = await alice.client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        plain = await alice.client.get(path, headers={"Accept-Encoding": "identity"})
        packed = path.endswith((".js", ".css", ".svg")) and len(plain.content) > 200
        assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
        assert plain.content == answer.content
        assert "content-encoding" not in plain.headers


async def test_other_files_are_not_there(alice: Person) -> None:
    version, _ = ui.files()
    for path in ("nothing.js", "../docs.html", "%2e%2e/docs.html", "index.html", ""):
        problem(await alice.client.get(f"/ui/{version}/{path}"), 404)
    problem(await alice.client.get("/ui/0123456789abcdef/src/main.js"), 404)


async def test_the_page_can_be_switched_off(rt: Runtime) -> None:
    app = create_app(runtime=replace(rt, settings=rt.settings.model_copy(update={"ui": "off"})))
    transport = httpx2.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for path in (*ADDRESSES, f"/ui/{ui.files()[0]}/src/main.js"):
            problem(await client.get(path), 404)
        assert (await client.get("/healthz")).status_code == 200


def sizes(*suffixes: str) -> int:
    """Bytes of all files of a kind as they are sent."""
    return sum(
        len(file.gzipped or file.content) for name, file in ui.files()[1].items() if Path(name).suffix in suffixes
    )


def test_the_modules_are_sent_as_one_script() -> None:
    sent = ui.files()[1]
    script = sent[ui.SCRIPT].content.decode()
    names = [str(path.relative_to(STATIC)) for path in SOURCES if path.name != "theme.js"]
    assert {name: script.count(f'modules["{name}"] = (') for name in names} == dict.fromkeys(names, 1)
    assert "/**" not in script
    assert [name for name in sent if name.endswith(".js")] == ["src/theme.js", "vendor/preact.js", "page.js"]
    a, b = 'import { c as d } from "./b.js";\nexport const a = d;\n', "export async function c() {}\n"
    one = page_script.joined({"x/a.js": a, "x/b.js": b}, "x/a.js")
    assert one.index("async function c") < one.index('const { c: d } = modules["x/b.js"];\nconst a = d;\nreturn { a };')
    for wrong, why in (("export default 1;\n", "cannot be joined"), ('import { a } from "./a.js";\n', "circle")):
        with pytest.raises(ValueError, match=why):
            page_script.joined({"x/a.js": a, "x/b.js": wrong}, "x/a.js")


def test_the_store_of_large_files_is_allowed() -> None:
    settings = Settings(storage_url="s3://bucket/files", s3_public_endpoint_url="https://store.example:9000")
    assert "connect-src 'self' https://store.example:9000 https://*.store.example:9000;" in ui.policy(settings)
    assert "connect-src 'self';" in ui.policy(Settings(storage_url="file:///files"))


def test_the_page_is_small() -> None:
    assert sizes(".js") < 60_000
    assert sizes(".css") < 12_000
    assert sum(path.stat().st_size for path in STATIC.rglob("*.woff2")) < 140_000


def test_nothing_makes_html_or_code_of_text() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|dangerouslySet|https?://"
    assert [path.name for path in SOURCES if re.search(forbidden, path.read_text())] == []


def test_only_the_theme_is_stored_on_the_device() -> None:
    stored = [
        path.name for path in SOURCES if re.search(r"localStorage|sessionStorage|document\.cookie", path.read_text())
    ]
    assert stored == ["header.js", "theme.js"]


def test_modules_are_short_and_import_downwards() -> None:
    floors = {"main.js": 4, "keys.js": 3, "screens": 3, "parts": 2}

    def floor(path: Path) -> int:
        return floors.get(path.name) or floors.get(path.parent.name) or 1

    for path in SOURCES:
        text = path.read_text()
        assert len(text.splitlines()) <= (500 if path.parent.name == "words" else 400), path.name
        for name in re.findall(r'from "(\.[^"]+)"', text):
            other = (path.parent / name).resolve()
            assert other.exists(), (path.name, name)
            allowed = floor(other) <= floor(path) or (path.name, other.name) in {("header.js", "keys.js")}
            assert allowed, (path.name, other.name)


SHOWN = re.compile(r">\s*[A-Z][a-z]+ [a-z]|(?:aria-label|placeholder|title)=\"[A-Z]")


def test_words_stand_in_one_place() -> None:
    files = [path for path in SOURCES if path.parent.name in ("parts", "screens")]
    assert [path.name for path in files if SHOWN.search(path.read_text())] == []


def test_what_is_vendored_is_what_it_says() -> None:
    import hashlib

    digest = hashlib.sha256((STATIC / "vendor" / "preact.js").read_bytes()).hexdigest()
    assert digest in (STATIC / "vendor" / "VENDOR.md").read_text()


def test_pure_modules() -> None:
    node = Path(playwright.__file__).parent / "driver" / "node"
    done = subprocess.run(
        [node, "--test", *sorted(Path(__file__).parent.glob("test_*.mjs"))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

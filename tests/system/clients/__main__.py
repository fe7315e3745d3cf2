"""`make clients`: runs programs of others, and the examples in the documentation, against the running product.

The programs are the JavaScript files of this folder. Their packages (`package.json`) are installed into a folder that
is removed; those of Python are in an environment of their own.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2

from tests import examples
from tests.examples import Example, Product
from tests.system.faults.stack import Stack, until

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
ASKED, QUOTE = "Who lit the zircon lamp?", "Agnes Tolmie"
SECONDS = 300


async def prepared(stack: Stack) -> Product:
    """With a document to ask about."""
    await stack.ready()
    headers = {"Authorization": f"Bearer {stack.key}"}
    async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as client:
        form = {"collection": "lamps"}
        added = await client.post("/v1/documents", files={"file": ("lamp.txt", examples.TEXT.encode())}, data=form)
        path = f"/v1/documents/{added.json()['document']['id']}/status"

        async def is_ready() -> bool:
            return bool((await client.get(path)).json()["status"] == "ready")

        await until(is_ready, SECONDS, "the document is ready")
        collection = (await client.get("/v1/collections/lamps")).json()["id"]
    return Product(stack.url, stack.key, collection.replace("col_", "vs_", 1))


def run_file(program: Path, product: Product, folder: Path) -> None:
    """Raises AssertionError if it fails."""
    shutil.copy(program, folder)
    known = {"BASE_URL": f"{product.url}/openai/v1", "API_KEY": product.key, "STORE": product.store}
    asked = {"ASKED": ASKED, "QUOTE": QUOTE}
    ended = subprocess.run(["node", program.name], cwd=folder, env=os.environ | known | asked, timeout=SECONDS)
    assert ended.returncode == 0, f"{program.name} ended with {ended.returncode}"


def runs(python: str, product: Product, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """By name, what is run; the name begins with that of a program or of a page."""
    for program in sorted(HERE.glob("*.mjs")):
        yield program.name, partial(run_file, program, product, folder)
    apart = ["env", f"PYTHONPATH={ROOT}", python]
    for example in examples.programs("python"):
        command = apart if examples.is_apart(example) else [sys.executable]
        yield _name(example), partial(examples.run, example, command, product, folder)
    for language, command in (("js", ["node"]), ("sh", ["sh", "-e"])):
        for example in examples.programs(language):
            yield _name(example), partial(examples.run, example, command, product, folder)


def _name(program: list[Example]) -> str:
    return f"{program[0].page.name}:{program[0].line}"


def passed(name: str, run: Callable[[], None]) -> bool:
    try:
        run()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"FAILED  {name}: {error}")
        return False
    print(f"passed  {name}")
    return True


async def main(names: list[str], python: str) -> int:
    with tempfile.TemporaryDirectory(prefix="fn-clients-") as folder:
        shutil.copy(HERE / "package.json", folder)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run(install, cwd=folder, check=True)
        async with Stack() as stack:
            product = await prepared(stack)
            chosen = [
                each for each in runs(python, product, Path(folder)) if not names or each[0].partition(".")[0] in names
            ]
            results = [await asyncio.to_thread(passed, *each) for each in chosen]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.system.clients", description=__doc__)
    parser.add_argument("names", nargs="*", help="of programs and pages, for example: openai frameworks")
    parser.add_argument("--python", required=True, type=Path, help="the interpreter that has LangChain and others")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.names, str(given.python.absolute()))))

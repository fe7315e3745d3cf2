"""`make clients`: runs the programs of this folder against the running product.

A program is a JavaScript file whose first line names its packages. They are installed into a folder that is removed.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2

from tests.system.faults.stack import Stack, until

PROGRAMS = Path(__file__).parent
INSTALLED = re.compile(r"^// npm: (.+)$", re.MULTILINE)
TEXT = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil 🪔."
ASKED, QUOTE = "Who lit the zircon lamp?", "Agnes Tolmie"
SECONDS = 300


async def prepared(stack: Stack) -> dict[str, str]:
    """What the programs need to know, once there is a document to ask about."""
    await stack.ready()
    headers = {"Authorization": f"Bearer {stack.key}"}
    async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as client:
        form = {"collection": "lamps"}
        added = await client.post("/v1/documents", files={"file": ("lamp.txt", TEXT.encode())}, data=form)
        path = f"/v1/documents/{added.json()['document']['id']}/status"

        async def is_ready() -> bool:
            return bool((await client.get(path)).json()["status"] == "ready")

        await until(is_ready, SECONDS, "the document is ready")
        collection = (await client.get("/v1/collections/lamps")).json()["id"]
    return {
        "BASE_URL": f"{stack.url}/openai/v1",
        "API_KEY": stack.key,
        "STORE": f"vs_{collection.removeprefix('col_')}",
        "ASKED": ASKED,
        "QUOTE": QUOTE,
    }


def ran(program: Path, known: dict[str, str]) -> bool:
    """Whether the program ended well, with its packages in a folder of its own."""
    packages = [name for line in INSTALLED.findall(program.read_text()) for name in line.split()]
    with tempfile.TemporaryDirectory(prefix="fn-clients-") as folder:
        copy = Path(folder) / program.name
        copy.write_text(program.read_text())
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *packages]
        for command in (install, ["node", copy.name]):
            ended = subprocess.run(command, cwd=folder, env=os.environ | known, timeout=SECONDS)
            if ended.returncode:
                return False
    return True


async def main(names: list[str]) -> int:
    programs = [each for each in sorted(PROGRAMS.glob("*.mjs")) if not names or each.stem in names]
    async with Stack() as stack:
        known = await prepared(stack)
        results = {each.name: await asyncio.to_thread(ran, each, known) for each in programs}
    for name, well in results.items():
        print(f"{'passed' if well else 'FAILED'}  {name}")
    return 0 if results and all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))

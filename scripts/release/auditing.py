"""Known vulnerabilities in the locked requirements, as pip-audit finds them in the OSV database."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.release import ROOT, TOOLS

LOCKS = tuple(ROOT / "requirements" / name for name in ("local.txt", "model.txt"))


class NotAudited(Exception):
    """The database could not be asked: nothing is known."""


def vulnerabilities(locks: Sequence[Path] = LOCKS, service: Sequence[str] = ("osv",)) -> list[str]:
    """Each with its package, version, id and the versions that mend it. Raises NotAudited.

    `service`: as pip-audit's `--vulnerability-service`, and further options.
    """
    files = [word for lock in locks for word in ("--requirement", str(lock))]
    options = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "15")
    command = [str(TOOLS / "pip-audit"), *files, *options, "--vulnerability-service", *service]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise NotAudited((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]) from None
    return [
        f"{each['name']} {each['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for each in report["dependencies"]
        for found in each.get("vulns", ())
    ]

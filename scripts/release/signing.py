"""A signature over the sums of all files of a release, made and checked by OpenSSH.

OpenSSH is on nearly every machine, its keys may be on a security key, and git signs tags with the same one.
"""

import hashlib
import subprocess
from pathlib import Path

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
SIGNER, NAMESPACE = "release@footnote", "footnote-release"


class NotAsSigned(Exception):
    """A file is not what was signed, or it was not signed by a key that is trusted."""


def throwaway_key(directory: Path) -> tuple[Path, Path]:
    """A new key without a passphrase, and the file that trusts it."""
    key, signers = directory / "key", directory / "allowed_signers"
    _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "throwaway", "-f", str(key))
    signers.write_text(f"{SIGNER} {key.with_suffix('.pub').read_text()}")
    return key, signers


def sign(directory: Path, key: Path) -> int:
    """Writes the sums of all files in the directory, and their signature; how many files."""
    for name in (SUMS, SIGNATURE):
        (directory / name).unlink(missing_ok=True)
    sums = _sums(directory)
    (directory / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    _ssh_keygen("-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(directory / SUMS))
    return len(sums)


def verify(directory: Path, signers: Path) -> None:
    """Raises NotAsSigned unless every file is what a trusted key has signed, and none is missing or was added."""
    checking = ("-Y", "verify", "-f", str(signers), "-I", SIGNER, "-n", NAMESPACE, "-s", str(directory / SIGNATURE))
    sums = (directory / SUMS).read_bytes()
    _ssh_keygen(*checking, given=sums)
    signed = {name: digest for digest, name in (line.split("  ", 1) for line in sums.decode().splitlines())}
    found = _sums(directory)
    differ = sorted(each for each in signed | found if signed.get(each) != found.get(each))
    if differ:
        raise NotAsSigned(f"not what was signed: {', '.join(differ)}")


def _sums(directory: Path) -> dict[str, str]:
    """By its path, for each file but the sums themselves."""
    files = sorted(each for each in directory.rglob("*") if each.is_file() and each.name not in (SUMS, SIGNATURE))
    return {str(each.relative_to(directory)): _sum(each) for each in files}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ssh_keygen(*arguments: str, given: bytes | None = None) -> None:
    done = subprocess.run(["ssh-keygen", *arguments], input=given, capture_output=True, check=False)
    if done.returncode:
        raise NotAsSigned((done.stderr or done.stdout).decode().strip())

"""Which user Postgres runs as: it refuses root, and its initdb refuses a uid without a name."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from footnote.local_stack.processes import StackFailed, works


@dataclass(frozen=True)
class RunAs:
    """`prefix` goes before a command; `owner` (uid, gid), if any, must own the directories it writes to."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def give(self, directory: Path) -> None:
        """Make an existing directory of Footnote writable for the user."""
        if self.owner is not None:
            os.chown(directory, *self.owner)


def ordinary_user(pgdata: Path, binary: Path) -> RunAs:
    """The user who runs `binary` on the cluster in `pgdata`, which need not exist yet.

    A user namespace in which we have another, named uid is best: no user is created and no owner changes.
    Where namespaces are forbidden (many containers) root falls back to a system user, who then owns the files
    and stays the one to use.
    """
    uid = os.geteuid()
    if uid != 0 and _named(uid):
        return RunAs()
    owner = pgdata.stat().st_uid if pgdata.exists() else uid
    if owner == uid and (mapped := _user_namespace()):
        return mapped
    if uid == 0:
        return _system_user(pgdata, binary, owner)
    raise StackFailed(
        f"Postgres cannot run as uid {uid}: it has no name here, and user namespaces are forbidden. "
        "Run as a user listed in /etc/passwd, or set DATABASE_URL."
    )


def _named(uid: int) -> bool:
    return any(entry.pw_uid == uid for entry in pwd.getpwall())


def _user_namespace() -> RunAs | None:
    # The uid inside must have a name there too; any but root's will do.
    inside = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if inside is None:
        return None
    prefix = ("unshare", "--user", f"--map-user={inside.pw_uid}", f"--map-group={inside.pw_gid}", "--")
    return RunAs(prefix) if works(*prefix, "true") else None


def _system_user(pgdata: Path, binary: Path, owner: int) -> RunAs:
    """Run as the cluster's owner, else as `postgres` or `nobody`, if that user can reach the files."""
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    wanted = [entry for entry in known.values() if owner and entry.pw_uid == owner]
    for entry in wanted or [known[name] for name in ("postgres", "nobody") if name in known]:
        prefix = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--")
        if pgdata.parent.stat().st_mode & 0o777 == 0o700:
            # The private data directory opens for the user's group: to pass through, not to list.
            os.chown(pgdata.parent, -1, entry.pw_gid)
            pgdata.parent.chmod(0o710)
        if works(*prefix, "test", "-x", str(pgdata.parent), "-a", "-x", str(binary)):
            return RunAs(prefix, (entry.pw_uid, entry.pw_gid))
    raise StackFailed(
        "Postgres refuses to run as root. Neither a user namespace (unshare) nor a system user (setpriv) "
        f"that can reach {pgdata.parent} and {binary} is available. Run as an ordinary user, or set DATABASE_URL."
    )

"""Objects of earlier backups: linked where they are whole, made whole where they are not, named where none is."""

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from footnote.documents import deletion
from footnote.errors import Invalid
from footnote.operations.backups import checksums
from footnote.operations.backups.folders import Backup
from footnote.operations.backups.taking import back_up
from footnote.operations.doctor import work
from footnote.runtime import Runtime
from footnote.storage import writing
from tests import driving
from tests.driving import paragraphs
from tests.operations.backups.making import another, stored

pytestmark = pytest.mark.anyio


async def inode_of(backup: Backup, key: str) -> int:
    return (await asyncio.to_thread((backup.folder / key).stat)).st_ino


async def test_objects_of_the_backup_before_are_linked(committing_rt: Runtime, tenant: str, tmp_path: Path) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    first = await back_up(rt.settings, tmp_path)
    assert await inode_of(await another(rt, tmp_path), key) == await inode_of(first, key)


async def test_what_a_disk_has_damaged_is_read_again_and_all_backups_are_whole(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    first = await back_up(rt.settings, tmp_path)
    second = await another(rt, tmp_path)
    assert await inode_of(second, key) == await inode_of(first, key)
    whole = (first.folder / key).read_bytes()
    (first.folder / key).write_bytes(b"another" + whole[7:])
    with pytest.raises(Invalid, match="damaged"):
        checksums.verify_complete(second.folder)
    third = await another(rt, tmp_path)
    assert third.manifest.damaged == []
    for each in (first, second, third):
        checksums.verify_complete(each.folder)
        assert (each.folder / key).read_bytes() == whole


async def test_what_the_store_has_damaged_is_linked_from_a_backup_and_told_where_there_is_none(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    """And it is not carried on: when the store is right again, so is the next backup."""
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    before = await back_up(rt.settings, tmp_path / "earlier")
    whole = (before.folder / key).read_bytes()
    async with writing(rt.store, key) as out:
        await out.write(b"another" + whole[7:])
    assert ((await another(rt, tmp_path / "earlier")).folder / key).read_bytes() == whole
    first = await another(rt, tmp_path / "b")
    second = await another(rt, tmp_path / "b")
    for each in (first, second):
        assert each.manifest.damaged == [document_id]
        checksums.verify_complete(each.folder)
    beside = rt.settings.model_copy(update={"backup_dir": tmp_path / "b"})
    (told,) = [each for each in await work.backups(replace(rt, settings=beside)) if each.about == "files in the backup"]
    assert document_id in told.found
    async with writing(rt.store, key) as out:
        await out.write(whole)
    third = await another(rt, tmp_path / "b")
    assert third.manifest.damaged == []
    assert (third.folder / key).read_bytes() == whole
    checksums.verify_complete(first.folder)


async def test_on_a_disk_without_links_objects_are_copied(
    committing_rt: Runtime, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    first = await back_up(rt.settings, tmp_path)
    monkeypatch.setattr(os, "link", no_links)
    await rt.store.delete(key)
    second = await another(rt, tmp_path)
    assert second.manifest.damaged == []
    assert (second.folder / key).read_bytes() == (first.folder / key).read_bytes()
    assert await inode_of(second, key) != await inode_of(first, key)
    checksums.verify_complete(second.folder)


async def test_what_the_store_has_lost_is_linked_and_named_where_no_backup_has_it(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    whole = ((await back_up(rt.settings, tmp_path / "earlier")).folder / key).read_bytes()
    await rt.store.delete(key)
    second = await another(rt, tmp_path / "earlier")
    assert ((second.folder / key).read_bytes(), second.manifest.damaged) == (whole, [])
    checksums.verify_complete(second.folder)
    assert (await another(rt, tmp_path / "b")).manifest.damaged == [document_id]
    assert await driving.ready(rt, tenant, paragraphs(2)) == document_id
    assert (await another(rt, tmp_path / "b")).manifest.damaged == [document_id], "the same bytes are not stored again"
    await deletion.remove(rt.for_tenant(tenant), document_id)
    await driving.ready(rt, tenant, paragraphs(2))
    assert (await another(rt, tmp_path / "b")).manifest.damaged == []


async def test_what_the_disk_of_the_store_cannot_read_is_named_and_all_else_is_in_the_backup(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt = committing_rt
    lost = await driving.ready(rt, tenant, paragraphs(2, "lens"))
    (unreadable,) = await stored(rt)
    await driving.ready(rt, tenant, paragraphs(2, "wick"))
    (other,) = await stored(rt) - {unreadable}
    path = Path(unquote(urlsplit(rt.settings.storage_location).path)) / unreadable
    path.unlink()
    path.symlink_to(path)  # to open it is an error of the system, not FileNotFoundError
    made = await back_up(rt.settings, tmp_path)
    assert made.manifest.damaged == [lost]
    assert (made.folder / other).is_file()
    checksums.verify_complete(made.folder)


async def test_a_symbolic_link_in_a_backup_is_not_carried_on(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    (key,) = await stored(rt)
    path = (await back_up(rt.settings, tmp_path)).folder / key
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    copied = (await another(rt, tmp_path)).folder / key
    assert copied.is_file()
    assert not copied.is_symlink()

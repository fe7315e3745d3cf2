"""Office containers made by hand, for what no library writes."""

import io
import struct
import zipfile

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def archive(members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, data in members.items():
            target.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


def ole2(streams: dict[str, bytes]) -> bytes:
    """A compound file (MS-CFB, version 3): header, allocation table, directory of up to three streams, contents."""
    bodies = {name: data.ljust(max(4096, -(-len(data) // _SECTOR) * _SECTOR), b"\0") for name, data in streams.items()}
    table, start = [_FAT, _END], 2
    entries = [_entry("Root Entry", 5, _END, 0, child=1)]
    for number, (name, body) in enumerate(bodies.items(), start=1):
        count = len(body) // _SECTOR
        table += [*range(start + 1, start + count), _END]
        following = number + 1 if number < len(bodies) else _FREE
        entries.append(_entry(name, 2, start, len(body), right=following))
        start += count
    assert len(entries) <= 4
    assert len(table) <= 128
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109I", 0, *[_FREE] * 108)
    table_sector = struct.pack("<128I", *table, *[_FREE] * (128 - len(table)))
    directory = b"".join(entries).ljust(_SECTOR, b"\0")
    return header + table_sector + directory + b"".join(bodies.values())


def _entry(name: str, kind: int, start: int, size: int, *, child: int = _FREE, right: int = _FREE) -> bytes:
    encoded = name.encode("utf-16-le")
    head = encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded) + 2, kind, 1)
    return head + struct.pack("<III16xI16xIQ", _FREE, right, child, 0, start, size)

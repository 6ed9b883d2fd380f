"""Archives of uncompressed records: the zip files that checkpoints are.

Written byte for byte as PyTorch writes them (every record's data aligned, so that it can be mapped into memory). Read with every
size checked against the file before anything is allocated.
"""

import os
import struct
from contextlib import contextmanager
from zlib import crc32

_LOCAL, _DESCRIPTOR, _CENTRAL = b"PK\x03\x04", b"PK\x07\x08", b"PK\x01\x02"
_UTF8, _FOLLOWS = 0x0800, 0x0008  # names are UTF-8; sizes and checksum follow the data
_LIMIT = 0xFFFFFFFF  # sizes from here on need the 64-bit fields
_CHUNK = 1 << 18  # bytes that are still in the cache when their checksum is taken


class ArchiveWriter:
    """Writes records to `file` under the folder `name`; `close` writes the directory. `file` needs only `write`."""

    def __init__(self, file, name, alignment=64):
        self._file, self._name, self._alignment = file, name, alignment
        self._at = 0
        self._entries = []

    def _write(self, data):
        self._file.write(data)
        self._at += len(data)

    def write(self, name, data):
        """Adds one record; `data` is bytes-like."""
        data = memoryview(data).cast("B")
        path, size, start = f"{self._name}/{name}".encode(), len(data), self._at
        wide = _wide(size, start)
        gap = -(start + 30 + len(path) + len(wide) + 4) % self._alignment
        extra = wide + b"FB" + struct.pack("<H", gap) + b"Z" * gap
        self._write(_LOCAL + struct.pack("<5H3I2H", 0, _flags(size), 0, 0, 0, 0, 0, 0, len(path), len(extra)) + path + extra)
        self._write(data)
        check = crc32(data)
        if size:
            self._write(_DESCRIPTOR + struct.pack("<I2Q" if wide else "<3I", check, size, size))
        self._entries.append((path, check, size, start))

    def identity(self):
        """40 digits that depend on the records' names and contents."""
        names = crc32(b"\0".join(path.partition(b"/")[2] for path, *_ in self._entries))
        contents = crc32(b"".join(struct.pack("<I", check) for _, check, *_ in self._entries))
        return b"%020d%020d" % (names, contents)

    def close(self):
        """Writes the directory: without it the file is no archive."""
        start = self._at
        for path, check, size, offset in self._entries:
            extra = _wide(size, offset)
            sizes = [min(n, _LIMIT) for n in (size, size)]
            fields = (0, 0, _flags(size), 0, 0, 0, check, *sizes, len(path), len(extra), 0, 0, 0, 0, min(offset, _LIMIT))
            self._write(_CENTRAL + struct.pack("<6H3I5H2I", *fields) + path + extra)
        count, size, end = len(self._entries), self._at - start, self._at
        self._write(b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 0x031E, 45, 0, 0, count, count, size, start))
        self._write(b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1))
        counts = (min(count, 0xFFFF), min(count, 0xFFFF), min(size, _LIMIT), min(start, _LIMIT))
        self._write(b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, *counts, 0))


def _flags(size):
    return _UTF8 | _FOLLOWS if size else _UTF8


def _wide(size, offset):
    """The extra field with the 64-bit numbers, of which there are none for small records in small files."""
    numbers = [size, size] if size >= _LIMIT else []
    numbers += [offset] if offset >= _LIMIT else []
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


class ArchiveReader:
    """Reads the records of the archive in `file` (seekable, from its current position), whatever the folder's name is.

    Raises RuntimeError for what is no archive. All records together cannot be read to more bytes than the file has.
    """

    def __init__(self, file):
        import zipfile

        self._file = file
        begin = file.tell()
        self._size = file.seek(0, 2)
        file.seek(begin)
        try:
            entries = zipfile.ZipFile(file).infolist()
        except Exception as e:  # zipfile has many ways to say that a file is broken
            raise RuntimeError(
                f"PytorchStreamReader failed reading zip archive: {e}. The checkpoint file is corrupted: it was not saved "
                "completely, or was damaged in transfer"
            ) from None
        folders = {e.filename.partition("/")[0] for e in entries if "/" in e.filename}
        if len(folders) != 1:
            raise RuntimeError(f"a checkpoint's records lie in one folder, but this archive has {len(folders)}")
        self._entries = {e.filename.partition("/")[2]: e for e in entries}
        self._budget = self._size

    def __contains__(self, name):
        return name in self._entries

    def size(self, name):
        """The record's size in bytes."""
        return self._entry(name).file_size

    def _entry(self, name):
        if name not in self._entries:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return self._entries[name]

    def locate(self, name):
        """Where the record's data lies: (offset, size)."""
        entry = self._entry(name)
        self._file.seek(entry.header_offset)
        header = self._file.read(30)
        if len(header) != 30 or header[:4] != _LOCAL:
            raise RuntimeError(f"record '{name}' is not where the archive's directory says")
        if entry.compress_type or entry.compress_size != entry.file_size or entry.flag_bits & 1:
            raise RuntimeError(f"record '{name}' is compressed or encrypted; checkpoints are archives of plain records")
        path, extra = struct.unpack("<2H", header[26:])
        start = entry.header_offset + 30 + path + extra
        if start + entry.file_size > self._size:
            raise RuntimeError(f"record '{name}' of {entry.file_size} bytes reaches behind the end of the file")
        self._budget -= entry.file_size
        if self._budget < 0:
            raise RuntimeError("the archive's records overlap: together they are larger than the file")
        return start, entry.file_size

    def read(self, name):
        """The record's bytes."""
        data = bytearray(self.size(name))
        self.read_into(name, data)
        return data

    def read_into(self, name, buffer):
        """Fills `buffer`, as large as the record, whose checksum must be right (PyTorch can be told to write 0 instead)."""
        start, _ = self.locate(name)
        self._file.seek(start)
        check = self._entries[name].CRC
        if read_into(self._file, buffer) != check and check:
            raise RuntimeError(f"record '{name}' has been damaged: its checksum is wrong")


def read_into(file, buffer):
    """Fills `buffer` from `file`, and gives the checksum of what was read. Raises EOFError if the file ends early."""
    view, at, check = memoryview(buffer).cast("B"), 0, 0
    while at < len(view):
        part = view[at : at + _CHUNK]
        if hasattr(file, "readinto"):
            part = part[: file.readinto(part)]
        else:
            data = file.read(len(part))
            part = part[: len(data)]
            part[:] = data
        if not part:
            raise EOFError(f"expected {len(view)} bytes, but the file ends after {at}")
        check = crc32(part, check)
        at += len(part)
    return check


@contextmanager
def atomic_write(path):
    """A file open for writing bytes that takes the place of `path` when all has been written, and vanishes if writing fails."""
    path = os.fspath(path)
    if os.path.islink(path) or os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:  # a device or a link, which should stay what it is
            yield file
        return
    suffix = f".{os.getpid()}.partial"
    partial = path + (suffix.encode() if isinstance(path, bytes) else suffix)
    try:
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise

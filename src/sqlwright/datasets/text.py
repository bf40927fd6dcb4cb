"""Opening question files as text, whatever a user's editor or spreadsheet made of them.

Not covered: encodings other than UTF-8 (they are named in the error, not guessed).
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sqlwright.errors import DataError

_MAGIC = {
    b"SQLite format 3\x00": "an SQLite database",
    b"PK\x03\x04": "a ZIP archive (or an Excel file)",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"GGUF": "a GGUF model",
    b"PAR1": "a Parquet file",
}


def read_text(path: Path) -> str:
    """Return the file's text; a byte-order mark is removed, bytes that aren't UTF-8 become lone surrogates.

    Lone surrogates let one bad line be reported on its own while the rest of the file is used. A file that ends in
    `.gz` is unpacked.

    Raises:
        DataError: the file is missing, unreadable, or not text at all.
    """
    data = read_bytes(path)
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: expected gzipped UTF-8 text, found {error}.") from None
    found = known_content(data)
    if found:
        raise DataError(f"{path}: expected UTF-8 text, found {found}. Convert it to UTF-8 text first.")
    if data[:4096].count(b"\x00") > len(data[:4096]) // 10:
        raise DataError(f"{path}: expected UTF-8 text, found binary data. Check that it is the right file.")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; raise `DataError` where it is missing or can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: expected a file of questions, found nothing there. Check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file of questions, found a folder. Name a file inside it.") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}). Check its permissions.") from None


def known_content(data: bytes) -> str:
    """Return what the first bytes say the file is, such as "an SQLite database"; empty where they say nothing."""
    return next((what for magic, what in _MAGIC.items() if data.startswith(magic)), "")


def is_utf8(text: str) -> bool:
    """Return whether all of the text came from valid UTF-8."""
    return not any("\udc80" <= character <= "\udcff" for character in text)

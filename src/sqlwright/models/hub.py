"""Fetching a model file over HTTP from the Hugging Face hub or a mirror of it, continuing where it stopped.

`HF_ENDPOINT` names another hub: `https://…`, `file://…` or a folder. `HF_TOKEN` is sent to that hub only,
never to the server it redirects to. `HF_HUB_OFFLINE` keeps off the network. Proxies are taken from the
environment.

Not covered: the hub's chunk store (Xet) and parallel connections; one connection fills an ordinary line.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from sqlwright.models.catalogue import ModelEntry

ENDPOINT = "https://huggingface.co"
TIMEOUT = 10.0
"""Seconds to wait for a connection, and for the next bytes of one."""
ATTEMPTS = 3
"""Connections in a row that may break without bringing a byte."""
CHUNK = 1 << 20


class SourceError(Exception):
    """A source can't give the model; the text says why. `pull` tries the next source."""


def fetch_from_hub(entry: ModelEntry, partial: Path, report: Callable[[int], None]) -> None:
    """Bring `partial` to the entry's full length, keeping the bytes that are already there.

    Args:
        entry: which model.
        partial: the file to continue; its bytes are taken to be a prefix of the model's.
        report: called with the bytes there are so far.

    Raises:
        SourceError: the hub can't be reached, doesn't have the file, or has one of another length.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    folder = _local_folder(endpoint)
    if folder is not None:
        _copy(entry, folder, partial, report)
        return
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise SourceError("HF_HUB_OFFLINE is set")
    url = f"{endpoint}/{entry.repository}/resolve/{entry.revision}/{urllib.parse.quote(entry.hub_file)}"
    failures = 0
    while (before := size_of(partial)) < entry.bytes:
        problem = _fetch_once(url, entry, partial, report)
        failures = 0 if size_of(partial) > before else failures + 1
        if problem and failures >= ATTEMPTS:
            raise SourceError(f"{url}: {problem}")


def size_of(path: Path) -> int:
    """Return the file's length in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _fetch_once(url: str, entry: ModelEntry, partial: Path, report: Callable[[int], None]) -> str:
    """Continue `partial` over one connection; return why it broke off, empty if it ended in order."""
    start = size_of(partial)
    request = urllib.request.Request(url, headers={"User-Agent": "sqlwright", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    token = os.environ.get("HF_TOKEN")
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _check_length(response, start, entry, url)
            _append(response, start if response.status == 206 else 0, entry, partial, report)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies behind what we have: ours can't be a prefix, start again
            partial.unlink(missing_ok=True)
            return "the server refused to continue the file"
        hint = " (set HF_TOKEN if the repository is private)" if error.code in (401, 403) else ""
        raise SourceError(f"{url}: HTTP {error.code} {error.reason}{hint}") from None
    except urllib.error.URLError as error:
        if start == 0:
            raise SourceError(f"{url}: {error.reason}") from None
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return f"the connection broke: {error or type(error).__name__}"
    return "" if size_of(partial) >= entry.bytes else "the connection ended early"


def _check_length(response: HTTPResponse, start: int, entry: ModelEntry, url: str) -> None:
    """Refuse a file of another length before 500 MB of it are fetched."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise SourceError(f"{url}: the server continued at another place than asked")
        total = match[2]
    else:
        total = response.headers.get("Content-Length") or "*"
    if total != "*" and int(total) != entry.bytes:
        raise SourceError(f"{url}: expected a file of {entry.bytes:,} bytes, found one of {int(total):,}")


def _append(
    response: HTTPResponse, start: int, entry: ModelEntry, partial: Path, report: Callable[[int], None]
) -> None:
    """Write the body behind byte `start`; more than the model's length is never written."""
    done = start
    with partial.open("r+b" if start else "wb") as out:
        out.truncate(start)
        out.seek(start)
        while done < entry.bytes and (block := response.read(min(CHUNK, entry.bytes - done))):
            out.write(block)
            done += len(block)
            report(done)


def _local_folder(endpoint: str) -> Path | None:
    """Return the folder that stands for the hub, None where the endpoint is a server."""
    if endpoint.startswith("file://"):
        return Path(urllib.request.url2pathname(urllib.parse.urlsplit(endpoint).path))
    return None if "://" in endpoint else Path(endpoint).expanduser()


def _copy(entry: ModelEntry, folder: Path, partial: Path, report: Callable[[int], None]) -> None:
    """Copy from a folder laid out as the hub, as a snapshot of the repository, or holding the file itself."""
    places = (
        folder / entry.repository / "resolve" / entry.revision / entry.hub_file,
        folder / entry.repository / entry.hub_file,
        folder / entry.hub_file,
    )
    source = next((place for place in places if place.is_file()), None)
    if source is None:
        raise SourceError(f"{folder} (from HF_ENDPOINT) holds no {entry.repository}/{entry.hub_file}")
    if size_of(source) != entry.bytes:
        raise SourceError(f"{source}: expected {entry.bytes:,} bytes, found {size_of(source):,}")
    done = size_of(partial)
    with source.open("rb") as data, partial.open("ab") as out:
        data.seek(done)
        while block := data.read(CHUNK):
            out.write(block)
            done += len(block)
            report(done)

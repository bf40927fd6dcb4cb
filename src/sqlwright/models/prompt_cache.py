"""States of prompts that were read, kept for later processes: a schema is read once, not once a call.

A file each in a folder of the user's own, by model, adapter, engine and tokens, with its hash. Files hold what prompts
hold, names and sample values of the user's databases, in the model's terms; they can be deleted at any time.

Not covered: states that two processes make at once (the later one stays), engines other than llama.cpp.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlwright.models.verify import hash_file, model_hash

MOST_BYTES = 500_000_000
"""Those used longest ago go where there are more."""
_DIGEST = hashlib.sha256().digest_size


class PromptCache:
    """The states that a model with its adapter left in a folder. What can't be read or written is done without.

    `settings` are the build of the engine and what else its states depend on.
    """

    def __init__(self, folder: Path, model: Path, adapter: Path | None, settings: str) -> None:
        parts = [model_hash(model), hash_file(adapter) if adapter else "", settings]
        self._folder, self._engine = folder, " ".join(parts)

    def path(self, tokens: Sequence[int]) -> Path:
        """Return where the state after these tokens is kept, or would be."""
        text = f"{self._engine} {','.join(map(str, tokens))}"
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.state"

    def fetch(self, tokens: Sequence[int], target: Path) -> bool:
        """Write the state after these tokens to `target`; return whether there was one, undamaged."""
        path = self.path(tokens)
        try:
            kept = path.read_bytes()
            digest, state = kept[:_DIGEST], kept[_DIGEST:]
            if hashlib.sha256(state).digest() != digest:  # llama.cpp would end the process
                return False
            target.write_bytes(state)
            os.utime(path)
        except OSError:
            return False
        return True

    def keep(self, tokens: Sequence[int], source: Path) -> None:
        """Put the state in `source` into the folder, and delete others where there are too many."""
        path = self.path(tokens)
        aside = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = source.read_bytes()
            aside.write_bytes(hashlib.sha256(state).digest() + state)
            aside.replace(path)
        except OSError:
            with suppress(OSError):
                aside.unlink()
            return
        with suppress(OSError):
            self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        found = [(one.stat().st_mtime, one.stat().st_size, one) for one in self._folder.glob("*.state")]
        total = sum(size for _, size, _ in found)
        for _, size, one in sorted(found):
            if total <= MOST_BYTES or one == newest:
                break
            one.unlink(missing_ok=True)
            total -= size

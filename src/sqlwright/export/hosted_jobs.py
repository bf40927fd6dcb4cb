"""Fine-tuning jobs behind an API in the style of OpenAI's, through its official client: upload, start, follow, cancel.

The key comes from the environment (`OPENAI_API_KEY`) and from nowhere else; it is never written and never printed.
Reading calls and uploads are repeated when the server is busy or the line breaks. A job costs money, so starting one
is repeated only when it is certain, from the list of jobs, that the call before has started none.

Not covered: downloading a model (these services keep it), organisations and projects (the client reads
`OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` itself).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError, ModelError

KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
DEFAULT_URL = "https://api.openai.com/v1"
ENDED = ("succeeded", "failed", "cancelled")
_LISTED = 50


@dataclass(frozen=True, slots=True)
class Job:
    """A fine-tuning job as the service describes it; `trained_tokens` is what it bills, known at the end."""

    id: str
    status: str
    model: str
    fine_tuned_model: str | None
    trained_tokens: int | None
    error: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


class HostedClient:
    """A fine-tuning service.

    `base_url` is given, or from `OPENAI_BASE_URL`, or OpenAI's own. `retries` is how often a call is repeated,
    `pause` the seconds before the first repeat of a start (doubled each time). Raises `ModelError` without the
    client or the key.
    """

    def __init__(self, base_url: str = "", *, retries: int = 5, pause: float = 1.0) -> None:
        try:
            import openai
        except ImportError:
            raise ModelError(
                "Expected the package openai, found none. In SQLWright's checkout: `pip install '.[hosted]'`."
            ) from None
        self._key = os.environ.get(KEY, "")
        if not self._key:
            raise ModelError(f"Expected the service's key in the environment variable {KEY}, found none.")
        self.base_url = (base_url or os.environ.get(BASE_URL) or DEFAULT_URL).rstrip("/")
        self._errors = openai
        self._retries, self._pause = retries, pause
        self._client = openai.OpenAI(api_key=self._key, base_url=self.base_url, max_retries=retries)

    def upload(self, path: Path) -> str:
        """Send a file of chat lines and return its id."""
        with self._explained(f"uploading {path.name}"):
            sent = self._client.files.create(file=(path.name, path.read_bytes()), purpose="fine-tune")
            return str(sent.id)

    def start(
        self,
        model: str,
        training_file: str,
        validation_file: str | None = None,
        *,
        epochs: int = 3,
        seed: int = 0,
        suffix: str = "",
        again: bool = False,
    ) -> Job:
        """Return a job for the file: the one there is, or, with `again` or where there is none, a new one.

        Never are two started, however often the call has to be repeated.
        """
        wanted: dict[str, Any] = {
            "model": model,
            "training_file": training_file,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
            "seed": seed,
        }
        wanted |= {"validation_file": validation_file} if validation_file else {}
        wanted |= {"suffix": suffix} if suffix else {}
        before = self._jobs_for(model, training_file)
        if before and not again:
            return before[0]
        known = {job.id for job in before}
        once = self._client.with_options(max_retries=0)
        for repeat in range(self._retries + 1):
            try:
                with self._explained(f"starting a job for {model}", passing=repeat < self._retries):
                    return _job(once.fine_tuning.jobs.create(**wanted))
            except self._errors.APIError:
                # The answer is lost, which says nothing of the job.
                time.sleep(self._pause * 2**repeat)
                made = [job for job in self._jobs_for(model, training_file) if job.id not in known]
                if made:
                    return made[0]
        raise AssertionError("the last repeat returns or raises")

    def look(self, job: str) -> Job:
        """Return the job as it is now."""
        with self._explained(f"looking at the job {job}"):
            return _job(self._client.fine_tuning.jobs.retrieve(job))

    def follow(self, job: str, every: float, say: Callable[[str], None]) -> Job:
        """Return the job once it has ended, looking every so many seconds; `say` gets each new event once."""
        told: set[str] = set()
        while True:
            found = self.look(job)
            with self._explained(f"reading the events of {job}"):
                events = self._client.fine_tuning.jobs.list_events(job, limit=_LISTED).data
            for event in reversed(events):
                if event.id not in told:
                    told.add(event.id)
                    say(self._without_key(event.message))
            if found.ended:
                return found
            time.sleep(every)

    def cancel(self, job: str) -> Job:
        """Cancel the job and return it; one that has ended stays as it is."""
        found = self.look(job)
        if found.ended:
            return found
        with self._explained(f"cancelling the job {job}"):
            return _job(self._client.fine_tuning.jobs.cancel(job))

    def _jobs_for(self, model: str, training_file: str) -> list[Job]:
        """Return the jobs that were started with a file and have not failed, the newest first."""
        with self._explained("listing the jobs"):
            listed = self._client.fine_tuning.jobs.list(limit=_LISTED).data
        jobs = [_job(one) for one in listed if (one.model, one.training_file) == (model, training_file)]
        return [job for job in jobs if job.status not in ("failed", "cancelled")]

    @contextlib.contextmanager
    def _explained(self, doing: str, *, passing: bool = False) -> Iterator[None]:
        """Turn the client's errors into ours; with `passing`, those that may go away by themselves stay as they are."""
        errors = self._errors
        try:
            yield
        except (errors.APIConnectionError, errors.InternalServerError, errors.RateLimitError) as error:
            if passing and getattr(error, "code", None) != "insufficient_quota":
                raise
            said = self._without_key(getattr(error, "message", "") or str(error))
            raise ModelError(f"{self.base_url}: {doing} failed after repeats: {said}") from None
        except (errors.AuthenticationError, errors.PermissionDeniedError) as error:
            said = self._without_key(error.message)
            raise ModelError(f"{self.base_url}: the key in {KEY} was refused while {doing}: {said}") from None
        except errors.APIError as error:
            raise DataError(f"{self.base_url}: refused while {doing}: {self._without_key(error.message)}") from None

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…")


def _job(found: Any) -> Job:
    error = found.error.message if found.error and found.error.message else ""
    return Job(found.id, found.status, found.model, found.fine_tuned_model, found.trained_tokens, error)

"""Many queries through a few workers, by one thread: each worker has its next query waiting when it ends one.

A worker that has to wait until its parent has read an answer and thought of another query is idle for as long as
the query took, small as they are. So every worker gets a second query while it runs the first. Queries only read:
the second of a worker that is killed is asked of another.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sqlwright.databases.outcome import Limits, Outcome
from sqlwright.databases.process import (
    UNREADABLE,
    UnreadableAnswerError,
    WorkerEndedError,
    WorkerProcess,
    most_bytes,
    read_answer,
)

# A request that waits must fit into the pipe, or sending it would wait for the query before it.
_LONGEST_WAITING = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Job:
    """A query on its way: its place in the input, and what a worker reads."""

    number: int
    request: bytes


@dataclass(slots=True)
class _Lane:
    """A worker with the jobs that were sent to it; the first is running since `started` (monotonic seconds)."""

    worker: WorkerProcess
    jobs: deque[_Job] = field(default_factory=deque)
    started: float = 0.0

    def takes(self, job: _Job, ahead: int) -> bool:
        """Return whether the job can be sent now, with at most `ahead` before it."""
        return len(self.jobs) <= ahead and (not self.jobs or len(job.request) <= _LONGEST_WAITING)


class Lanes:
    """Runs requests on up to `count` workers.

    `take` gets a worker, `put` gives it back and says whether it can be kept.
    """

    def __init__(
        self,
        count: int,
        limits: Limits,
        take: Callable[[], WorkerProcess],
        put: Callable[[WorkerProcess, bool], None],
    ) -> None:
        self.count, self.limits, self.take, self.put = count, limits, take, put
        self.lanes: list[_Lane] = []
        self.waiting: deque[_Job] = deque()
        self.done: dict[int, Outcome] = {}

    def outcomes(self, requests: Iterable[bytes | Outcome]) -> Iterator[Outcome]:
        """Yield the outcomes of the requests in their order; an outcome among them stands for itself.

        Requests are taken as needed: at most eight per worker are ahead of what was yielded.
        """
        source = enumerate(requests)
        taken = given = 0
        more = True
        while more or given < taken:
            while more and taken - given < 8 * self.count:
                number, request = next(source, (-1, None))
                if request is None:
                    more = False
                    break
                taken += 1
                if isinstance(request, Outcome):
                    self.done[number] = request
                else:
                    self.waiting.append(_Job(number, request))
            self._send()
            if given in self.done:
                yield self.done.pop(given)
                given += 1
            elif self.lanes:
                self._receive()

    def close(self) -> None:
        """Give the workers back; those that still run a query are not kept."""
        for lane in self.lanes:
            self.put(lane.worker, not lane.jobs)
        self.lanes = []

    def _send(self) -> None:
        """Send waiting jobs: one to every worker first, then a second one."""
        for ahead in (0, 1):
            while self.waiting:
                job = self.waiting[0]
                lane = next((lane for lane in self.lanes if lane.takes(job, ahead)), None)
                if lane is None and ahead == 0 and len(self.lanes) < self.count:
                    lane = _Lane(self.take())
                    self.lanes.append(lane)
                if lane is None:
                    break
                self.waiting.popleft()
                self._send_to(lane, job)

    def _send_to(self, lane: _Lane, job: _Job) -> None:
        if not lane.jobs:
            lane.started = time.monotonic()
        lane.jobs.append(job)
        try:
            lane.worker.send(job.request)
        except OSError:
            self._drop(lane, lane.worker.end(self.limits, time.monotonic() - lane.started))

    def _receive(self) -> None:
        """Wait for the next answer, or the next query to overrun."""
        poll = select.poll()
        busy = {lane.worker.fileno: lane for lane in self.lanes if lane.jobs}
        for descriptor in busy:
            poll.register(descriptor, select.POLLIN)
        until = min(lane.started for lane in busy.values()) + self.limits.seconds
        ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
        for descriptor, _ in ready:
            self._read(busy[descriptor])
        if not ready:
            now = time.monotonic()
            for lane in busy.values():
                if now - lane.started >= self.limits.seconds:
                    self._drop(lane, lane.worker.overrun(self.limits, now - lane.started))

    def _read(self, lane: _Lane) -> None:
        try:
            lane.worker.fetch()
            while lane.jobs and (frame := lane.worker.frame(most_bytes(self.limits))) is not None:
                now = time.monotonic()
                outcome, usable = read_answer(frame, now - lane.started)
                if not usable:
                    self._drop(lane, outcome)
                    return
                self.done[lane.jobs.popleft().number] = outcome
                lane.started = now
        except (WorkerEndedError, OSError):
            self._drop(lane, lane.worker.end(self.limits, time.monotonic() - lane.started))
        except UnreadableAnswerError:
            self._drop(lane, UNREADABLE)

    def _drop(self, lane: _Lane, outcome: Outcome) -> None:
        """Note the outcome of the lane's first job, part with its worker, and ask its second of another."""
        self.done[lane.jobs.popleft().number] = outcome
        self.waiting.extendleft(reversed(lane.jobs))
        lane.jobs.clear()
        self.lanes.remove(lane)
        self.put(lane.worker, False)

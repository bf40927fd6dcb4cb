"""A run's questions for a hosted fine-tuning API: the files in `RUN/hosted/`, and what was sent and started.

`hosted/state.json` holds the service's address, the ids of files and job, never the key. With it the same command
again continues: a file that was sent is not sent again, a job that was started is not started again.

Not covered: predictions of the hosted model; `sqlwright score` scores a file of them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError
from sqlwright.export.hosted_chat import LEAST_LINES, ChatCheck, check_chat, write_chat
from sqlwright.export.hosted_cost import (
    CostRow,
    Counter,
    LocalRun,
    PriceTable,
    choose_counter,
    cost_table,
    read_prices,
    training_cost,
    unknown_gpus,
)
from sqlwright.export.hosted_jobs import HostedClient, Job
from sqlwright.models.tokenizer import load_tokenizer, token_ids
from sqlwright.prompts import ChatTemplate
from sqlwright.runs.folder import hash_path, write_text
from sqlwright.runs.run import Run
from sqlwright.runs.stages.train import prompts_of

PARTS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class HostedCheck:
    """The checks of a run's chat files, how tokens were counted, and dollars for one pass and for all."""

    files: dict[str, ChatCheck]
    counter: Counter
    prices: PriceTable
    dollars_per_epoch: float
    epochs: int
    model: str

    @property
    def problems(self) -> list[str]:
        """What is wrong, in all files."""
        return [problem for check in self.files.values() for problem in check.problems]


def chat_file(run: Run, part: str) -> Path:
    """Return where the chat lines of a part are, `train` or `validation`."""
    return run.folder.path / "hosted" / f"{part}.jsonl"


def export_chat(run: Run) -> dict[str, int]:
    """Write the chat files of a prepared run, in its prompt style; return the lines of each part."""
    tokenizer = _tokenizer(run.model_path)
    # The service has a template of its own: here the prompt is the user's message alone.
    fmt = dataclasses.replace(run.format, chat=ChatTemplate("{{ messages[-1]['content'] }}"))
    written = {}
    for part in PARTS:
        prompts = prompts_of(run, part, tokenizer, fmt)
        if prompts or part == "train":
            written[part] = write_chat(chat_file(run, part), prompts, fmt.style.instruction)
        else:
            chat_file(run, part).unlink(missing_ok=True)
    return written


def check(run: Run) -> HostedCheck:
    """Return what checking the chat files of a run shows; raise `DataError` where there are none yet."""
    settings = run.recipe.hosted
    path = run.resolve(settings.prices)
    prices = read_prices(path)
    price = prices.price_of(settings.model, str(path))
    counter = choose_counter(price.encoding, run.recipe.model.base, _base_counter(run))
    files: dict[str, ChatCheck] = {}
    for part in PARTS:
        if _file(run, part) is not None:
            others = files["train"].users if files else frozenset()
            least = 1 if files else LEAST_LINES
            files[part] = check_chat(chat_file(run, part), counter.count, price.context, others, least)
    dollars = training_cost(files["train"].tokens, price)
    return HostedCheck(files, counter, prices, dollars, settings.epochs, settings.model)


def costs(run: Run, gpu_hours: dict[str, float], gpu: str | None = None) -> tuple[HostedCheck, list[CostRow]]:
    """Return the checks and the cost table of a run.

    `gpu_hours` were measured elsewhere; `gpu` names the one that this run was trained on, whose hours the run knows.
    """
    checked = check(run)
    facts = run.folder.facts("train")
    local = None
    if facts.get("steps"):
        speed = run.folder.facts("predict").get("seconds per question")
        local = LocalRun(int(facts["tokens"]), float(facts["seconds"]), speed, str(facts["device"]))
    unknown_gpus(checked.prices, [*gpu_hours, *([gpu] if gpu else [])])
    hours = dict(gpu_hours)
    if gpu and gpu not in hours:
        if local is None or local.device != "cuda":
            found = f"one on the {local.device}" if local else "none yet"
            raise DataError(f"Expected a run that was trained on a GPU to know the hours of {gpu}, found {found}.")
        hours[gpu] = local.seconds / 3600
    train = checked.files["train"]
    rows = cost_table(
        checked.prices,
        lines=train.lines,
        tokens=train.tokens,
        answer_tokens=train.answer_tokens,
        epochs=checked.epochs,
        local=local,
        gpu_hours=hours,
    )
    return checked, rows


def upload(run: Run, client: HostedClient, say: Callable[[str], None]) -> dict[str, str]:
    """Send the chat files that the service doesn't have yet; return their ids by part.

    Raises:
        DataError: a file doesn't pass the checks; nothing is sent.
    """
    checked = check(run)
    if checked.problems:
        shown = "\n".join(f"  - {problem}" for problem in checked.problems[:20])
        raise DataError(f"{len(checked.problems)} problems in the chat files; nothing was sent.\n{shown}")
    state = _state(run, client)
    for part, found in checked.files.items():
        digest = hash_path(found.path)
        if state["files"].get(part, {}).get("hash") == digest:
            say(f"{found.path.name} was sent before ({state['files'][part]['id']}).")
            continue
        say(f"Sending {found.path.name} ({found.lines:,} questions with their schemas) to {client.base_url}")
        state["files"][part] = {"id": client.upload(found.path), "hash": digest}
        _write_state(run, state)
    return {part: state["files"][part]["id"] for part in checked.files}


def start(run: Run, client: HostedClient, *, again: bool = False) -> Job:
    """Start the job of a run, or return the one that was started; `again` starts another one."""
    state = _state(run, client)
    if not state["files"]:
        raise DataError(f"{run.folder.path}: expected files that were sent, found none. Run: sqlwright hosted upload")
    for part, sent in state["files"].items():
        if _file(run, part) is None or hash_path(chat_file(run, part)) != sent["hash"]:
            raise DataError(f"{chat_file(run, part)}: it is not what was sent. Run: sqlwright hosted upload")
    settings = run.recipe.hosted
    ids = {part: sent["id"] for part, sent in state["files"].items()}
    job = client.start(
        settings.model,
        ids["train"],
        ids.get("validation"),
        epochs=settings.epochs,
        seed=run.recipe.seed,
        suffix=run.recipe.name[:18],
        again=again,
    )
    return _noted(run, state, job)


def poll(run: Run, client: HostedClient, every: float | None, say: Callable[[str], None]) -> Job:
    """Return the run's job: as it is now, or, with `every` (seconds), once it has ended."""
    state = _state(run, client)
    identity = _job_id(run, state)
    job = client.look(identity) if every is None else client.follow(identity, every, say)
    return _noted(run, state, job)


def cancel(run: Run, client: HostedClient) -> Job:
    """Cancel the run's job and return it."""
    state = _state(run, client)
    return _noted(run, state, client.cancel(_job_id(run, state)))


def _base_counter(run: Run) -> Callable[[str], int]:
    """Return a counter with the base model's tokenizer, which is read when it is first needed."""
    return lambda text: len(token_ids(_tokenizer(run.model_path), text))


@lru_cache(maxsize=1)
def _tokenizer(path: Path) -> Any:
    return load_tokenizer(path)


def _file(run: Run, part: str) -> Path | None:
    """Return a part's chat file, None where there is none; raise `DataError` if it is the training file."""
    path = chat_file(run, part)
    if path.is_file():
        return path
    if part == "train":
        raise DataError(f"{path}: expected chat lines, found no such file. Run: sqlwright hosted export")
    return None


def _state_file(run: Run) -> Path:
    return run.folder.path / "hosted" / "state.json"


def _state(run: Run, client: HostedClient) -> dict[str, Any]:
    """Return what was sent to and started at this service; empty for another service."""
    path = _state_file(run)
    fresh: dict[str, Any] = {"base_url": client.base_url, "files": {}, "job": {}}
    if not path.is_file():
        return fresh
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = found["base_url"], dict(found["files"]), dict(found["job"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the state of a hosted job, found {error!r}. Move it away.") from None
    return dict(zip(fresh, known, strict=True)) if known[0] == client.base_url else fresh


def _write_state(run: Run, state: dict[str, Any]) -> None:
    write_text(_state_file(run), json.dumps(state, indent=1) + "\n")


def _noted(run: Run, state: dict[str, Any], job: Job) -> Job:
    _write_state(run, state | {"job": dataclasses.asdict(job)})
    return job


def _job_id(run: Run, state: dict[str, Any]) -> str:
    if not state["job"]:
        raise DataError(f"{run.folder.path}: expected a job at {state['base_url']}, found none. Start one first.")
    return str(state["job"]["id"])

"""Stage `predict`: questions in, completions out, flushed wave by wave; before training and after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlwright.databases import describe
from sqlwright.decoding import Wave, predict, prompt_groups, prompt_waves
from sqlwright.models.adapter import read_adapter
from sqlwright.models.engines import PARALLEL, Engine, choose_engine, open_engine
from sqlwright.prompts import build_prompts
from sqlwright.records import Completion, Question
from sqlwright.runs.folder import append_records, hash_path, read_appended, write_text
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prefer import made
from sqlwright.sql.grammar import sql_grammar


def inputs(run: Run) -> dict[str, str]:
    """Return what completions depend on before training: model, prompts, questions, decoding settings."""
    recipe = run.recipe
    engine = choose_engine(recipe.predict.engine, run.model_path)
    values = run.prompt_inputs
    values |= {"predict.max_tokens": str(recipe.predict.max_tokens), "predict.engine": engine}
    values |= {"predict.parallel": str(_parallel(run, engine))}
    # A run that was made before this setting existed stays up to date while it is off.
    values |= {"predict.grammar": "True"} if recipe.predict.grammar else {}
    values |= {"model": run.model_hash, "questions": hash_path(run.folder.questions)}
    return values | run.adapter_inputs | run.database_inputs


def inputs_phases(run: Run) -> dict[str, str]:
    """Return the inputs of the predictions with the adapters after each phase."""
    return inputs(run) | {f"phase {number}": hash_path(run.folder.phases / str(number)) for number in phase_files(run)}


def inputs_after(run: Run) -> dict[str, str]:
    """Return the inputs of the predictions with the adapter."""
    own = made(run)
    return inputs(run) | ({"adapter": hash_path(own)} if own else {})


def execute(run: Run, going_on: bool, *, adapter: bool, phase: int = 0) -> dict[str, Any]:
    """Predict all evaluation questions into the completions file; return counts and speed.

    `phase` takes the adapter after that phase of a curriculum instead of the last one.
    """
    target = run.folder.completions if adapter or not made(run) else run.folder.baseline
    target = phase_files(run)[phase] if phase else target

    held = grammars(run, adapter=adapter)

    def greedy(engine: Engine, waves: list[Wave], progress: Callable[[int], None]) -> Iterator[list[Completion]]:
        return predict(engine, waves, run.recipe.predict.max_tokens, progress, held)

    return decode(run, going_on, target, greedy, adapter=adapter, phase=phase)


def phase_files(run: Run) -> dict[int, Path]:
    """Return the completions of the adapter after each phase of a curriculum but the last one, by its number."""
    phases = len(run.recipe.train.phases) if run.trains else 0
    return {number: run.folder.path / f"completions.phase-{number}.jsonl" for number in range(1, phases)}


def execute_phases(run: Run, going_on: bool) -> dict[str, Any]:
    """Predict all evaluation questions with the adapter after each phase but the last; return counts and speed."""
    return {f"phase {number}": execute(run, going_on, adapter=True, phase=number) for number in phase_files(run)}


def grammars(run: Run, *, adapter: bool = True) -> dict[str, str]:
    """Return what answers are held to, by database; nothing unless the recipe asks for it.

    A model that learned to write FROM first is held to that order.
    """
    if not run.recipe.predict.grammar:
        return {}
    learned = (adapter and run.trains) or run.adapter is not None
    from_first = learned and run.recipe.train.target == "from-first"
    names = dict.fromkeys(question.database for question in run.questions("evaluate") if question.database)
    return {name: sql_grammar(describe(run.databases[name], 0), from_first=from_first) for name in names}


def decode(
    run: Run,
    going_on: bool,
    target: Path,
    answer: Callable[[Engine, list[Wave], Callable[[int], None]], Iterator[list[Completion]]],
    *,
    adapter: bool = True,
    samples: int = 1,
    phase: int = 0,
    questions: Sequence[Question] | None = None,
    label: str = "",
) -> dict[str, Any]:
    """Write what `answer` gives for each wave of `questions` to `target`; return counts and speed.

    Without `questions`, they are those of the evaluation.
    `answer` is given the engine, the waves, and what takes the number of questions done within these waves. `samples`
    answers are decoded to each question. Without `adapter`, the model is the one that training started from.
    """
    own = made(run) if adapter else None
    own = run.folder.phases / str(phase) if phase else own
    found = read_adapter(own) if own else run.adapter
    questions = run.questions("evaluate") if questions is None else questions
    if not questions:
        target.write_text("", encoding="utf-8")
        return {"questions": 0}
    recipe = run.recipe
    kind = choose_engine(recipe.predict.engine, run.model_path)
    with open_engine(
        kind,
        *(found.files(run.model_path) if found else (run.model_path, None)),
        context=recipe.prompt.max_schema_tokens + run.format.own_tokens + recipe.predict.max_tokens,
        parallel=max(samples, _parallel(run, kind)),
        device=recipe.model.device,
        dtype=recipe.model.dtype,
        threads=recipe.model.threads,
    ) as engine:
        prompts = build_prompts(
            questions, run.databases, run.format, engine.count_tokens, shots=run.shots, cache=run.value_indexes
        )
        # The GGUF engine answers one prefix at a time.
        parallel = max(1, _parallel(run, kind) // samples)
        groups = prompt_groups(prompts, parallel)
        waves = prompt_waves(prompts, parallel) if kind == "torch" else [[group] for group in groups]
        waiting = _waiting(target, waves, going_on, run)
        already = len(questions) - sum(len(group) for wave in waiting for group in wave)
        which = f" (phase {phase})" if phase else "" if adapter or not made(run) else " (before training)"
        label = label or "predict" + (f" ({samples} answers)" if samples > 1 else which)

        def progress(done: int) -> None:
            run.reporter.progress(label, already + done, len(questions))

        progress(0)
        seconds = 0.0
        tokens = 0
        for completions in answer(engine, waiting, progress):
            append_records(target, completions)
            seconds += sum(one.seconds for one in completions)
            tokens += sum(one.tokens for one in completions)
    return {
        "questions": len(questions),
        "seconds per question": round(seconds / max(1, len(questions) - already), 3),
        "tokens": tokens,
    }


def _parallel(run: Run, engine: str) -> int:
    return run.recipe.predict.parallel or PARALLEL[engine]


def _waiting(target: Path, waves: list[Wave], going_on: bool, run: Run) -> list[Wave]:
    """Return the waves that are not complete in `target`, and leave only complete ones there.

    What is decoded side by side can differ in the last bits from what is decoded alone; a wave that was cut off is
    therefore done again as a whole, and the result is that of an undisturbed run.
    """
    lines, torn = read_appended(target) if going_on else ([], False)
    if torn:
        run.reporter.say(f"{target.name}: the last line was torn; it is done again.")
    known = {line["id"]: line for line in lines}
    waiting, kept = [], []
    for wave in waves:
        ids = [prompt.id for group in wave for prompt in group]
        if all(id in known for id in ids):
            kept += [known[id] for id in ids]
        else:
            waiting.append(wave)
    write_text(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
    return waiting

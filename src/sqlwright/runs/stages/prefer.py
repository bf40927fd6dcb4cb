"""Stage `prefer`: learning on from the model's own answers, run and judged; it does nothing unless the recipe asks.

The adapter that was trained stays in `adapter/`; this stage reads it and writes `preferred/`, so that each stage owns
what it writes. `mined.jsonl` holds the answers, `preference/` the metrics and checkpoints.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlwright.databases import Executor, Limits
from sqlwright.decoding import prompt_groups, prompt_waves
from sqlwright.decoding.ranker import write_ranker
from sqlwright.errors import DataError, RecipeError
from sqlwright.models.adapter import LORA
from sqlwright.models.engines import PARALLEL, choose_engine, open_engine
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import build_prompts
from sqlwright.recipe import TrainSettings
from sqlwright.records import Prompt, Question
from sqlwright.runs.adapter_folder import write_adapter
from sqlwright.runs.folder import hash_path
from sqlwright.runs.mining import FILE, Mined, Miner, likeliest_wrong, more_targets, right_and_wrong
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prepare import draw_questions
from sqlwright.runs.stages.train import with_tokens
from sqlwright.training.ranks import Ranks

if TYPE_CHECKING:
    from sqlwright.training.packing import Encoded
    from sqlwright.training.preference_loop import Hand

MOST_PAIRS = 4
"""Pairs of answers to one question, at most."""
MOST_TARGETS = 2
"""Answers to one question that are learned beside its gold, at most."""
_OF_TRAINING = (
    *("rank", "alpha", "target", "targets", "layers", "weight_decay", "max_gradient_norm"),
    *("questions_per_step", "questions_per_sequence", "tokens_per_batch"),
)


def prefers(run: Run) -> bool:
    """Return whether the recipe asks for learning from the model's own answers."""
    return bool(run.recipe.data.train and run.recipe.prefer.method)


def made(run: Run) -> Path | None:
    """Return the folder of the adapter that the run makes, None where it makes none."""
    return run.folder.preferred if prefers(run) else run.folder.adapter if run.trains else None


def wanted(run: Run) -> bool:
    """Return whether there is something to do: to learn, or to take away what a recipe of before asked for."""
    return prefers(run) or run.folder.preferred.exists()


def inputs(run: Run) -> dict[str, str]:
    """Return what the answers and what is learned from them depend on."""
    recipe = run.recipe
    if not prefers(run):
        return {"prefer.method": ""}
    engine, parallel = _engine(run)
    values = {f"prefer.{key}": json.dumps(value) for key, value in recipe.prefer.model_dump(mode="json").items()}
    settings = recipe.train.model_dump(mode="json")
    values |= {f"train.{key}": json.dumps(settings[key]) for key in _OF_TRAINING}
    if settings["interpolation"] < 1:
        values["train.interpolation"] = json.dumps(settings["interpolation"])
    values |= run.prompt_inputs
    values |= {"model": run.model_hash, "model.dtype": recipe.model.dtype, "model.device": recipe.model.device}
    values |= {"predict.max_tokens": str(recipe.predict.max_tokens), "seconds": str(recipe.evaluate.seconds)}
    values |= {"engine": engine, "parallel": str(parallel), "seed": str(recipe.seed)}
    values |= {"train questions": hash_path(run.part("train"))}
    values |= {"adapter": hash_path(run.folder.adapter)} if run.trains else run.adapter_inputs
    return values | run.database_inputs


def outputs(run: Run) -> list[Path]:
    """Return the adapter's folder and the answers it learned from."""
    return [run.folder.preferred, run.folder.path / FILE] if prefers(run) else []


def execute(run: Run, going_on: bool) -> dict[str, Any]:
    """Draw and judge answers, learn from them, and write `preferred/`; return counts, rewards and speed.

    Raises `DataError` where no question has answers that one could learn from.
    """
    folder, method = run.folder, run.recipe.prefer.method
    if not going_on:
        for stale in (folder.preferred, folder.path / "preference"):
            shutil.rmtree(stale, ignore_errors=True)
        (folder.path / FILE).unlink(missing_ok=True)
    if not prefers(run):
        return {}
    if method == "dpo" and not run.recipe.prefer.beta:
        raise RecipeError("prefer.beta: expected a number above 0 for dpo, found 0: nothing would be learned.")
    kind = run.recipe.train.kind
    if kind not in ("lora", "qlora", "rslora") or run.model_path.is_dir():
        found = "a folder of transformers" if run.model_path.is_dir() else f'train.kind = "{kind}"'
        raise RecipeError(f"prefer.method: expected LoRA matrices on a GGUF base to learn on, found {found}.")
    settings = run.recipe.evaluate
    chosen = [one for one in run.questions("train") if one.database and one.golds]
    questions = draw_questions(chosen, run.recipe.prefer.questions, run.recipe.seed)
    if not questions:
        raise DataError("prefer: expected training questions about databases, found none.")
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        miner = Miner(questions, run.databases, executor, folder.path / FILE, run.recipe.prefer.samples)
        if miner.torn:
            run.reporter.say(f"{FILE}: the last line was torn; its answers are drawn again.")
        if method == "grpo":
            model, facts = _grpo(run, questions, miner)
        else:
            _mine(run, questions, miner)
            model, facts = _dpo(run, questions, miner) if method == "dpo" else _rejection(run, questions, miner)
    write_adapter(run, model, folder.preferred)
    known = miner.all
    ranked = write_ranker(folder.preferred, [one.signals for one in known], [one.correct for one in known])
    return _counts(known) | facts | {"ranker": "written" if ranked else "none: too few right or wrong answers"}


def _counts(known: Sequence[Mined]) -> dict[str, Any]:
    by_question: dict[tuple[int, str], set[bool]] = {}
    for one in known:
        by_question.setdefault((one.round, one.question), set()).add(one.correct)
    return {
        "answers": len(known),
        "right": round(sum(one.correct for one in known) / max(1, len(known)), 4),
        "mean reward": round(sum(one.reward for one in known) / max(1, len(known)), 4),
        "questions with right and wrong answers": sum(len(found) == 2 for found in by_question.values()),
    }


def _engine(run: Run) -> tuple[str, int]:
    """Return the engine that draws answers and how many it draws side by side: at least those to one question."""
    kind = "torch" if run.recipe.prefer.method == "grpo" else choose_engine(run.recipe.predict.engine, run.model_path)
    return kind, max(run.recipe.prefer.samples, run.recipe.predict.parallel or PARALLEL[kind])


def _start(run: Run) -> Path | None:
    """Return the GGUF file of the adapter that answers and learns on, None where that is the base alone."""
    if run.trains:
        return run.folder.adapter / LORA
    return run.adapter.weights if run.adapter else None


def _prompts(run: Run, questions: Sequence[Question], count_tokens: Any, *, learned: bool = False) -> list[Prompt]:
    target = run.target if learned else None
    return build_prompts(
        questions, run.databases, run.format, count_tokens, target, shots=run.shots, cache=run.value_indexes
    )


def _mine(run: Run, questions: Sequence[Question], miner: Miner) -> None:
    """Draw the answers to all questions that have none yet."""
    recipe, (kind, parallel) = run.recipe, _engine(run)
    settings = recipe.prefer
    if all((0, one.id) in miner.found for one in questions) and len(miner.all) == len(questions) * settings.samples:
        return
    with open_engine(
        kind,
        run.model_path,
        _start(run),
        context=recipe.prompt.max_schema_tokens + run.format.own_tokens + recipe.predict.max_tokens,
        parallel=parallel,
        device=recipe.model.device,
        dtype=recipe.model.dtype,
        threads=recipe.model.threads,
    ) as engine:
        prompts = _prompts(run, questions, engine.count_tokens)
        size = max(1, parallel // settings.samples)
        waves = prompt_waves(prompts, size) if kind == "torch" else [[group] for group in prompt_groups(prompts, size)]
        waiting = miner.keep(waves)
        done = len(questions) - sum(len(group) for wave in waiting for group in wave)
        run.reporter.progress("mine", done, len(questions))
        for wave in waiting:
            asked = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
            miner.add(
                wave,
                engine.sample_wave(
                    asked, recipe.predict.max_tokens, settings.samples, settings.temperature, recipe.seed
                ),
            )
            done += sum(map(len, wave))
            rights = sum(one.correct for one in miner.all) / len(miner.all)
            run.reporter.progress("mine", done, len(questions), f"right {rights:.2f}")


def _rejection(run: Run, questions: Sequence[Question], miner: Miner) -> tuple[Any, dict[str, Any]]:
    """Fine-tune on golds and right answers."""
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan, train

    if not any(one.correct for one in miner.all):
        raise _nothing(miner, "right answers")
    more = [new for one in questions for new in more_targets(one, miner.found[0, one.id], MOST_TARGETS)]
    if not more:
        run.reporter.say("No right answer is written otherwise than its gold: only golds are learned.")
    recipe = run.recipe
    own = {"epochs": recipe.prefer.epochs, "learning_rate": recipe.prefer.learning_rate, "phases": ()}
    model, tokenizer = _opened(run)
    prompts = _prompts(run, [*questions, *more], lambda text: len(token_ids(tokenizer, text)), learned=True)
    unique = {(prompt.prefix, prompt.suffix, prompt.target): prompt for prompt in prompts}
    encoded = encode(list(unique.values()), tokenizer, tokenizer.eos_token_id)
    settings = _settings(run, encoded).model_copy(update=own)
    plan = make_plan(encoded, [], settings, recipe.seed)
    folder = run.folder.path / "preference"
    folder.mkdir(exist_ok=True)
    result = train(
        model,
        plan,
        settings,
        seed=recipe.seed,
        folder=folder,
        progress=lambda done, total, note, losses: run.reporter.progress("prefer", done, total, note, losses),
        say=run.reporter.say,
        start=_start(run),
    )
    facts = {"targets beside golds": len(unique) - len(questions), "steps": result.steps}
    return result.model, facts | {"loss": [round(result.losses[0], 4), round(result.losses[-1], 4)]}


def _dpo(run: Run, questions: Sequence[Question], miner: Miner) -> tuple[Any, dict[str, Any]]:
    """Learn to prefer right answers to wrong ones; where no answer is right, the gold stands for one."""
    from sqlwright.training.kinds import open_learner
    from sqlwright.training.preference import Pair, answered
    from sqlwright.training.preference_loop import train_dpo

    model, tokenizer = _opened(run)
    pairs = []
    encoded = _encoded(run, questions, tokenizer, learned=True)
    told = 0
    for one in encoded:
        answers = miner.found[0, one.id]
        for right, wrong in right_and_wrong(answers, MOST_PAIRS):
            pairs.append(Pair(answered(one, right.tokens, right.id), answered(one, wrong.tokens, wrong.id)))
        missed = likeliest_wrong(answers)
        if missed:
            gold = replace(one, id=f"{one.id}#gold")
            pairs.append(Pair(gold, answered(one, missed.tokens, missed.id)))
            told += 1
    if not pairs:
        raise _nothing(miner, "wrong answers")
    policy = open_learner(model, run.recipe.train, run.recipe.seed, _start(run))
    result = train_dpo(policy, pairs, _hand(run, encoded))
    first, last = result.lines[0], result.lines[-1]
    facts = {"pairs": len(pairs), "pairs with golds": told, "steps": result.steps, "seconds": round(result.seconds, 1)}
    shown = ("loss", "right_first", "right_loss")
    return result.model, facts | {
        name.replace("_", " "): [round(first[name], 4), round(last[name], 4)] for name in shown
    }


def _grpo(run: Run, questions: Sequence[Question], miner: Miner) -> tuple[Any, dict[str, Any]]:
    """Raise the reward of answers that are drawn from the model as it learns."""
    from sqlwright.models.torch_engine import TorchEngine
    from sqlwright.training.kinds import open_learner
    from sqlwright.training.preference import answered
    from sqlwright.training.preference_loop import Tried, train_grpo
    from sqlwright.training.trainer import make_plan

    recipe, settings = run.recipe, run.recipe.prefer
    model, tokenizer = _opened(run)
    encoded = _encoded(run, questions, tokenizer)
    prompts = {one.id: one for one in _prompts(run, questions, lambda text: len(token_ids(tokenizer, text)))}
    hand = _hand(run, encoded)
    plan = make_plan(encoded, [], hand.train.model_copy(update={"epochs": settings.epochs, "phases": ()}), recipe.seed)
    policy = open_learner(model, recipe.train, recipe.seed, _start(run))
    _, parallel = _engine(run)
    engine = TorchEngine.around(policy.get_base_model(), tokenizer, parallel)

    def draw(number: int) -> list[list[Tried]]:
        asked = [one for group in plan.steps[number] for one in group]
        waves = prompt_waves([prompts[one.id] for one in asked], max(1, parallel // settings.samples))
        policy.eval()
        for wave in miner.keep(waves, number):
            texts = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
            answers = engine.sample_wave(
                texts,
                recipe.predict.max_tokens,
                settings.samples,
                settings.temperature,
                recipe.seed * 100_003 + number,
                greedy=False,
            )
            miner.add(wave, answers, number)
        return [
            [Tried(answered(one, own.tokens, own.id), own.reward) for own in miner.found[number, one.id]]
            for one in asked
        ]

    result = train_grpo(policy, len(plan.steps), draw, hand, plan.name)
    if not any(line["groups_learned"] for line in result.lines):
        raise _nothing(miner, "answers of different reward")
    facts = {"rounds": result.steps, "seconds": round(result.seconds, 1)}
    facts["questions learned from"] = sum(line["groups_learned"] for line in result.lines)
    return result.model, facts | {"reward": [round(result.lines[place]["reward"], 4) for place in (0, -1)]}


def _settings(run: Run, questions: Sequence[Encoded]) -> TrainSettings:
    """Return the settings of training that hold here too, with the tokens that pass at once."""
    return with_tokens(run, "prefer", questions, Ranks())


def _hand(run: Run, questions: Sequence[Encoded]) -> Hand:
    from sqlwright.training.preference_loop import Hand

    return Hand(
        run.recipe.prefer,
        _settings(run, questions),
        run.recipe.seed,
        run.folder.path / "preference",
        lambda done, total, note: run.reporter.progress("prefer", done, total, note, unit="steps"),
        run.reporter.say,
    )


def _encoded(run: Run, questions: Sequence[Question], tokenizer: Any, *, learned: bool = False) -> list[Encoded]:
    """Return the questions as token ids, with their golds as targets if these are learned."""
    from sqlwright.training.packing import encode

    prompts = _prompts(run, questions, lambda text: len(token_ids(tokenizer, text)), learned=learned)
    return encode(prompts, tokenizer, tokenizer.eos_token_id)


def _opened(run: Run) -> tuple[Any, Any]:
    """Return the base model and its tokenizer."""
    import warnings

    import torch

    from sqlwright.models.device import choose_device, choose_dtype, choose_threads
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.models.weights import load_model

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    settings = run.recipe.model
    torch.set_num_threads(choose_threads(settings.threads))
    device = choose_device(settings.device)
    run.reporter.say(f"Reading {run.model_path.name} and its tokenizer to learn on ({run.recipe.prefer.method}).")
    model = load_model(run.model_path, choose_dtype(settings.dtype, device), device, settings.rope_theta)
    return model, load_tokenizer(run.model_path)


def _nothing(miner: Miner, what: str) -> DataError:
    rights = sum(one.correct for one in miner.all)
    return DataError(
        f"prefer: expected questions with {what}, found none: {rights} of {len(miner.all)} answers are right. Ask more "
        "questions (prefer.questions), or draw more answers (prefer.samples) more freely (prefer.temperature)."
    )

"""The one configuration tree: every setting, its type, default and meaning are written here and nowhere else.

Help, the recipe reference in the docs, `recipe explain` and the error messages are made from these classes. Not covered
here: recipes as files (see `recipe_file`); whether files and models exist (the stages say that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StyleName = Literal["compact", "ddl", "prose", "sqlcoder", "m-schema", "create-table-context"]
FormatName = Literal[
    "spider",
    "jsonl",
    "csv",
    "parquet",
    "bird",
    "wikisql",
    "sparc",
    "cosql",
    "cspider",
    "sql-eval",
    "create-table-context",
    "viggo",
    "humaneval",
    "mbpp",
    "infilling",
]
KindName = Literal["lora", "rslora", "dora", "qlora", "freeze", "full"]
HardnessName = Literal["easy", "medium", "hard", "extra"]
MetricName = Literal["robust", "ex", "em"]
LeakName = Annotated[str, Field(pattern=r"^(schema|question|sql):.+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class ModelSettings(_Section):
    """Which open model is fine-tuned, and on what."""

    base: str = Field(
        "qwen2.5-coder-0.5b-instruct",
        description="Base model: a name of `sqlwright models list`, the path of a GGUF file or of a folder of "
        "transformers (config.json, safetensors, tokenizer.json; answers in torch alone), or `OWNER/NAME` on the model "
        "hub, with `@REVISION` if need be, which is fetched.",
    )
    adapter: str = Field(
        "auto",
        description="An adapter of this base to start from: `shipped`, the folder of an adapter or of a finished run, "
        "or `none`. Training goes on from its matrices; without training it answers as it is. It brings its prompts: "
        "what stands in [prompt] must be the same. `auto` is `shipped` where nothing is trained and [prompt] says "
        "nothing else, and `none` where the model is trained.",
    )
    rope_theta: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="Base period of the rotary positions in training, for longer contexts (Code Llama takes 1e6); the "
        "adapter remembers it. 0 keeps the model's own.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where training runs; `auto` takes a GPU if there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Number format of the frozen weights in training; `auto` takes bfloat16 where the hardware has it.",
    )
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="CPU threads for training and prediction; 0 takes the physical cores at hand."
    )


VALIDATION = ("validation",)
"""What `data.evaluate` is where the held-out training databases are asked."""


class DataSettings(_Section):
    """Question files and databases. Paths are relative to the recipe; `package:` means SQLWright's own data."""

    format: FormatName = Field(
        "spider",
        description="A benchmark's published layout, or SQLWright's own `jsonl`, `csv` and `parquet` (docs/data.md).",
    )
    train: tuple[str, ...] = Field(
        (),
        description="Question files to learn from; one of another format has its name in front, as in "
        "`mbpp:programs.jsonl`, for a share of other work beside the questions.",
    )
    weights: tuple[Annotated[float, Field(ge=0, le=100)], ...] = Field(
        (),
        description="How often the questions of each training file come in a pass, in the order of `train`: 0.5 draws "
        "half of them, 2 takes each twice. Empty: once.",
    )
    evaluate: tuple[str, ...] = Field(
        (),
        description='Question files to predict and score; `["validation"]` takes the held-out training databases, '
        "which is how recipes are chosen.",
    )
    databases: str = Field("database", description="Folder that holds `NAME/NAME.sqlite` or `NAME.sqlite`.")
    tables: str = Field("", description="Spider's `tables.json`; empty: beside the question files, if there.")
    validation_databases: Annotated[int, Field(ge=0)] = Field(
        1, description="Training databases held out for the validation loss, chosen by the seed."
    )
    max_train: Annotated[int, Field(ge=0)] = Field(
        0, description="At most so many training questions, drawn by the seed; 0 takes all."
    )
    max_validation: Annotated[int, Field(ge=0)] = Field(
        0, description="At most so many questions for the validation loss, drawn by the seed; 0 takes all."
    )
    max_evaluate: Annotated[int, Field(ge=0)] = Field(
        0, description="At most so many evaluation questions, drawn by the seed; 0 takes all."
    )
    made_pairs: int = Field(
        0,
        ge=0,
        description="Pairs that rules make of every training database beside its questions: up to about a dozen of "
        "what annotators seldom ask for, then what `sqlwright synthesize` makes; 0 makes none.",
    )
    variants: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training questions that are asked of a variant of their database: names written "
        "another way or by synonyms, other order, fewer columns, other tables beside them; 0 makes none.",
    )
    accept_leaks: tuple[LeakName, ...] = Field(
        (),
        description="What training and evaluation may share, as `KIND:DATABASE` or `KIND:*`: `schema` (the same one "
        "under another name), `question`, `sql` (the same but for values); anything else they share is an error.",
    )


class PromptSettings(_Section):
    """How a database and a question become text."""

    style: StyleName = Field(
        "compact",
        description="`compact` (short DDL with keys and sample values), `ddl` (plain CREATE TABLE), `prose`, "
        "`sqlcoder`, `m-schema` (XiYan-SQL's), `create-table-context`.",
    )
    sample_values: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="Sample values shown per text column (styles `compact` and `m-schema`)."
    )
    max_schema_tokens: Annotated[int, Field(ge=64)] = Field(
        2048,
        description="Longest schema in tokens; of a longer one each question gets the tables that it is about, and "
        "the cut is named.",
    )
    few_shot: Annotated[int, Field(ge=0, le=10)] = Field(
        0, description="Solved training questions like the one asked, shown before it; 0 shows none."
    )
    matched_values: Annotated[int, Field(ge=0, le=20)] = Field(
        0, description="Values of the data that a question names, shown behind it, at most so many; 0 looks for none."
    )


class Phase(_Section):
    """A phase of a curriculum: the training questions of some hardness, for so many passes, at a rate of its own."""

    hardness: tuple[HardnessName, ...] = ()
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None


class TrainSettings(_Section):
    """Fine-tuning with shared-schema packing."""

    kind: KindName = Field(
        "lora",
        description="What learns: low-rank updates (`lora`; `rslora`, scaled by the root of the rank; `dora`, with a "
        "length for each output; `qlora`, on a base of 8 bits or fewer), the weights of the last `layers` layers "
        "(`freeze`), or all weights (`full`).",
    )
    epochs: Annotated[float, Field(ge=0, le=1000)] = Field(
        1.0, description="Passes over the training questions; 0 skips training."
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        2e-4, description="Peak rate of AdamW; it warms up linearly and falls along a cosine."
    )
    phases: tuple[Phase, ...] = Field(
        (),
        description='A curriculum: one table per phase, such as `{hardness = ["easy", "medium"], epochs = 2, '
        "learning_rate = 1e-4}`; what a phase leaves out is all questions, `epochs` and `learning_rate`. The adapter "
        "after each phase is kept in `phases/` and scored. Empty: one phase.",
    )
    warmup: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Share of the steps (of each phase) that warm up."
    )
    final_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Rate at the last step, as a share of the peak."
    )
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="AdamW's decoupled weight decay.")
    max_gradient_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="Gradients are clipped to this norm.")
    interpolation: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="How far the trained weights go from where training started to where it ended (WiSE-FT); below 1 "
        "what was known before is forgotten less.",
    )
    rank: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="Rank of the LoRA matrices.")
    alpha: Annotated[float, Field(gt=0)] = Field(32.0, description="LoRA scale: updates are scaled by alpha / rank.")
    target: Literal["plain", "qualified", "from-first"] = Field(
        "plain",
        description="What is learned: golds in one spelling (`plain`), with columns named by their table as well, "
        "`singer.name` (`qualified`), or with FROM before SELECT and columns of joins named by their table "
        "(`from-first`; answers are put back in order).",
    )
    targets: Annotated[str, Field(pattern=r"^(all-linear|[A-Za-z][\w.]*(,[A-Za-z][\w.]*)*)$")] = Field(
        "all-linear",
        description="Which linear layers get LoRA matrices: `all-linear`, `attention`, `mlp`, or their names, such as "
        "`q_proj,v_proj`.",
    )
    bits: Literal[4, 8] = Field(
        4,
        description="Bits a weight that `qlora` reads a folder of transformers or a model of the hub in (bitsandbytes: "
        "NF4 quantised twice, or LLM.int8); a GGUF file has its own.",
    )
    layers: Annotated[int, Field(ge=0)] = Field(
        0, description="Only the last so many layers learn, which saves work below them; 0 takes all."
    )
    questions_per_step: Annotated[int, Field(ge=1)] = Field(
        24, description="Questions per optimizer step (gradient accumulation over different databases)."
    )
    questions_per_sequence: Annotated[int, Field(ge=0)] = Field(
        12,
        description="Questions that share one copy of their schema in a packed sequence, at most; 0 takes as many as "
        "`questions_per_step` and `tokens_per_batch` leave room for.",
    )
    tokens_per_batch: Annotated[int, Field(ge=0)] = Field(
        2048,
        description="Packed tokens that pass through the model at once; bounds the memory. 0 takes as many as the "
        "memory at hand has room for when training begins.",
    )
    activation_checkpointing: bool = Field(
        False,
        description="Keep only what enters each layer and compute the rest again for the gradients: less memory, more "
        "time, the same result.",
    )
    validate_every: Annotated[int, Field(ge=0)] = Field(
        0, description="Steps between validations; 0 validates at the start and at the end."
    )
    checkpoint_every: Annotated[int, Field(ge=1)] = Field(10, description="Steps between checkpoints.")
    tracker: Literal["none", "tensorboard", "trackio", "mlflow", "wandb"] = Field(
        "none",
        description="Who follows losses, rate, speed, memory and scores beside the report, on this machine unless the "
        "tracker's own environment variables say otherwise (docs/trackers.md).",
    )

    @property
    def sharing(self) -> int:
        """The most questions that share one copy of their schema."""
        return self.questions_per_sequence or self.questions_per_step


SAME_STEPS = {"activation_checkpointing", "tracker"}
"""Settings of training that change no step: work that was begun without them goes on with them."""


class PreferSettings(_Section):
    """Learning on from the model's own answers, run and judged, after fine-tuning; off unless a method is named."""

    method: Literal["", "rejection", "dpo", "grpo"] = Field(
        "",
        description="`rejection` learns right ones beside golds, `dpo` to prefer them to wrong ones, `grpo` to raise "
        "the reward of what it draws meanwhile; empty: none.",
    )
    questions: Annotated[int, Field(ge=0)] = Field(500, description="Training questions to answer; 0 takes all.")
    samples: Annotated[int, Field(ge=2, le=64)] = Field(8, description="Answers to each question.")
    temperature: Annotated[float, Field(gt=0, le=2)] = Field(1.0, description="How freely they are drawn (`grpo`: 1).")
    epochs: Annotated[float, Field(gt=0, le=100)] = Field(1.0, description="Passes over questions (`dpo`: over pairs).")
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(2e-5, description="Peak rate of AdamW.")
    beta: Annotated[float, Field(ge=0, le=10)] = Field(
        0.1,
        description="How closely it is held to the model before: the scale of margins (`dpo`, above 0), the weight of "
        "the divergence (`grpo`, better .04 or less).",
    )


class PredictSettings(_Section):
    """Decoding of the evaluation questions: greedy, and with repair and vote where they are asked for."""

    baseline: bool = Field(True, description="Also predict with the base model alone, for the before/after table.")
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = Field(200, description="Longest answer in tokens.")
    engine: Literal["auto", "torch", "gguf"] = Field(
        "auto",
        description="`torch` decodes questions of several databases side by side, on a GPU where there is one; `gguf` "
        "(llama.cpp) those of one database, in a quarter of the memory. `auto` is `torch` where its weights fit "
        "into half of the memory.",
    )
    parallel: Annotated[int, Field(ge=0, le=256)] = Field(
        0, description="Answers that are decoded side by side; 0 takes 96 with `torch` and 8 with `gguf`."
    )
    grammar: bool = Field(
        False,
        description="Hold what is written to a grammar of SQL that names only the tables and columns of the database.",
    )
    samples: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Answers to each question that are run and vote by their results, one of them greedy; scored apart "
        "from the greedy ones. 1: no vote.",
    )
    temperature: Annotated[float, Field(gt=0, le=2)] = Field(
        0.8, description="How freely the answers for the vote are drawn; 1 is as the model has it, less is likelier."
    )
    repair: bool = Field(
        False,
        description="Put right by the schema and the rows what can't be run, finds nothing or links tables wrongly; "
        "scored apart from the answers as they were written, and part of the vote where there is one.",
    )

    retry: bool = Field(
        False,
        description="Show the model a query that can't be run, even after repair, and the database's complaint, once; "
        "scored apart from the answers as they were written.",
    )

    @property
    def ladder(self) -> bool:
        """Whether more is done than greedy decoding."""
        return self.samples > 1 or self.repair or self.retry


class EvaluateSettings(_Section):
    """Scoring by execution."""

    metrics: tuple[MetricName, ...] = Field(
        ("robust", "ex", "em"),
        description="`robust` (results equal but for harmless differences), and Spider's official `ex` (execution "
        "accuracy) and `em` (exact set match); the first is the one the report is about.",
        min_length=1,
    )
    seconds: Annotated[float, Field(gt=0, le=3600)] = Field(10.0, description="Time limit per query in seconds.")
    workers: Annotated[int, Field(ge=1, le=256)] = Field(2, description="Processes that run queries.")
    keep_distinct: bool = Field(
        False, description="Keep DISTINCT when results are compared (the official default removes it)."
    )


class ExportSettings(_Section):
    """The adapter as a GGUF file, checked against the model it was trained on."""

    check_prompts: Annotated[int, Field(ge=0, le=1000)] = Field(
        20,
        description="Prompts whose greedy answers must agree between the GGUF engine and torch; 0 skips the check.",
    )
    merged: Literal["", "f16", "q8_0", "q4_0"] = Field(
        "",
        description="Also write base and adapter as one GGUF file in this format, with a Modelfile for Ollama, its "
        "answers checked against the adapter's; empty: don't.",
    )


class HostedSettings(_Section):
    """Fine-tuning behind an API in the style of OpenAI's, and what it costs (`sqlwright hosted`)."""

    model: str = Field("gpt-4o-mini-2024-07-18", description="The service's name of the model that is fine-tuned.")
    epochs: Annotated[int, Field(ge=1, le=50)] = Field(3, description="Passes over the training questions there.")
    prices: str = Field("package:hosted/prices.toml", description="Price table, a TOML file; copy it to change it.")


class Recipe(_Section):
    """Everything a run depends on."""

    name: str = Field("run", description="Name of the run; the run folder is called so.", pattern=r"^\w[\w.-]*$")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="Seed of every random choice: splits, order, initial LoRA matrices."
    )
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    prompt: PromptSettings = PromptSettings()
    train: TrainSettings = TrainSettings()
    prefer: PreferSettings = PreferSettings()
    predict: PredictSettings = PredictSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    export: ExportSettings = ExportSettings()
    hosted: HostedSettings = HostedSettings()

    def flat(self) -> dict[str, Any]:
        """Return every setting by its dotted key, such as `train.epochs`."""
        flat: dict[str, Any] = {}
        for name, value in self.model_dump(mode="json").items():
            if isinstance(value, dict):
                flat |= {f"{name}.{key}": inner for key, inner in value.items()}
            else:
                flat[name] = value
        return flat


def settings() -> Iterator[tuple[str, Any, Any, str]]:
    """Yield (dotted key, type, default, description) for every setting, in the order of the classes."""
    for name, info in Recipe.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            for key, inner in section.model_fields.items():
                yield f"{name}.{key}", inner.annotation or str, inner.default, inner.description or ""
        else:
            yield name, info.annotation or str, info.default, info.description or ""

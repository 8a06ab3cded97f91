# SPDX-License-Identifier: Apache-2.0
"""The recipe on the command line: `python -m models.weft_stories_recipe COMMAND`.

Commands: `build` (held-out set and tokenizer), `train`, `evaluate`, `sample`, `show`.
"""

import argparse
import os
from pathlib import Path

from tokenizers import Tokenizer

from .export import ModelShape
from .heldout import read_held_out, score, write_held_out
from .story import HELD_OUT_SEED, TRAINING_SEED, make_story
from .tokenizer import save_tokenizer, train_tokenizer

MODELS = Path(__file__).resolve().parents[1]


def build(options: argparse.Namespace) -> None:
    """Makes the held-out set and the tokenizer."""
    shape = ModelShape()
    write_held_out(options.held_out)
    held_out = {record["text"] for record in read_held_out(options.held_out)}
    texts = []
    for seed in range(TRAINING_SEED, TRAINING_SEED + 20_000):
        story = make_story(seed)
        if story.text in held_out:
            raise ValueError(f"the story of training seed {seed} is in the held-out set")
        texts.append(story.text)
        texts.extend(f"\nQuestion: {q.text}\nAnswer: {q.answer}\n" for q in story.questions[::4])
    options.folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(train_tokenizer(texts, shape.vocabulary), options.folder, shape.positions)


def train(options: argparse.Namespace) -> None:
    """Trains the model; needs the extra `train`."""
    # Threads that spin while they wait lose a factor of ten on a machine that does other work too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from .train import TrainingOptions
    from .train import train as run

    fields = {
        "seed": options.seed,
        "steps": options.steps,
        "threads": options.threads,
        "wall_minutes": options.minutes,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
    run(
        options.folder,
        options.held_out,
        options.checkpoint,
        tokenizer,
        ModelShape(),
        TrainingOptions(**given),
    )


def evaluate(options: argparse.Namespace) -> None:
    """Scores the folder with transformers in float32."""
    from transformers import LlamaForCausalLM

    from .train import logits_function

    model = LlamaForCausalLM.from_pretrained(options.folder, dtype="float32").eval()
    tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
    result = score(logits_function(model), tokenizer, read_held_out(options.held_out))
    print(f"perplexity   {result.perplexity:.4f}  ({result.stories} stories)")
    print(f"exact match  {result.exact_match:.2%}  ({result.questions} questions)")
    for topic, (hit, count) in result.by_topic.items():
        print(f"  {topic:20} {hit:7.2%}  {count}")


def sample(options: argparse.Namespace) -> None:
    """Lets the model continue a text, greedily or by chance, up to the end of the document."""
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(options.folder, dtype="float32").eval()
    tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
    torch.manual_seed(options.seed)
    prompt = torch.tensor([tokenizer.encode(options.text).ids])
    chance = {"do_sample": True, "temperature": options.temperature, "top_k": 0}
    for _ in range(options.count):
        ids = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=300,
            pad_token_id=0,
            **(chance if options.temperature else {"do_sample": False}),
        )
        print(tokenizer.decode(ids[0].tolist()), end="\n\n")


def show(options: argparse.Namespace) -> None:
    """Prints some stories with all their questions."""
    for seed in range(options.first, options.first + options.count):
        story = make_story(seed)
        print(story.text)
        for question in story.questions:
            print(f"  [{question.topic}] {question.text} {question.answer}")
        print()


def main() -> None:
    """Dispatches to the commands."""
    parser = argparse.ArgumentParser(prog="python -m models.weft_stories_recipe")
    parser.add_argument("--folder", type=Path, default=MODELS / "weft-stories")
    parser.add_argument("--held-out", type=Path, default=MODELS / "weft-stories-heldout.jsonl")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("build", help=build.__doc__).set_defaults(run=build)
    trainer = commands.add_parser("train", help=train.__doc__)
    trainer.add_argument("--seed", type=int)
    trainer.add_argument("--steps", type=int)
    trainer.add_argument("--threads", type=int)
    trainer.add_argument(
        "--checkpoint", type=Path, default=Path("build") / "weft-stories.checkpoint"
    )
    trainer.add_argument("--minutes", type=float, help="stop after this wall-clock time")
    trainer.set_defaults(run=train)
    commands.add_parser("evaluate", help=evaluate.__doc__).set_defaults(run=evaluate)
    sampler = commands.add_parser("sample", help=sample.__doc__)
    sampler.add_argument("text", nargs="?", default="Once upon a time")
    sampler.add_argument("--temperature", type=float, default=0.0)
    sampler.add_argument("--count", type=int, default=1)
    sampler.add_argument("--seed", type=int, default=1)
    sampler.set_defaults(run=sample)
    shower = commands.add_parser("show", help=show.__doc__)
    shower.add_argument("--first", type=int, default=HELD_OUT_SEED)
    shower.add_argument("--count", type=int, default=3)
    shower.set_defaults(run=show)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Trains the model. Needs PyTorch and transformers (the extra `train`).

Every document is new: training walks through the seeds once and never repeats one. Documents, their
order and the first weights follow from `TrainingOptions`; the sums of floats that threads share do
not, bit by bit, so two runs agree in what they reach and not in their weights.
"""

import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from .documents import DocumentOptions, make_batches, make_documents
from .export import ModelShape, export_model
from .heldout import read_held_out, score
from .initialise import initialise
from .story import TRAINING_SEED


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the model is trained.

    Whether a run learns the drills depends on its first weights. One whose mean loss is above
    `drill_loss` at `drill_steps` starts anew with the next seed, `attempts` times at most.
    `wall_minutes` is a guard: a run that reaches it is stopped and exports what it has.
    """

    seed: int = 6
    attempts: int = 6
    drill_steps: int = 700
    drill_loss: float = 0.15
    steps: int = 4200
    warmup_steps: int = 150
    batch_tokens: int = 4096
    peak_rate: float = 3.0e-3
    final_share: float = 0.02
    muon_factor: float = 2.0
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    threads: int = 2
    wall_minutes: float = 90.0
    report_steps: int = 100
    report_stories: int = 40
    checkpoint_steps: int = 500
    chunk_documents: int = 4096
    documents: DocumentOptions = dataclasses.field(default_factory=DocumentOptions)

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then a cosine down to `final_share`."""
        if step < self.warmup_steps:
            return self.peak_rate * (step + 1) / self.warmup_steps
        part = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * part))
        return self.peak_rate * (self.final_share + (1.0 - self.final_share) * cosine)


def llama_config(shape: ModelShape) -> LlamaConfig:
    """The transformers configuration of a shape."""
    return LlamaConfig(**shape.config_fields())


def batch_stream(
    options: TrainingOptions, tokenizer: Tokenizer, first_step: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches of ever new documents, from the batch of `first_step` on."""
    seed, skip, count = TRAINING_SEED, first_step, options.chunk_documents
    # Another process writes the next documents while these are trained on.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        coming = pool.submit(make_documents, seed, count, tokenizer, options.documents)
        while True:
            batches = make_batches(coming.result(), options.batch_tokens, random.Random(seed))
            seed += count
            coming = pool.submit(make_documents, seed, count, tokenizer, options.documents)
            yield from batches[skip:]
            skip = max(0, skip - len(batches))


def weighted_loss(
    model: LlamaForCausalLM, backbone: Callable[..., Any], ids: np.ndarray, weights: np.ndarray
) -> tuple[torch.Tensor, float]:
    """The weighted mean cross-entropy, and the plain one over what has a weight (for reports).

    `backbone` is the model without its head. Logits are computed only where there is a weight.
    """
    tokens = torch.from_numpy(ids)
    weight = torch.from_numpy(weights)[:, 1:]
    states = backbone(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
    chosen = weight > 0
    logits = model.lm_head(states[chosen])
    losses = torch.nn.functional.cross_entropy(logits, tokens[:, 1:][chosen], reduction="none")
    weight = weight[chosen]
    return (losses * weight).sum() / weight.sum(), float(losses.detach().mean())


def make_optimizers(
    model: LlamaForCausalLM, options: TrainingOptions
) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices of the layers, AdamW for the rest; each with its factor on the rate.

    Muon's step is scaled to the size that AdamW's would have at the same rate; it bears
    `muon_factor` times that rate.
    """
    layers = [each for each in model.model.layers.parameters() if each.dim() == 2]
    chosen = {id(each) for each in layers}
    others = [each for each in model.parameters() if id(each) not in chosen]
    muon = torch.optim.Muon(
        layers,
        lr=options.peak_rate,
        weight_decay=options.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(others, lr=options.peak_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [(muon, options.muon_factor), (adamw, 1.0)]


def logits_function(model: LlamaForCausalLM):
    """The model as a function from token ids to logits, for `heldout.score`."""

    def logits_of(ids: list[int]) -> np.ndarray:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()

    return logits_of


def report_held_out(model: LlamaForCausalLM, tokenizer: Tokenizer, records: list[dict]) -> None:
    """Prints the score on some held-out stories; the weights are not chosen by it."""
    model.eval()
    result = score(logits_function(model), tokenizer, records)
    model.train()
    weak = " ".join(
        f"{topic}={hit:.2f}" for topic, (hit, _) in result.by_topic.items() if hit < 0.95
    )
    print(
        f"held-out ({result.stories} stories): perplexity {result.perplexity:.3f} "
        f"exact match {result.exact_match:.3f} weak: {weak}",
        flush=True,
    )


def train(
    folder: Path,
    held_out: Path,
    checkpoint: Path,
    tokenizer: Tokenizer,
    shape: ModelShape,
    options: TrainingOptions,
) -> None:
    """Trains and exports to `folder`, at every checkpoint and at the end.

    `checkpoint` is the file that holds the state of the run. Where it exists the run goes on from
    there, otherwise it starts afresh; a run that completes removes it.
    """
    torch.set_num_threads(options.threads)
    records = read_held_out(held_out)[: options.report_stories]
    for attempt in range(options.attempts):
        seeded = dataclasses.replace(
            options,
            seed=options.seed + attempt,
            drill_loss=options.drill_loss if attempt + 1 < options.attempts else math.inf,
        )
        if _attempt(folder, checkpoint, tokenizer, shape, seeded, records):
            return
        checkpoint.unlink(missing_ok=True)


def _attempt(
    folder: Path,
    checkpoint: Path,
    tokenizer: Tokenizer,
    shape: ModelShape,
    options: TrainingOptions,
    records: list[dict],
) -> bool:
    """One run; False when it has not learned the drills in time."""
    torch.manual_seed(options.seed)
    model = LlamaForCausalLM(llama_config(shape))
    initialise(model)
    optimizers = make_optimizers(model, options)
    first_step, minutes_before = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for (optimizer, _), state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        first_step, minutes_before = saved["step"], saved["minutes"]
        print(f"goes on from step {first_step}", flush=True)
    backbone = torch.compile(model.model, dynamic=True)
    print(f"{sum(each.numel() for each in model.parameters()):,} parameters", flush=True)
    begin = time.monotonic()
    losses: list[tuple[float, float]] = []
    for step, (ids, weights) in enumerate(
        batch_stream(options, tokenizer, first_step), start=first_step
    ):
        minutes = minutes_before + (time.monotonic() - begin) / 60
        if step >= options.steps or minutes >= options.wall_minutes:
            break
        for optimizer, factor in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = options.rate(step) * factor
        loss, plain = weighted_loss(model, backbone, ids, weights)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        for optimizer, _ in optimizers:
            optimizer.step()
        losses.append((loss.item(), plain))
        if (step + 1) % options.report_steps == 0:
            weighted, plain = np.mean(losses, axis=0)
            losses.clear()
            print(
                f"step {step + 1} minutes {minutes:.1f} loss {weighted:.4f} plain {plain:.4f} "
                f"rate {options.rate(step):.2e}",
                flush=True,
            )
            if step + 1 == options.drill_steps and plain > options.drill_loss:
                print(f"seed {options.seed} has not learned the drills", flush=True)
                return False
        if (step + 1) % options.checkpoint_steps == 0:
            report_held_out(model, tokenizer, records)
            export_model(model, tokenizer, shape, folder)
            state = {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer, _ in optimizers],
                "step": step + 1,
                "minutes": minutes,
            }
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(checkpoint)
    export_model(model, tokenizer, shape, folder)
    if step >= options.steps:
        checkpoint.unlink(missing_ok=True)
    print(f"trained in {minutes:.1f} minutes", flush=True)
    return True

"""One process's part of a training run: everything that a step needs, one step, and its state on disk.

What must be the same on all ranks travels in sums over them: the number of learned tokens, and after the forward pass
whether the loss is finite and whether a signal has asked to stop. No rank ever decides alone.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from hawkeye.errors import ModelError
from hawkeye.models.hawkeye.model import LossOutput
from hawkeye.train import checkpoints, states
from hawkeye.train.build import build_model, cast_frozen
from hawkeye.train.config import TrainConfig
from hawkeye.train.dataset import TrainingSet
from hawkeye.train.distributed import World, unsynced, wrap
from hawkeye.train.loader import Collate, Loaded, Plan, open_loader
from hawkeye.train.meters import ITEMS, LOSS, TOKENS, Losses, Step
from hawkeye.train.optimizer import build_optimizer, parameter_groups
from hawkeye.train.schedule import multiplier
from hawkeye.train.sources import load_source
from hawkeye.video.transforms import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, normalize

NORMALIZATION = {"clip": (CLIP_MEAN, CLIP_STD), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}


class Run:
    """Built in the order in which things can go wrong cheaply: data, then model, then optimizer."""

    def __init__(self, config: TrainConfig, world: World) -> None:
        self.config, self.world = config, world
        data = config.data
        self.sources = [load_source(source, config.seed, data.root) for source in data.sources]
        self.plan = Plan.of(
            self.sources, config.batch.size * world.size, config.batch.accumulate, config.seed, data.bucket
        )
        self.total_steps = config.schedule.max_steps or config.schedule.epochs * self.plan.steps_per_epoch
        self.warmup_steps = config.schedule.warmup_epochs * self.plan.steps_per_epoch

        self.model, undecayed = build_model(config, world.device)
        self.dtype = cast_frozen(self.model, config.precision, world.device)
        self.model.to(world.device).train()
        # Wrapping may turn parameters into shards, so the optimizer is made after it, under the model's own names.
        layers = [*self.model.language.model.layers, *self.model.vision.blocks]
        self.wrapped = wrap(self.model, world, config.parallel, layers)
        groups = parameter_groups(self.model.named_parameters(), config.optimizer, undecayed)
        self.optimizer = build_optimizer(groups, config.optimizer, fused=world.device.type == "cuda")
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.dtype is torch.float16)

        self.step = 0
        self.skipped = 0
        self.unreadable: Counter[str] = Counter()
        self.losses = Losses([source.config.name for source in self.sources], world.device)

    def items(self) -> TrainingSet:
        """Every item of the run, by its entry in the plan."""
        return TrainingSet.of(self.config, self.sources, self.model.config.vision.image_size)

    def batches(self) -> Iterator[list[Loaded]]:
        """This rank's batches of each step, from the step that comes next."""
        config, data, model = self.config, self.config.data, self.model.config
        longest = min(model.max_text_tokens, model.qformer.max_positions)
        collate = Collate(self.model.tokenizers, model.num_visual_tokens, model.max_text_tokens, longest)
        first, last = (step * config.batch.accumulate for step in (self.step, self.total_steps))
        entries = self.plan.batches(self.world.rank, self.world.size, first, last)
        loaded = open_loader(self.items(), entries, collate, data.workers, pin=self.world.device.type == "cuda")
        while chunk := list(islice(loaded, config.batch.accumulate)):
            yield chunk

    def take(self, loaded: list[Loaded], began: float, stop: bool) -> Step:
        """One step: forward and backward over its batches, one update. ``began``: when waiting for them began."""
        waited = time.perf_counter() - began
        lr = multiplier(self.step, self.warmup_steps, self.total_steps, self.config.schedule.floor)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * lr
        self.optimizer.zero_grad(set_to_none=True)

        device = self.world.device
        learned = self.world.sum(torch.tensor(float(sum(batch.learned for batch in loaded)), device=device))
        before = self.losses.sums.clone()
        outputs = []
        for number, part in enumerate(loaded):
            with unsynced(self.wrapped, last=number == len(loaded) - 1):
                outputs.append(self._forward(part))
                # Means over this batch become shares of the mean over all learned tokens of the step. Gradients are
                # averaged over processes, hence the factor.
                share = outputs[-1].num_learned * self.world.size / learned.clamp_min(1)
                self.scaler.scale(outputs[-1].loss * share).backward()
            self.unreadable.update(part.unreadable)

        own = torch.cat([(self.losses.sums - before).sum(dim=0), torch.tensor([float(stop)], device=device)])
        sums = self.world.sum(own.double()).tolist()
        loss, finite = sums[LOSS] / max(1.0, float(learned)), math.isfinite(sums[LOSS])
        grad_norm = float("nan")
        if finite:
            grad_norm = self._update()
            # Gradients are summed over ranks, so that all see the same norm. In float16 the scaler deals with it.
            finite = math.isfinite(grad_norm) or self.scaler.is_enabled()
        if not finite:
            self.losses.sums.copy_(before)
            self._bad_loss(loaded, outputs)
        self.step += 1
        seconds = time.perf_counter() - began
        return Step(
            loss=loss,
            lr=lr * self.rates[0],
            samples=int(sums[ITEMS]),
            tokens=int(sums[TOKENS]),
            grad_norm=grad_norm,
            seconds=seconds,
            waited=waited,
            stop=sums[-1] > 0,
            skipped=not finite,
        )

    def _forward(self, loaded: Loaded) -> LossOutput:
        device = self.world.device
        batch = loaded.batch.to(device)
        mean, std = NORMALIZATION[self.config.data.normalization]
        batch = replace(batch, pixels=normalize(batch.pixels, mean, std))
        with torch.autocast(device.type, self.dtype, enabled=self.dtype is not torch.float32):
            output: LossOutput = self.wrapped(batch)
        self.losses.add(loaded, output, batch)
        return output

    def _update(self) -> float:
        """Clip, update, and return the norm of the gradients; with an infinite one nothing is updated."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        limit = self.config.optimizer.clip_norm
        clipped = torch.nn.utils.clip_grad_norm_(parameters, float("inf") if limit is None else limit)
        norm = float(clipped.full_tensor() if hasattr(clipped, "full_tensor") else clipped)  # type: ignore[operator]
        if math.isfinite(norm) or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return norm

    def _bad_loss(self, loaded: list[Loaded], outputs: list[LossOutput]) -> None:
        """Every rank comes here together. Raises ModelError with the items, unless the config says to skip."""
        self.skipped += 1
        if self.config.on_bad_loss == "skip":
            return
        bad = [
            name
            for part, output in zip(loaded, outputs, strict=True)
            for name, row in zip(part.ids, output.token_log_probs, strict=True)
            if not bool(torch.isfinite(row).all())
        ]
        named = [name for names in self.world.gather(bad) for name in names]
        what = "the loss is" if named else "the loss or its gradient is"
        raise ModelError(
            f"step {self.step + 1}: {what} not finite for {', '.join(named[:5]) or 'the whole batch'}: lower "
            "optimizer.lr, set optimizer.clip_norm, use bfloat16, or leave such steps out with on_bad_loss=skip"
        )

    def description(self) -> dict[str, Any]:
        """What a checkpoint must agree with: everything but where things lie and how they are watched."""
        kept = self.config.model_dump(
            mode="json", exclude={"output", "device", "resume", "checkpoint", "evaluation", "log"}
        )
        for key in ("root", "workers", "cache_gib"):
            kept["data"].pop(key)
        kept["data"]["sources"] = {
            source.config.name: {
                **source.config.model_dump(mode="json", exclude={"annotations", "videos", "name"}),
                "examples": len(source.examples),
                "digest": _digest(example.id for example in source.examples),
            }
            for source in self.sources
        }
        kept["processes"] = self.world.size
        kept["total_steps"] = self.total_steps
        return kept

    def save(self) -> Path:
        """Write a checkpoint of this step, whole or not at all. Every rank must call it."""
        own = {"losses": self.losses.sums.tolist(), "unreadable": dict(self.unreadable)}
        checkpoint = checkpoints.Checkpoint(
            weights=states.trained_weights(self.model),
            optimizer=states.optimizer_state(self.optimizer),
            generators=self.world.gather(states.generators(self.world.device)),
            state={
                "step": self.step,
                "skipped": self.skipped,
                "scaler": self.scaler.state_dict(),
                "ranks": self.world.gather(own),
                "run": self.description(),
            },
        )
        if self.world.first:
            checkpoints.save(self.config.output, checkpoint)
        self.world.wait()
        return checkpoints.folder_of(self.config.output, self.step)

    def resume(self) -> None:
        """Go on from the newest checkpoint in the output folder, if there is one; with ``resume: never`` remove them all.

        Raises CheckpointError that says what differs, if it belongs to another run.
        """
        if self.config.resume == "never":
            if self.world.first:
                checkpoints.clear(self.config.output)
            self.world.wait()
        folder = checkpoints.newest(self.config.output)
        if folder is None:
            return
        kept = checkpoints.load(folder)
        checkpoints.check_same_run(folder, kept.state["run"], self.description())
        states.load_trained_weights(self.model, kept.weights)
        states.load_optimizer_state(self.optimizer, kept.optimizer)
        states.load_generators(kept.generators[self.world.rank], self.world.device)
        self.scaler.load_state_dict(kept.state["scaler"])
        self.step, self.skipped = kept.state["step"], kept.state["skipped"]
        own = kept.state["ranks"][self.world.rank]
        self.unreadable = Counter(own["unreadable"])
        self.losses.sums.copy_(torch.tensor(own["losses"], dtype=torch.float64))

    def all_unreadable(self) -> dict[str, int]:
        """What could not be read, over all processes."""
        return dict(sum((Counter(own) for own in self.world.gather(dict(self.unreadable))), Counter()))


def _digest(ids: Any) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]

"""Train a network and see how it goes: one loop of plain PyTorch."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from tlkit.batches import Batches, Data
from tlkit.batchnorm import restore_modes, training_modes
from tlkit.evaluation import Loss, RunningScores, Scores, evaluate, mean_cross_entropy
from tlkit.history import History
from tlkit.layers import parameter_groups
from tlkit.optimizers import scale_learning_rates, set_learning_rates, sync_optimizer
from tlkit.system import best_device, cpu_quota, one_thread, set_seed, set_threads

__all__ = [
    "History",
    "Scores",
    "Step",
    "StopTraining",
    "best_device",
    "cpu_quota",
    "evaluate",
    "fit",
    "parallel_map",
    "set_learning_rates",
    "set_seed",
    "set_threads",
]

Result = TypeVar("Result")


class StopTraining(Exception):
    """Raised by an `on_step` function to end the run cleanly: `fit` returns what was learned so far."""


@dataclass(frozen=True)
class Step:
    """What an `on_step` function is told after an optimizer step. Gradients of the step are still there."""

    index: int  # 0 … total - 1, counted over the whole run
    epoch: int  # 0 … epochs - 1
    total: int  # steps planned in the run
    loss: float  # of this step's batch, before the step
    model: nn.Module
    optimizer: Optimizer
    history: History  # of the run so far; the figures of an epoch are there from the next one's first step on


def fit(
    model: nn.Module,
    train: Data,
    *,
    epochs: int,
    lr: float | Mapping[str, float] | None = None,
    optimizer: Literal["adamw", "sgd"] | Optimizer = "adamw",
    batch_size: int = 64,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    validation: Data | None = None,
    loss: Loss | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    schedule: Callable[[int, int], float] | None = None,
    seed: int = 0,
    progress: bool = True,
    on_step: Sequence[Callable[[Step], None]] = (),
) -> History:
    """Train `model` in place by minibatch gradient descent and return the `History` of the run.

    train, validation: `Images`, a pair (x [N, ...], y [N]) or a DataLoader; x goes to the model as it is.
    lr: one rate (default 1e-3), or block -> rate (see `tlkit.layers.blocks`). optimizer: "adamw", "sgd" (with
        `momentum`), or an Optimizer of yours, which brings its own rates.
    loss: (outputs [B, C], y) -> scalar; default: mean cross-entropy. augment: x [B, ...] -> x [B, ...].
    schedule: (step, total steps) -> factor on every learning rate of that step.
    on_step: functions called with a `Step` after each one; raising `StopTraining` there ends the run.

    Only parameters with `requires_grad` learn, and this is looked up before every step: freezing or
    unfreezing in `on_step` takes effect at the next one. A frozen parameter has no gradient and forgets its
    momentum; one that thaws and is not in your optimizer joins it. The model is trained in training mode;
    afterwards every module has its former mode. Shuffling, dropout and augmentation follow `seed`; the global
    random state of PyTorch is the same after the run as before. An interrupt (KeyboardInterrupt) ends the run
    cleanly, with what was learned.

    Raises ValueError (nothing trainable; labels that do not fit the images or the outputs) and
    FloatingPointError when the loss is no longer finite (the History so far is its attribute `history`).
    """
    if epochs < 1:
        raise ValueError(f"epochs={epochs}: train for at least one")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("no parameter of the model is trainable: unfreeze(model.head), say, before fit")
    set_threads()
    batches = Batches(train, batch_size, torch.Generator().manual_seed(seed))
    steps = _count(batches)
    steer = _optimizer(model, optimizer, lr, weight_decay, momentum)
    outside = {p for p in model.parameters() if p.requires_grad} - {
        p for group in steer.param_groups for p in group["params"]
    }  # trainable, yet left out of the caller's optimizer: on purpose
    criterion = loss or mean_cross_entropy
    record = History() if loss is None else History(loss_name="loss")
    began, modes = time.perf_counter(), training_modes(model)
    device = next(model.parameters()).device
    devices = [device.index or 0] if device.type == "cuda" else []
    bar = _bar(progress, epochs * steps, "training", "step")
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            for epoch in range(epochs):
                model.train()
                sums = RunningScores()
                for x, y in batches:
                    x, y = x.to(device), y.to(device)
                    sync_optimizer(steer, model, leave=outside)
                    if schedule is not None:
                        scale_learning_rates(steer, schedule(record.steps, epochs * steps))
                    outputs = model(augment(x) if augment is not None else x)
                    value = _step(criterion, outputs, y, steer, model, record)
                    sums.add(value, outputs, y)
                    bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
                    bar.update()
                    done = Step(record.steps - 1, epoch, epochs * steps, value, model, steer, record)
                    for call in on_step:
                        call(done)
                record.epoch_ends.append(record.steps)
                sums.store(record.train_loss, record.train_accuracy)
                if validation is not None:
                    scores = evaluate(model, validation, loss=loss)
                    record.validation_loss.append(scores.loss)
                    if not math.isnan(scores.accuracy):
                        record.validation_accuracy.append(scores.accuracy)
    except KeyboardInterrupt:
        record.stopped = "interrupted"
    except StopTraining:
        record.stopped = "stopped"
    finally:
        bar.close()
        restore_modes(modes)
        record.seconds = time.perf_counter() - began
    return record


def parallel_map(
    function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], desc: str = "training"
) -> list[Result]:
    """`[function(*job) for job in jobs]`, as many at once as PyTorch has threads, with one thread each.

    A second thread makes the steps of a small network hardly faster; two trainings side by side take about
    two thirds of the time of one after the other. What they learn does not depend on the number of threads.

    The jobs share PyTorch's global random generator, so none may depend on it: build networks before and hand
    them over, and do without dropout and `augment` (`fit` shuffles by a generator of its own). No two jobs
    may train the same network, or set hooks in it. The first error is raised as soon as the jobs that had
    begun have ended; the others do not begin.
    """
    todo, state, results = list(jobs), torch.get_rng_state(), []
    pool = ThreadPoolExecutor(max_workers=set_threads())
    bar = _bar(True, len(todo), desc, "job")
    try:
        with one_thread():  # else each job brings a pool of threads, and the pools wait for each other
            for result in pool.map(lambda job: function(*job), todo):
                results.append(result)
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
        torch.set_rng_state(state)
    return results


def _step(
    criterion: Loss, outputs: Tensor, y: Tensor, steer: Optimizer, model: nn.Module, record: History
) -> float:
    """One update; returns the loss before it. With all parameters frozen on the way there is no update."""
    loss = criterion(outputs, y)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise _diverged(value, steer, record)
    model.zero_grad(set_to_none=True)
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
        steer.step()
    elif any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            "the loss does not depend on any trainable parameter: was it computed under no_grad, "
            "or are the trainable layers not used in forward?"
        )
    record.step_loss.append(value)
    return value


def _diverged(value: float, steer: Optimizer, record: History) -> FloatingPointError:
    rate = max(group["lr"] for group in steer.param_groups)
    error = FloatingPointError(
        f"the loss became {value} at step {record.steps + 1}; the weights are from before it."
        f" Try a smaller learning rate (the largest is {rate:g}), and look for NaN or huge values in the data"
    )
    error.history = record  # type: ignore[attr-defined]
    return error


def _optimizer(
    model: nn.Module,
    optimizer: Literal["adamw", "sgd"] | Optimizer,
    lr: float | Mapping[str, float] | None,
    weight_decay: float,
    momentum: float,
) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        if lr is not None:
            raise ValueError("both lr and an Optimizer are given: set the rates in the optimizer's groups")
        return optimizer
    groups = parameter_groups(model, 1e-3 if lr is None else lr)
    if optimizer == "adamw":
        return AdamW(groups, weight_decay=weight_decay, fused=True)  # a fifth faster for small networks
    if optimizer == "sgd":
        return SGD(groups, weight_decay=weight_decay, momentum=momentum)
    raise ValueError(f"optimizer={optimizer!r} is not known: use 'adamw', 'sgd' or a torch.optim.Optimizer")


def _count(batches: Batches) -> int:
    try:
        return len(batches)
    except TypeError as error:
        raise ValueError("the DataLoader does not know its length: fit plans its steps from it") from error


def _bar(progress: bool, total: int, desc: str, unit: str) -> Any:
    """Drawn in a notebook, text on stdout elsewhere: nbgrader fails a cell that writes to stderr."""
    from tqdm.auto import tqdm

    quiet = not progress or "NBGRADER_EXECUTION" in os.environ
    return tqdm(total=total, desc=desc, unit=unit, disable=quiet, file=sys.stdout, leave=False)

"""Other right answers and known wrong ones for lesson 02. Never released."""

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlkit.exercises import accept, alternative, misconception, right

# --- trainable_summary ------------------------------------------------------------------------------------


def _summary(model, parameters=None, trainable=None, batchnorm=None):
    """The right table, with one of its three columns made by another function of the block."""

    def count(block):
        return sum(p.numel() for p in block.parameters())

    def learning(block):
        return sum(p.numel() for p in block.parameters() if p.requires_grad)

    def mode(block):
        modes = {m.training for m in block.modules() if isinstance(m, _BatchNorm)}
        return {0: "none", 2: "mixed"}.get(len(modes)) or ("batch" if True in modes else "running")

    blocks = {**dict(model.body.named_children()), "head": model.head}
    return {
        name: {
            "parameters": (parameters or count)(block),
            "trainable": (trainable or learning)(block),
            "batchnorm": (batchnorm or mode)(block),
        }
        for name, block in blocks.items()
    }


@alternative("trainable_summary", "through the names of all parameters")
def _(model):
    names = [*(f"body.{name}" for name, _ in model.body.named_children()), "head"]
    rows = {}
    for name in names:
        inside = [p for path, p in model.named_parameters() if path.startswith(name + ".")]
        layers = [m for p, m in model.named_modules() if p.startswith(name) and hasattr(m, "running_mean")]
        modes = sorted({"batch" if layer.training else "running" for layer in layers})
        rows[name.removeprefix("body.")] = {
            "trainable": sum(p.numel() * p.requires_grad for p in inside),
            "parameters": sum(math.prod(p.shape) for p in inside),
            "batchnorm": "mixed" if len(modes) == 2 else (modes or ["none"])[0],
        }
    return rows


@alternative("trainable_summary", "through the library's layer table")
def _(model):
    from tlkit import layer_table

    rows = {
        name: {"parameters": 0, "trainable": 0, "batchnorm": "none"}
        for name, _ in model.body.named_children()
    }
    rows["head"] = {"parameters": 0, "trainable": 0, "batchnorm": "none"}
    for layer in layer_table(model):
        row = rows[layer.name.removeprefix("body.").split(".")[0]]
        row["parameters"] += layer.parameters
        row["trainable"] += layer.trainable_parameters
        if layer.batchnorm:
            row["batchnorm"] = layer.batchnorm if row["batchnorm"] in ("none", layer.batchnorm) else "mixed"
    return rows


@misconception(
    "trainable_summary",
    "counts_tensors",
    hint="You count the parameter *tensors*, and a convolution has one of these whether it is small or huge. What costs "
    "memory and can overfit are the numbers inside: `p.numel()`.",
)
def _(model):
    return _summary(
        model,
        parameters=lambda block: len(list(block.parameters())),
        trainable=lambda block: len([p for p in block.parameters() if p.requires_grad]),
    )


@misconception(
    "trainable_summary",
    "buffers_counted",
    hint="Your counts contain the running statistics. They are buffers: stored with the weights, but no optimizer ever "
    "touches them, so they are no parameters. `state_dict()` mixes the two, `parameters()` does not.",
)
def _(model):
    return _summary(model, parameters=lambda block: sum(v.numel() for v in block.state_dict().values()))


@misconception(
    "trainable_summary",
    "mode_from_requires_grad",
    hint="You read BatchNorm's mode off `requires_grad`. Freezing does not change the mode: a frozen layer in `train()` still "
    "uses, and moves, the statistics. Just that is the trap which this column shall show. Ask `layer.training`.",
)
def _(model):
    def mode(block):
        modes = {m.weight.requires_grad for m in block.modules() if isinstance(m, _BatchNorm)}
        return {0: "none", 2: "mixed"}.get(len(modes)) or ("batch" if True in modes else "running")

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "mode_from_model",
    hint="You ask the model or the block for its mode, but each layer has a `training` of its own, and BatchNorm goes by that. "
    "Layers that are held in evaluation mode inside a model in training mode would not be seen.",
)
def _(model):
    def mode(block):
        found = any(isinstance(m, _BatchNorm) for m in block.modules())
        return ("batch" if model.training else "running") if found else "none"

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "first_batchnorm_only",
    hint="The first BatchNorm layer of each block speaks for the others. A block can hold several, in "
    'different modes; then say "mixed".',
)
def _(model):
    def mode(block):
        layer = next((m for m in block.modules() if isinstance(m, _BatchNorm)), None)
        return "none" if layer is None else "batch" if layer.training else "running"

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "last_batchnorm_only",
    hint="The last BatchNorm layer of each block decides: a loop that sets the mode anew at each layer forgets those before. "
    'Collect the modes of all, and where they differ say "mixed".',
)
def _(model):
    def mode(block):
        found = "none"
        for layer in block.modules():
            if isinstance(layer, _BatchNorm):
                found = "batch" if layer.training else "running"
        return found

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "children_only",
    hint="You look only at the direct children of a block. Blocks are nested: a residual block has its BatchNorm layers one "
    "level deeper. `block.modules()` reaches every level.",
)
def _(model):
    def mode(block):
        modes = {m.training for m in block.children() if isinstance(m, _BatchNorm)}
        return {0: "none", 2: "mixed"}.get(len(modes)) or ("batch" if True in modes else "running")

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "batchnorm2d_only",
    hint="You know only `nn.BatchNorm2d`, but after a linear layer stands `nn.BatchNorm1d`, with the same statistics and the "
    "same trap. Look for both.",
)
def _(model):
    def mode(block):
        modes = {m.training for m in block.modules() if isinstance(m, nn.BatchNorm2d)}
        return {0: "none", 2: "mixed"}.get(len(modes)) or ("batch" if True in modes else "running")

    return _summary(model, batchnorm=mode)


@misconception(
    "trainable_summary",
    "trainable_is_a_bool",
    hint='Under "trainable" you say yes or no. A block can be partly frozen, so count: how many of its parameters\' numbers have '
    "`requires_grad`?",
)
def _(model):
    return _summary(model, trainable=lambda block: any(p.requires_grad for p in block.parameters()))


# --- layerwise_lr_groups ----------------------------------------------------------------------------------


def _blocks(model):
    """The blocks that have parameters, from the head down."""
    return [b for b in reversed([*model.body.children(), model.head]) if any(True for _ in b.parameters())]


@alternative("layerwise_lr_groups", "from the input up, by powers")
def _(model, base_lr, decay):
    blocks = _blocks(model)[::-1]
    top = len(blocks) - 1
    return [
        {"params": list(b.parameters()), "lr": base_lr * decay ** (top - i)} for i, b in enumerate(blocks)
    ]


@alternative("layerwise_lr_groups", "a group for each single parameter")
def _(model, base_lr, decay):
    return [
        {"params": [p], "lr": base_lr * decay**depth, "name": f"block {depth} below the head"}
        for depth, block in enumerate(_blocks(model))
        for p in block.parameters()
    ]


@alternative("layerwise_lr_groups", "names beside the parameters, and generators, as PyTorch takes them")
def _(model, base_lr, decay):
    return (
        {"params": block.named_parameters(), "lr": base_lr * decay**depth}
        for depth, block in enumerate(_blocks(model))
    )


@alternative("layerwise_lr_groups", "through the library's parameter_groups")
def _(model, base_lr, decay):
    from tlkit.layers import block_parameters, parameter_groups

    names = list(block_parameters(model))[::-1]
    return parameter_groups(model, {name: base_lr * decay**depth for depth, name in enumerate(names)})


@misconception(
    "layerwise_lr_groups",
    "upside_down",
    hint="Your rates run the wrong way: the stem learns fastest, the head slowest. The early layers are the general ones, "
    "worth keeping; the head is new and has everything to learn.",
)
def _(model, base_lr, decay):
    blocks = _blocks(model)[::-1]
    return [{"params": list(b.parameters()), "lr": base_lr * decay**i} for i, b in enumerate(blocks)]


@misconception(
    "layerwise_lr_groups",
    "head_decayed",
    hint="The head has already been multiplied by `decay`, and everything below it once too often. `base_lr` is the head's own "
    "rate; the ladder begins one step below.",
)
def _(model, base_lr, decay):
    return [
        {"params": list(b.parameters()), "lr": base_lr * decay ** (i + 1)}
        for i, b in enumerate(_blocks(model))
    ]


@misconception(
    "layerwise_lr_groups",
    "divided",
    hint="Your rates grow towards the input: you divide by `decay`. With a decay below 1 that gives the oldest and most "
    "general layers the largest steps, and destroys them first.",
)
def _(model, base_lr, decay):
    return [{"params": list(b.parameters()), "lr": base_lr / decay**i} for i, b in enumerate(_blocks(model))]


@misconception(
    "layerwise_lr_groups",
    "empty_block_counts",
    hint="A block without parameters (`pool`) took a step of your ladder, so everything below it is one `decay` too slow. A "
    "block that cannot learn has no learning rate: leave it out before you count.",
)
def _(model, base_lr, decay):
    blocks = [*model.body.children(), model.head][::-1]
    return [
        {"params": list(b.parameters()), "lr": base_lr * decay**i}
        for i, b in enumerate(blocks)
        if any(True for _ in b.parameters())
    ]


@misconception(
    "layerwise_lr_groups",
    "a_step_for_each_tensor",
    hint="You multiply by `decay` for each parameter tensor: a weight and its bias get different rates, and the first layers of a "
    "deep network get none worth mentioning. A whole block shares one rate.",
)
def _(model, base_lr, decay):
    parameters = [p for block in _blocks(model) for p in reversed(list(block.parameters()))]
    return [{"params": [p], "lr": base_lr * decay**i} for i, p in enumerate(parameters)]


@misconception(
    "layerwise_lr_groups",
    "frozen_left_out",
    hint="You left out what is frozen at the moment. When a block thaws later (gradual unfreezing, in a minute), no group has it, "
    "and it silently never learns. An optimizer skips a parameter without gradient anyway.",
)
def _(model, base_lr, decay):
    groups = [
        {"params": [p for p in b.parameters() if p.requires_grad], "lr": base_lr * decay**i}
        for i, b in enumerate(_blocks(model))
    ]
    return [group for group in groups if group["params"]]


@misconception(
    "layerwise_lr_groups",
    "lr_scale",
    hint="All your groups have the rate `base_lr` under `lr`, and other numbers under a key of their own (`lr_scale` or the like). "
    "PyTorch's optimizers accept any key and take the rate from `lr` alone. Put the finished rate there.",
)
def _(model, base_lr, decay):
    return [
        {"params": list(b.parameters()), "lr": base_lr, "lr_scale": decay**i}
        for i, b in enumerate(_blocks(model))
    ]


@misconception(
    "layerwise_lr_groups",
    "decay_lost",
    hint="All your groups have the rate `base_lr`: `decay` has no part in it. Each block below the head gets the rate of the "
    "one above it, times `decay`.",
)
def _(model, base_lr, decay):
    return [{"params": list(b.parameters()), "lr": base_lr} for b in _blocks(model)]


@misconception(
    "layerwise_lr_groups",
    "no_lr_key",
    hint="Your groups have no key `lr`. PyTorch's optimizers take the rate from that key alone, and give a group without it "
    "their own default.",
)
def _(model, base_lr, decay):
    return [
        {"params": list(b.parameters()), "learning_rate": base_lr * decay**i}
        for i, b in enumerate(_blocks(model))
    ]


@misconception(
    "layerwise_lr_groups",
    "body_in_one_piece",
    hint="You made two groups, head and body. That is a good start, but all blocks of the body share one rate; the ladder has a "
    "rung for each block.",
)
def _(model, base_lr, decay):
    return [
        {"params": list(model.head.parameters()), "lr": base_lr},
        {"params": list(model.body.parameters()), "lr": base_lr * decay},
    ]


@misconception(
    "layerwise_lr_groups",
    "no_batchnorm",
    hint="BatchNorm's weight and bias are in no group, so they never learn. They are parameters of their block like all others.",
)
def _(model, base_lr, decay):
    return [
        {
            "params": [
                p for m in b.modules() if not isinstance(m, _BatchNorm) for p in m.parameters(recurse=False)
            ],
            "lr": base_lr * decay**i,
        }
        for i, b in enumerate(_blocks(model))
    ]


# --- warmup_cosine ----------------------------------------------------------------------------------------


@alternative("warmup_cosine", "as cos² of half the angle")
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return math.cos(math.pi / 2 * (step - warmup_steps) / (total_steps - warmup_steps)) ** 2


@alternative("warmup_cosine", "with torch, through a min of two pieces")
def _(step, total_steps, warmup_steps):
    progress = max(0, step - warmup_steps) / (total_steps - warmup_steps)
    down = 0.5 + 0.5 * torch.cos(torch.tensor(progress * math.pi, dtype=torch.float64)).item()
    return min((step + 1) / max(1, warmup_steps), 1.0) * down


@misconception(
    "warmup_cosine",
    "first_step_zero",
    hint="Your first step has the factor 0: a batch is read, a gradient computed, and nothing learned. Some libraries do "
    "that; here the steps count from 0 and the first gets 1 / warmup_steps.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))


@misconception(
    "warmup_cosine",
    "cosine_from_step_zero",
    hint="Your cosine runs from step 0, so when the warm-up ends it has already come down: the factor jumps, and the full rate is "
    "never used. Let progress begin where the warm-up ends.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * step / total_steps))


@misconception(
    "warmup_cosine",
    "over_all_steps",
    hint="You start the cosine after the warm-up but stretch it over all steps: the training ends before it has come down, "
    "at a rate that is still too large to settle. Only `total_steps - warmup_steps` steps are left.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / total_steps))


@misconception(
    "warmup_cosine",
    "bare_cosine",
    hint="A bare cosine runs from 1 to −1. A negative learning rate climbs the loss: it unlearns. Lift it by 1 and halve it.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps))


@misconception(
    "warmup_cosine",
    "whole_wave",
    hint="You run through a whole wave, 2π: the rate falls to 0 in the middle of the training and rises again to the end, where it "
    "should be small. Half a wave is what you want.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(2 * math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))


@misconception(
    "warmup_cosine",
    "straight_down",
    hint="You come down in a straight line. That is a schedule too (the next exercise has it), but not a cosine, which stays high at "
    "first and ends gently.",
)
def _(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 1 - (step - warmup_steps) / (total_steps - warmup_steps)


@misconception(
    "warmup_cosine",
    "no_warmup_fails",
    hint="With `warmup_steps = 0` your formula divides by zero. No warm-up is a choice like any other: then nothing may "
    "be divided by it.",
)
def _(step, total_steps, warmup_steps):
    up = (step + 1) / warmup_steps
    return up if step < warmup_steps else right("warmup_cosine")(step, total_steps, warmup_steps)


# --- slanted_triangular -----------------------------------------------------------------------------------


@alternative("slanted_triangular", "the paper's formula to the letter")
def _(step, total_steps, cut_frac, ratio):
    cut = math.floor(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / cut_frac - 1))
    return (1 + p * (ratio - 1)) / ratio


@alternative("slanted_triangular", "the lower of two lines, between 1/ratio and 1")
def _(step, total_steps, cut_frac, ratio):
    peak = round(total_steps * cut_frac)
    p = min(step / peak, (total_steps - step) / (total_steps - peak))
    return p + (1 - p) / ratio


@misconception(
    "slanted_triangular",
    "from_zero",
    hint="Your triangle starts and ends at 0: `ratio` has no part in it. Howard and Ruder keep the lowest rate at 1/ratio of the "
    "highest, so that no step is without effect.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = int(total_steps * cut_frac)
    return step / cut if step < cut else 1 - (step - cut) / (total_steps - cut)


@misconception(
    "slanted_triangular",
    "slant_reversed",
    hint="Your triangle leans the other way: a long climb and a sudden fall. The peak belongs at the share `cut_frac` of the steps "
    "from the start; the long side is the descent, on which the network settles.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = total_steps - int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (total_steps - cut)
    return (1 + p * (ratio - 1)) / ratio


@misconception(
    "slanted_triangular",
    "jump_at_the_cut",
    hint="After the peak you measure progress from step 0, so the factor jumps down at once by the share of `cut_frac`, and the "
    "full rate is never held. Measure from the peak, over the steps that are left.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - step / total_steps
    return (1 + p * (ratio - 1)) / ratio


@misconception(
    "slanted_triangular",
    "over_all_steps",
    hint="You stretch the descent over all steps instead of those left after the peak, so the training ends at a rate that is "
    "still well above 1/ratio.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / total_steps
    return (1 + p * (ratio - 1)) / ratio


@misconception(
    "slanted_triangular",
    "ratio_as_factor",
    hint="You leave out the division by `ratio`: the factor climbs from 1 to `ratio`, and the peak is that many times the rate you "
    "asked for. The factor is at most 1.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (total_steps - cut)
    return 1 + p * (ratio - 1)


@misconception(
    "slanted_triangular",
    "floor_by_max",
    hint="You cut the triangle off at 1/ratio with a `max`. Then the first and last steps stand still on the floor, and the slope "
    "between is another one. The paper's p moves the factor evenly *between* 1/ratio and 1.",
)
def _(step, total_steps, cut_frac, ratio):
    cut = int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (total_steps - cut)
    return max(p, 1 / ratio)


# --- unfreeze_at ------------------------------------------------------------------------------------------


@alternative("unfreeze_at", "the other end first")
def _(epoch, blocks):
    return blocks[::-1][: epoch + 1]


@alternative("unfreeze_at", "by counting what stays frozen")
def _(epoch, blocks):
    frozen = max(0, len(blocks) - 1 - epoch)
    return [name for place, name in enumerate(blocks) if place >= frozen]


@misconception(
    "unfreeze_at",
    "from_the_input",
    hint="You thaw from the input up. The stem holds what is most general and most worth keeping; the head is random and must "
    "learn first.",
)
def _(epoch, blocks):
    return blocks[: epoch + 1]


@misconception(
    "unfreeze_at",
    "minus_zero",
    hint="In epoch 0 everything learns at once. Look at `blocks[-epoch:]`: −0 is 0, and that slice is the whole list. Besides, every "
    "later epoch is one block behind.",
)
def _(epoch, blocks):
    return blocks[-epoch:]


@misconception(
    "unfreeze_at",
    "nothing_first",
    hint="In epoch 0 nothing learns at all: a whole epoch without a step. It is the head's; count from `epoch + 1`.",
)
def _(epoch, blocks):
    return blocks[max(0, len(blocks) - epoch) :]


@misconception(
    "unfreeze_at",
    "one_at_a_time",
    hint="Only one block learns at a time, and the one before freezes again. That is another method (chain-thaw); in gradual "
    "unfreezing what has thawed goes on learning, together with the new block.",
)
def _(epoch, blocks):
    place = max(0, len(blocks) - 1 - epoch)
    return blocks[place : place + 1]


@misconception(
    "unfreeze_at",
    "falls_off_the_end",
    hint="When the epochs outnumber the blocks, your answer goes wrong: a start below 0 counts from the end in Python. After the "
    "last block has thawed, everything learns.",
)
def _(epoch, blocks):
    return blocks[len(blocks) - 1 - epoch :]


@misconception(
    "unfreeze_at",
    "list_used_up",
    hint="You take names out of the caller's own list, which is then missing blocks in the next epoch. Read the list, make "
    "a new one, and leave it as it was.",
)
def _(epoch, blocks):
    learning = []
    for _ in range(min(epoch + 1, len(blocks))):
        learning.append(blocks.pop())
    return learning


@misconception(
    "unfreeze_at",
    "list_turned_round",
    hint="`reverse()` turns the caller's own list round, and in the next epoch the head is where the input was. "
    "`blocks[::-1]` or `reversed(blocks)` leave it as it was.",
)
def _(epoch, blocks):
    blocks.reverse()
    return blocks[: epoch + 1]


@misconception(
    "unfreeze_at",
    "list_put_back_in_another_order",
    hint="You take names out of the caller's own list and put them back in another order, so the next epoch thaws the wrong "
    "block. Read the list, make a new one, and leave it as it was.",
)
def _(epoch, blocks):
    learning = []
    for _ in range(min(epoch + 1, len(blocks))):
        learning.append(blocks.pop())
    blocks.extend(learning)
    return learning


# --- batchnorm_eval ---------------------------------------------------------------------------------------


def _hold(layer):
    layer.eval()
    layer.train = lambda mode=True: layer


@alternative("batchnorm_eval", "the library's hold_batchnorm")
def _(model):
    from tlkit.layers import hold_batchnorm

    return hold_batchnorm(model)


@alternative("batchnorm_eval", "a train() for the whole model that puts them back")
def _(model):
    def train(mode=True):
        type(model).train(model, mode)
        for layer in model.modules():
            if hasattr(layer, "running_mean"):
                layer.eval()
        return model

    model.train = train
    return model.train(model.training)


@misconception(
    "batchnorm_eval",
    "eval_once",
    hint="After `model.train()` all BatchNorm layers are in training mode. Either you call `eval()` on them once, which the next "
    "`model.train()` undoes, and every training loop calls that; or your loop does not find them: `model.children()` goes one level "
    "deep, `model.modules()` to every depth.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()
    return model


@misconception(
    "batchnorm_eval",
    "deaf_but_not_in_eval",
    hint="Your BatchNorm layers no longer hear `train()` nor `eval()`, but nobody put them in evaluation mode: in a model that comes "
    "in training mode they stay there for good. Call `layer.eval()` before you make them deaf.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.train = lambda mode=True, layer=layer: layer
    return model


@misconception(
    "batchnorm_eval",
    "everything_held",
    hint="The whole model is held in evaluation mode, so Dropout is off as well, and with it part of the protection against "
    "overfitting. Hold the BatchNorm layers, nothing else.",
)
def _(model):
    for layer in model.modules():
        _hold(layer)
    return model


@misconception(
    "batchnorm_eval",
    "weights_frozen",
    hint="You froze BatchNorm's weight and bias too. The trap is in the running statistics alone; scale and shift may learn, and "
    "are among the cheapest parameters to adapt.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            _hold(layer)
            layer.requires_grad_(False)
    return model


@misconception(
    "batchnorm_eval",
    "weights_frozen_only",
    hint="You froze BatchNorm's weight and bias, and the statistics still move: they are buffers, and `requires_grad` does not "
    "reach them. It is the layer's mode that matters; its weights may go on learning.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.requires_grad_(False)
    return model


@misconception(
    "batchnorm_eval",
    "momentum_zero",
    hint="The statistics stand still (momentum 0, or `track_running_stats = False`), but in `train()` BatchNorm does not use them: it "
    "normalises with the mean and variance of the batch, so an image's logits depend on its neighbours. Evaluation mode is what "
    "uses them.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = 0.0
    return model


@misconception(
    "batchnorm_eval",
    "statistics_dropped",
    hint="You drop the running statistics: without them BatchNorm uses the batch in either mode. They were learned from many "
    "letters; keep them and use them.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = None
    return model


@misconception(
    "batchnorm_eval",
    "statistics_reset",
    hint="You reset the running statistics to mean 0 and variance 1. The weights after them were trained for the statistics of the "
    "letters; with others the features are wrong from the first image on.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            _hold(layer)
    return model


@misconception(
    "batchnorm_eval",
    "batchnorm2d_only",
    hint="You hold `nn.BatchNorm2d` only. After linear layers stands `nn.BatchNorm1d`, with the same statistics and the same trap.",
)
def _(model):
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            _hold(layer)
    return model


@misconception(
    "batchnorm_eval",
    "removed",
    hint="You took the BatchNorm layers out. What comes after them was trained on normalised values; without them the "
    "pretrained network is another network.",
)
def _(model):
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, nn.Identity())
    return model


@misconception(
    "batchnorm_eval",
    "last_one_only",
    hint="Only the last BatchNorm layer is held. Does the line that holds it stand behind the loop, where `layer` is the last "
    "one? Inside the loop it is run for each.",
)
def _(model):
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    _hold(layers[-1])
    return model


# --- l2_sp ------------------------------------------------------------------------------------------------


def _penalty(model, start, alpha, beta, cost=lambda w: w.square().sum()):
    total = torch.zeros(())
    for name, p in model.named_parameters():
        total = total + (alpha / 2 * cost(p - start[name]) if name in start else beta / 2 * cost(p))
    return total


@alternative("l2_sp", "all differences in one long row")
def _(model, start, alpha, beta):
    named = dict(model.named_parameters())
    old = torch.cat([(p - start[name]).flatten() for name, p in named.items() if name in start])
    new = torch.cat([p.flatten() for name, p in named.items() if name not in start])
    return 0.5 * alpha * old @ old + 0.5 * beta * (new * new).sum()


@alternative("l2_sp", "with the squared norm of each parameter")
def _(model, start, alpha, beta):
    old, new = [], []
    for name, p in model.named_parameters():
        if name in start:
            old.append(torch.linalg.vector_norm(p - start[name].detach()) ** 2)
        else:
            new.append(torch.linalg.vector_norm(p) ** 2)
    return (alpha * sum(old) + beta * sum(new)) / 2


@misconception(
    "l2_sp",
    "weight_decay",
    hint="You pull every parameter towards zero. That is ordinary weight decay, and for transferred weights zero means forgetting. "
    "Measure those from where they started.",
)
def _(model, start, alpha, beta):
    total = torch.zeros(())
    for name, p in model.named_parameters():
        total = total + (alpha if name in start else beta) / 2 * p.square().sum()
    return total


@misconception(
    "l2_sp",
    "no_half",
    hint="Your penalty is twice that of the paper: α/2 and β/2, so that the gradient is plainly α (w − w⁰). Without the halves, "
    "published values of α mean something else.",
)
def _(model, start, alpha, beta):
    return 2 * _penalty(model, start, alpha, beta)


@misconception(
    "l2_sp",
    "mean_not_sum",
    hint="You take means where the norm has sums. Then a weight in a large layer is held a thousand times more loosely than one "
    "in a small layer, which no one asked for.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, alpha, beta, cost=lambda w: w.square().mean())


@misconception(
    "l2_sp",
    "not_squared",
    hint="You take the norm, not its square. Then the pull is equally strong however small the distance, and does not vanish "
    "as a weight comes home.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, alpha, beta, cost=lambda w: w.norm())


@misconception(
    "l2_sp",
    "new_part_left_out",
    hint="The new parameters are missing. They have no start to be held to, but they still pay β/2 ‖w‖², or the head may grow "
    "without limit while the body is held.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, alpha, 0.0)


@misconception(
    "l2_sp",
    "swapped",
    hint="α and β have changed places: α holds the transferred parameters, β the new ones.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, beta, alpha)


@misconception(
    "l2_sp",
    "through_state_dict",
    hint="You go through `state_dict()`. It gives tensors cut off from the graph, so your penalty has no gradient for the body, and "
    "it holds buffers: running statistics would be penalised. Use `named_parameters()`.",
)
def _(model, start, alpha, beta):
    state = model.state_dict()
    old = sum((state[name].float() - value.float()).square().sum() for name, value in start.items())
    new = sum(p.square().sum() for name, p in model.named_parameters() if name not in start)
    return alpha / 2 * old + beta / 2 * new


@misconception(
    "l2_sp",
    "a_plain_number",
    hint="No gradient reaches any parameter: somewhere on the way the penalty is cut off from them (`.item()`, `float()`, `.data`, "
    "`.detach()` or `no_grad`). You would add a constant to the loss, and nothing would be held.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, alpha, beta).detach()


@misconception(
    "l2_sp",
    "last_parameter_only",
    hint="Only the last parameter of each kind is penalised: a loop that sets the sum anew at each parameter forgets those before. "
    "Add to it.",
)
def _(model, start, alpha, beta):
    for name, p in model.named_parameters():
        if name in start:
            old = (p - start[name]).square().sum()
        else:
            new = p.square().sum()
    return alpha / 2 * old + beta / 2 * new


@misconception(
    "l2_sp",
    "by_its_name",
    hint="You tell by its name, `head` or `body`, what is new. A block of the body can be new as well: what was transferred is "
    "what `start` names.",
)
def _(model, start, alpha, beta):
    total = torch.zeros(())
    for name, p in model.named_parameters():
        new = name.startswith("head")
        total = total + (beta / 2 * p.square().sum() if new else alpha / 2 * (p - start[name]).square().sum())
    return total


@misconception(
    "l2_sp",
    "sum_then_square",
    hint="You sum first and square then: differences of opposite sign cancel, and a layer can wander far at no cost. Square each "
    "number, then sum.",
)
def _(model, start, alpha, beta):
    return _penalty(model, start, alpha, beta, cost=lambda w: w.sum().square())


# --- fine_tune --------------------------------------------------------------------------------------------


def _random_head(model):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.head = nn.Linear(model.feature_dim, 10)
    return model


@alternative("fine_tune", "the probe as head, then AdamW on everything at one rate, BatchNorm as it comes")
def _(model, images, labels):
    from tlkit import extract, fit, linear_probe

    model.head = linear_probe(extract(model.body, images), labels, 10, l2=0.1).as_linear()
    fit(model, (images, labels), epochs=3, lr=2e-3, batch_size=25, progress=False)
    return model


@alternative("fine_tune", "the probe as head, then SGD on everything at one rate")
def _(model, images, labels):
    from tlkit import extract, fit, linear_probe

    model.head = linear_probe(extract(model.body, images), labels, 10, l2=0.1).as_linear()
    fit(model, (images, labels), epochs=3, lr=0.02, optimizer="sgd", batch_size=25, progress=False)
    return nn.Sequential(model.body, model.head)


@alternative("fine_tune", "a random head, everything at a high rate, four passes: far, and yet from the given start")
def _(model, images, labels):
    from tlkit import fit

    factor = right("warmup_cosine")
    fit(
        _random_head(model),
        (images, labels),
        epochs=4,
        lr=1e-2,
        batch_size=10,
        schedule=lambda step, total: factor(step, total, total // 10),
        progress=False,
    )
    return model


@misconception(
    "fine_tune",
    "frozen",
    hint="The body's weights have not moved: a head on frozen features is lesson 01, and the mark that you are asked to beat. The "
    "letters were large and centred, these digits are small and anywhere; let the body learn that.",
)
def _(model, images, labels):
    from tlkit import extract, linear_probe

    model.head = linear_probe(extract(model.body, images), labels, 10, l2=0.1).as_linear()
    return model


@misconception(
    "fine_tune",
    "from_scratch",
    hint="What comes back is not the network that you were given: its weights have nothing in common with the pretrained ones. "
    "Fresh weights learn little from five hundred digits in a few passes; start from `model` and keep its body.",
)
def _(model, images, labels):
    from tlkit import fit, load_backbone

    fresh = _random_head(load_backbone("glyphnet", pretrained=False, seed=0))
    fit(fresh, (images, labels), epochs=2, lr=1e-3, batch_size=25, progress=False)
    return fresh


@misconception(
    "fine_tune",
    "another_network",
    hint="It reads enough of them, but it is not the network that you were given: its weights have nothing in common with the "
    "pretrained ones. With more passes, or a network made for these forms, it goes without transfer; here `model` is to be tuned.",
)
def _(model, images, labels):
    from tlkit import fit

    def layer(inputs, outputs, stride):
        convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    with torch.random.fork_rng():
        torch.manual_seed(0)
        stages = [layer(1, 16, 2), layer(16, 32, 1), layer(32, 32, 2), layer(32, 64, 1)]
        blind = nn.Sequential(*stages, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    fit(blind, (images, labels), epochs=6, lr=3e-3, batch_size=10, progress=False)
    return blind


@misconception(
    "fine_tune",
    "rate_too_high",
    hint="Your learning rate is too high: the weights have gone far from the pretrained ones, and what those knew is overwritten. Look "
    "again at the sweep of learning rates, and go down by a factor of ten or thirty.",
)
def _(model, images, labels):
    from tlkit import fit

    fit(_random_head(model), (images, labels), epochs=1, lr=0.02, batch_size=25, progress=False)
    return model


@misconception(
    "fine_tune",
    "rate_too_low",
    hint="Your learning rate is so small that hardly anything happens: the body stands where it stood, and if your head is random, "
    "it still is. Go up by a factor of ten or a hundred.",
)
def _(model, images, labels):
    from tlkit import fit

    fit(_random_head(model), (images, labels), epochs=1, lr=1e-6, batch_size=25, progress=False)
    return model


@misconception(
    "fine_tune",
    "history_returned",
    hint="You return what `fit` returns: the history of the training. The network has learned in place; return the model.",
)
def _(model, images, labels):
    from tlkit import fit

    return fit(
        _random_head(model), (images[:20], labels[:20]), epochs=1, lr=1e-3, batch_size=20, progress=False
    )


# 68 %, and two points for luck: with 300 digits the share of right ones varies by more than that
accept("fine_tune", "predicted labels", agreement_with="true labels", at_least=0.66)
accept(
    "fine_tune",
    "likeness of the body's weights to the pretrained ones (1: the same, 0: none)",
    at_least=0.1,  # some 70 fine-tunings tried: those that read 68 % have 0.3 and more; from scratch under 0.05
)
accept("fine_tune", "where the body is", clue=True)
accept("batchnorm_eval", "what BatchNorm went by", clue=True)
accept("layerwise_lr_groups", "where numbers stand in the groups", clue=True)
accept("layerwise_lr_groups", rtol=1e-4, atol=1e-8)
accept("l2_sp", rtol=1e-4, atol=1e-5)

# %% [markdown]
# # 02 · Fine-tuning
#
# > **In this lesson you learn to**
# > - let a pretrained network learn again without destroying what it knows;
# > - give each layer a learning rate of its own, and each step a factor: warm-up, cosine, slanted triangle;
# > - thaw a network block by block, and keep BatchNorm's memory safe;
# > - measure what a network forgets, and hold it back;
# > - tell when fine-tuning is worth it, and when to leave the network frozen.
# >
# > {lesson:points} points · about two and a half hours · the whole notebook runs in about a minute on two cores

# %% [markdown]
# In lesson 01 the body stood still: it described digits by what it had learned from letters. That is safe, and it has a
# ceiling, for a frozen body cannot learn a stroke that letters do not have. **Fine-tuning** lets it move. Everything
# that made the frozen body good is now at risk: a few dozen labels, a random head, one learning rate too large, and what
# 320,000 letters taught is gone in a second. This lesson is about moving *carefully*.

# %% tags=["setup"]
import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product

import torch
import torch.nn.functional as F
from IPython.display import Markdown
from tlkit import LayerBoard, check, evaluate, extract, fit, hint, linear_probe, load_backbone, quiz
from tlkit.data import Images, digits_split, printed_letters
from tlkit.layers import blocks, gradient_norms, snapshot, weight_change
from tlkit.plots import bars, picture, show_images
from tlkit.training import parallel_map
from torch import Tensor, nn

# %% [markdown]
# ## Where we start
#
# The source is that of lesson 01: printed letters, each large and in the middle of its image. Handwritten digits that are
# cut out just as neatly are close relatives, and a frozen network is hard to beat there. So here the target is **further
# away**: the same digits as they stand on a scanned form, smaller, anywhere in their field, with a little noise.

# %% tags=["demo"]
def on_forms(data: Images, seed: int) -> Images:
    """The digits small, anywhere in their field, and a little noisy."""
    chance = torch.Generator().manual_seed(seed)
    small = F.interpolate(data.images, size=18, mode="bilinear", antialias=True)
    fields = torch.zeros_like(data.images)
    corners = torch.randint(0, 15, (len(data), 2), generator=chance).tolist()
    for field, digit, (top, left) in zip(fields, small, corners, strict=True):
        field[:, top : top + 18, left : left + 18] = digit
    noise = 0.15 * torch.randn(fields.shape, generator=chance)
    return replace(data, images=(fields + noise).clamp(0, 1))


# %% tags=["demo"]
backbone = load_backbone("glyphnet")
clean_pool, clean_test = digits_split()
pool, test = on_forms(clean_pool, 0), on_forms(clean_test, 1).subset(slice(400))
clean_test = clean_test.subset(slice(400))
pairs = torch.stack([clean_pool.images[:10], pool.images[:10]]).flatten(0, 1)
show_images(pairs, pool.labels[:10].repeat(2), columns=10, title="Ten digits, cut out neatly (above) and on a form (below)")

# %% [markdown]
# The rules are those of lesson 01: we learn from labelled digits drawn from `pool`, make every *choice* on the rest of the pool,
# and look at the `test` digits only to report; to save time, at 400 of them. (`glyphnet`'s transform leaves images of this size as they are, so it is
# left out here.)

# %% tags=["demo"]
def draw(per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions in `pool`: `per_class` digits of each class that get a label, and all the others."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    labelled = torch.cat([order[pool.labels[order] == digit][:per_class] for digit in range(10)])
    others = torch.ones(len(pool), dtype=torch.bool)
    others[labelled] = False
    return labelled, others.nonzero().flatten()


# %% [markdown]
# The mark to beat is the linear probe on frozen features, here for neat digits and for those on forms.

# %% tags=["demo"]
features, test_features = extract(backbone.body, pool.images), extract(backbone.body, test.images)
clean_features, clean_test_features = (extract(backbone.body, part.images) for part in (clean_pool, clean_test))


def probed(rows: Tensor, test_rows: Tensor, per_class: int, seed: int) -> float:
    """Test accuracy of the probe on frozen features."""
    labelled, _ = draw(per_class, seed)
    probe = linear_probe(rows[labelled], pool.labels[labelled], 10, l2=0.1)
    return probe.accuracy(test_rows, test.labels)


# %% tags=["demo"]
DRAWS = {1: 3, 10: 2, 50: 2}
frozen = {n: [probed(features, test_features, n, seed) for seed in range(DRAWS[n])] for n in DRAWS}
near = {n: [probed(clean_features, clean_test_features, n, seed) for seed in range(DRAWS[n])] for n in DRAWS}
for n, draws in DRAWS.items():
    print(f"labels a class {n:2}, frozen: neat {sum(near[n]) / draws:.1%}, on forms {sum(frozen[n]) / draws:.1%}")

# %% [markdown]
# ## What is going to learn?
#
# Before the first step of any training, look at what will move. Three things can go wrong without an error message: a
# block that should learn is frozen, one that should rest is not, or a BatchNorm layer uses other statistics than you think.
#
# ### Exercise · A table of what learns
# {exercise:trainable_summary}
#
# Write `trainable_summary(model)`: a dictionary from block to facts. The blocks are the children of `model.body` by their
# names, in order, then `"head"`. The facts are a dictionary with three keys:
#
# - `"parameters"`: how many numbers its parameters hold;
# - `"trainable"`: how many of those learn;
# - `"batchnorm"`: `"batch"` if its BatchNorm layers (1d or 2d, at any depth) are in training mode and use the batch's
#   statistics, `"running"` if they are in evaluation mode, `"mixed"` if some are and some are not, `"none"` if there are none.

# %% solution="trainable_summary"
def trainable_summary(model: nn.Module) -> dict[str, dict]:
    """What learns, block by block.

    Args:
        model: has `.body`, whose children are blocks, and `.head`.

    Returns:
        {block: {"parameters": int, "trainable": int, "batchnorm": "batch", "running", "mixed" or "none"}}
    """
    ### BEGIN SOLUTION
    words = {(): "none", (False,): "running", (True,): "batch", (False, True): "mixed"}
    summary = {}
    for name, block in [*model.body.named_children(), ("head", model.head)]:
        layers = [m for m in block.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        summary[name] = {
            "parameters": sum(p.numel() for p in block.parameters()),
            "trainable": sum(p.numel() for p in block.parameters() if p.requires_grad),
            "batchnorm": words[tuple(sorted({layer.training for layer in layers}))],
        }
    return summary
    ### END SOLUTION


# %% test="trainable_summary"

# %% [markdown]
# Look at a network with a frozen stem in training mode: nothing of the stem learns, and yet its BatchNorm says *batch*.
# Keep that line in mind; we shall come back to it.

# %% tags=["demo"]
model = load_backbone("glyphnet").train()
model.body.stem.requires_grad_(False)
for name, facts in trainable_summary(model).items():
    print(f"{name:8} {facts['parameters']:8,} parameters {facts['trainable']:8,} learn   BatchNorm: {facts['batchnorm']}")

# %% [markdown]
# ## All at once
#
# The plainest fine-tuning: a new head, everything learns, one learning rate for all. Ten labels a class, four passes over the
# hundred digits, a few seconds. `fit` uses **AdamW**. Like Adam (Kingma and Ba 2015) it scales the gradient of each weight by the
# size of its past ones: a step is about as long as the learning rate says, wherever the weight sits. The W stands for weight decay
# apart from that scaling (Loshchilov and Hutter 2019); `fit` applies none unless asked.

# %% tags=["demo"]
def with_new_head(seed: int, pretrained: bool = True) -> nn.Module:
    """glyphnet with a random head for ten digits."""
    model = load_backbone("glyphnet", pretrained=pretrained, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.head = nn.Linear(model.feature_dim, out_features=10)
    return model


def digits_at(where: Tensor, data: Images = pool) -> tuple[Tensor, Tensor]:
    """Images and labels at these positions."""
    return data.images[where], data.labels[where]


# %% tags=["demo"]
labelled, others = draw(per_class=10, seed=0)
model = with_new_head(seed=0)
start = snapshot(model)
history = fit(model, digits_at(labelled), epochs=4, lr=1e-3, batch_size=10, validation=digits_at(others[:200]))
history.plot()

# %% [markdown]
# How far has each block moved from where it started, relative to its length?

# %% tags=["demo"]
bars(weight_change(model, start), title="How far full fine-tuning moves each block", unit="‖w − w⁰‖ / ‖w⁰‖", percent=True)

# %% [markdown]
# A hundred digits, and every layer has moved. Was that necessary? The one setting that decides is the learning rate.

# %% tags=["demo"]
quiz("learning_rate")

# %% [markdown]
# The same training, three passes, with five learning rates, judged on 200 others of the pool. The five do not need each other:
# `parallel_map` calls a function for each job in a list, as many at a time as there are cores. A few seconds.

# %% tags=["demo"]
def at_rate(model: nn.Module, lr: float) -> nn.Module:
    """Full fine-tuning on ten labels a class at one learning rate."""
    with suppress(FloatingPointError):  # the loss is no longer a number: destroyed
        fit(model, digits_at(labelled), epochs=3, lr=lr, batch_size=10, progress=False)
    return model


# %% tags=["demo"]
letters = printed_letters(per_class=1, seed=5, characters="".join(backbone.classes))


def letters_known(body: nn.Module) -> float:
    """Accuracy on fresh letters, with the old head on this body."""
    return evaluate(nn.Sequential(body, backbone.head), letters).accuracy


# %% tags=["demo"]
rates = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
all_tuned = parallel_map(at_rate, [(with_new_head(seed=0), lr) for lr in rates], "rates")
swept = {}
for lr, tuned in zip(rates, all_tuned, strict=True):
    swept[lr] = (evaluate(tuned, digits_at(others[:200])).accuracy, letters_known(tuned.body))

# %% [markdown]
# We kept the old head, and so we can ask a second question of each network: can it still read the letters?

# %% tags=["demo"]
probe_here = linear_probe(features[labelled], pool.labels[labelled], 10, l2=0.1)
mark = probe_here.accuracy(features[others[:200]], pool.labels[others[:200]])
figure, (axis,) = picture(7.2, 4.0)
axis.semilogx(rates, [d for d, _ in swept.values()], "o-", color="#0072B2", label="digits (new head)")
axis.semilogx(rates, [k for _, k in swept.values()], "s--", color="#D55E00", label="letters (old head)")
axis.axhline(mark, color="#222222", linewidth=1, linestyle=":", label="digits, frozen and a probe")
axis.axhline(letters_known(backbone.body), color="#6b6b6b", linewidth=1, label="letters, before")
axis.set(xlabel="learning rate (log scale)", ylabel="accuracy", ylim=(0, 1.02))
axis.set_title("Too low freezes, too high destroys", loc="left", fontweight="bold")
axis.legend(frameon=False, fontsize=9, loc="center right")
figure

# %% tags=["demo", "prose"]
best_lr = max(swept, key=lambda lr: swept[lr][0])
low, high = swept[rates[0]], swept[rates[-1]]
Markdown(f"""At {rates[0]:g} the new head has hardly left its random start: {low[0]:.1%} of the digits. At {rates[-1]:g} the network
reads {high[0]:.1%} of them and {high[1]:.1%} of the letters: what was pretrained is gone. In between lies {best_lr:g} with
**{swept[best_lr][0]:.1%}** (the frozen probe: {mark:.1%}), while letters fall from
{letters_known(backbone.body):.1%} to {swept[best_lr][1]:.1%}, and at {rates[-2]:g} to {swept[rates[-2]][1]:.1%}. This is **catastrophic
forgetting** (McCloskey and Cohen 1989): nothing in the loss asks the network to remember, so it does not. One thing is odd: even at {rates[0]:g}, where no weight has gone far, the letters
have come down to {low[1]:.1%}. Something moved that no learning rate governs; you will find it below.""")

# %% [markdown]
# ## A rate for each block
#
# The head is new and has a long way to go. The stem knows edges, and edges are edges: early layers are general, late ones
# belong to their task (Yosinski et al. 2014). One rate cannot suit both. So give the head `base_lr` and each block below a share `decay` of the one above it: **discriminative fine-tuning** (Howard and
# Ruder 2018, who divided by 2.6 from layer to layer).
#
# ### Exercise · Learning rates down the ladder
# {exercise:layerwise_lr_groups}
#
# Write `layerwise_lr_groups(model, base_lr, decay)`: a list of optimizer groups, dictionaries with `"params"` and `"lr"`.
#
# - The blocks are the children of `model.body`, from input to output, and then `model.head`.
# - The head learns at `base_lr`, the block below it at `base_lr * decay`, the next at `base_lr * decay**2`, and so on.
# - Blocks without parameters do not count.
# - Every parameter is in a group once, frozen or not.

# %% solution="layerwise_lr_groups"
def layerwise_lr_groups(model: nn.Module, base_lr: float, decay: float) -> list[dict]:
    """Discriminative learning rates.

    Args:
        model: has `.body`, whose children are blocks from input to output, and `.head`.
        base_lr: learning rate of the head.
        decay: a block learns at this share of the rate of the block above it.

    Returns:
        Optimizer groups [{"params": [...], "lr": ...}, ...].
    """
    ### BEGIN SOLUTION
    groups, lr = [], base_lr
    for block in reversed([*model.body.children(), model.head]):
        parameters = list(block.parameters())
        if parameters:
            groups.append({"params": parameters, "lr": lr})
            lr *= decay
    return groups
    ### END SOLUTION


# %% test="layerwise_lr_groups"

# %% tags=["demo"]
example = load_backbone("glyphnet")
optimizer = torch.optim.AdamW(layerwise_lr_groups(example, base_lr=3e-3, decay=0.5))
for group in optimizer.param_groups[::-1]:
    print(f"{sum(p.numel() for p in group['params']):8,} parameters at {group['lr']:.2g}")

# %% [markdown]
# ## A factor for each step
#
# The head's first gradients are made by random weights, and they flow down into a body that is not random at all. So
# start gently (**warm-up**), and to settle at the end, come down slowly. The classic shape: a straight line up, half a
# **cosine** down (Loshchilov and Hutter 2017; warm-up: Goyal et al. 2017).
#
# $$f(s) = \begin{cases}(s+1)/W & s < W \\ \tfrac12\left(1+\cos\pi\frac{s-W}{T-W}\right) & s \ge W\end{cases}$$
#
# with step $s = 0, …, T-1$ of $T$, and $W$ steps of warm-up. Mind the $+1$: some libraries begin with $f(0)=0$, and their
# first step does nothing.
#
# ### Exercise · Warm-up and cosine
# {exercise:warmup_cosine}
#
# Write `warmup_cosine(step, total_steps, warmup_steps)`: the factor on the learning rate. `warmup_steps` may be 0.

# %% solution="warmup_cosine"
def warmup_cosine(step: int, total_steps: int, warmup_steps: int) -> float:
    """Factor on the learning rate: up in a straight line, down along half a cosine.

    Args:
        step: 0 … total_steps - 1.
        total_steps: steps of the whole training.
        warmup_steps: steps of the way up; 0 for none.

    Returns:
        The factor, between 0 and 1.
    """
    ### BEGIN SOLUTION
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))
    ### END SOLUTION


# %% test="warmup_cosine"

# %% [markdown]
# Howard and Ruder drew the same idea with two straight lines, the **slanted triangular** schedule. Up to the step
# `cut = ⌊T · cut_frac⌋` a number $p$ climbs from 0 to 1, then it falls back, to reach 0 at $s = T$. The factor moves with it
# between `1 / ratio` and 1:
#
# $$f(s) = \frac{1 + p\,(\mathit{ratio} - 1)}{\mathit{ratio}},\qquad
# p = \begin{cases}s/\mathit{cut} & s < \mathit{cut}\\ 1-\frac{s-\mathit{cut}}{T-\mathit{cut}} & s \ge \mathit{cut}\end{cases}$$
#
# The paper writes $\mathit{cut}\,(1/\mathit{cut\_frac}-1)$ where we write $T-\mathit{cut}$. The two are equal when
# $T\cdot\mathit{cut\_frac}$ is a whole number.
#
# ### Exercise · The slanted triangle
# {exercise:slanted_triangular}
#
# Write `slanted_triangular(step, total_steps, cut_frac, ratio)`. The checks only ask for cases where the two forms agree.

# %% solution="slanted_triangular"
def slanted_triangular(step: int, total_steps: int, cut_frac: float = 0.1, ratio: float = 32) -> float:
    """Factor on the learning rate: a short climb, a long descent (Howard and Ruder 2018, equation 3).

    Args:
        step: 0 … total_steps - 1.
        total_steps: steps of the whole training.
        cut_frac: share of the steps that the climb takes.
        ratio: how many times smaller than the highest the lowest factor is.

    Returns:
        The factor, between 1 / ratio and 1.
    """
    ### BEGIN SOLUTION
    cut = int(total_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (total_steps - cut)
    return (1 + p * (ratio - 1)) / ratio
    ### END SOLUTION


# %% test="slanted_triangular"

# %% [markdown]
# Both, side by side; and the paper's form where the product is *not* whole. Look at its last steps.

# %% tags=["demo"]
def to_the_letter(step: int, total: int, cut_frac: float = 0.1, ratio: float = 32) -> float:
    """The slanted triangle as printed in the paper."""
    top = math.floor(total * cut_frac)
    fall = (step - top) / (top * (1 / cut_frac - 1))
    return (1 + (min(step / top, 1 - fall)) * (ratio - 1)) / ratio


# %% tags=["demo"]
figure, (left, right) = picture(9.0, 3.6, columns=2)
left.plot([warmup_cosine(s, 100, 10) for s in range(100)], color="#0072B2", label="warm-up and cosine")
left.plot([slanted_triangular(s, 100) for s in range(100)], "--", color="#D55E00", label="slanted triangle")
left.set(xlabel="step", ylabel="factor on the learning rate", title="100 steps")
right.plot([slanted_triangular(s, 28) for s in range(28)], "--", color="#D55E00", label="ours")
right.plot([to_the_letter(s, 28) for s in range(28)], "o", color="#009E73", markersize=4, label="to the letter")
right.axhline(0, color="#222222", linewidth=0.8)
right.set(xlabel="step", title="28 steps")
for axis in (left, right):
    axis.legend(frameon=False, fontsize=9)
figure

# %% tags=["demo", "prose"]
last = to_the_letter(27, 28)
word = "negative: that step climbs the loss" if last < 0 else "still positive"
Markdown(f"""With 28 steps the printed formula ends at a factor of **{last:.2f}**, {word}. Nobody notices in a long training,
where rounding down hardly matters. In a short one, and fine-tuning is short, it undoes what was learned. Formulas want to be tried.""")

# %% [markdown]
# ## Block by block
#
# A third way to protect the body: let only the head learn at first, and thaw one block more each epoch, from the head down.
# By the time a block may move, the gradients that reach it mean something. This is **gradual unfreezing** (Howard and Ruder
# 2018).
#
# ### Exercise · Who learns when
# {exercise:unfreeze_at}
#
# Write `unfreeze_at(epoch, blocks)`: the names of the blocks that learn in this epoch (0, 1, 2, …). `blocks` runs from the input to
# the head. In epoch 0 the head alone learns; in the end all do, and go on. The caller's list stays as it is.

# %% solution="unfreeze_at"
def unfreeze_at(epoch: int, blocks: list[str]) -> list[str]:
    """The blocks that learn in an epoch of gradual unfreezing.

    Args:
        epoch: counted from 0.
        blocks: names of all blocks, from the input to the head.

    Returns:
        Names of those that learn.
    """
    ### BEGIN SOLUTION
    return blocks[-(epoch + 1) :]
    ### END SOLUTION


# %% test="unfreeze_at"

# %% [markdown]
# Now do it by hand. Below, only the head learns. Run the next two cells, and while the second trains, for some seconds, **click on
# stage3, then stage2, and so on**; *Pause* gives you all the time you want, for a click counts then as well. Watch three things: the gradient of a block
# that you thaw, how far it moves, and the **drift** of its features. Drift is 1 − CKA, centered kernel alignment (Kornblith, Norouzi,
# Lee and Hinton 2019): 0 as long as the features of 64 fixed digits lie to each other as they did at the start, 1 when nothing of that is
# left. *Undo* works, too; *Rewind weights* brings back the pretrained ones.

# %% tags=["demo"]
model = with_new_head(seed=0)
board = LayerBoard(model, pool.images[others[:64]], lr=1e-3, batchnorm="hold")
board.freeze_all_but_head()
board

# %% tags=["demo"]
run = board.fit(digits_at(labelled), epochs=40, batch_size=10)

# %% [markdown]
# In code it is a function that is called after each step and sets what learns next:

# %% tags=["demo"]
def let_learn(model: nn.Module, names: list[str]) -> None:
    """Only these blocks get gradients."""
    for block in blocks(model):
        model.get_submodule(block).requires_grad_(block in names)


def gradually(model: nn.Module):
    """Begin with the head; returns what `fit` shall call after each step. Each block thaws after an equal share."""
    names = blocks(model)
    let_learn(model, unfreeze_at(0, names))
    return lambda step: let_learn(model, unfreeze_at((step.index + 1) * len(names) // step.total, names))


# %% [markdown]
# ## The BatchNorm trap
#
# In lesson 01 a frozen network drifted, because BatchNorm's running statistics are no parameters: this is what cost the letters above. In
# training mode BatchNorm (Ioffe and Szegedy 2015) normalises with the mean and variance of *the batch*: what the network says of an image depends on the
# others beside it, and with each batch the memory moves towards the target.

# %% tags=["demo"]
quiz("frozen_weights")

# %% [markdown]
# Find it yourself. On this board the whole body is frozen, but its BatchNorm is *not* held: the board warns (⚠). Train the
# head with four images a batch and look at the blocks: nothing has moved, no gradient; and the **drift of the features**?
# Then press *Rewind weights* and *Hold their statistics*, and run the second cell again.

# %% tags=["demo"]
trapped = with_new_head(seed=0)
trap = LayerBoard(trapped, pool.images[others[:64]], lr=1e-3, batchnorm="leave")
trap.freeze_all_but_head()
trap

# %% tags=["demo"]
run = trap.fit(digits_at(labelled), epochs=2, batch_size=4)

# %% [markdown]
# The cure: BatchNorm keeps to the statistics it brought along, those of many letters, while all weights learn, its own scale and
# shift included.
#
# ### Exercise · BatchNorm in evaluation mode
# {exercise:batchnorm_eval}
#
# Write `batchnorm_eval(model)`, which puts every BatchNorm layer (1d and 2d, at any depth) in evaluation mode for good, and
# returns the model.
#
# - They stay in it **when somebody calls `model.train()`**, as `fit` does.
# - All weights go on learning, those of BatchNorm too. Nothing is frozen.
# - Other layers, Dropout for example, follow `train()` and `eval()` as ever.

# %% solution="batchnorm_eval"
def batchnorm_eval(model: nn.Module) -> nn.Module:
    """Hold every BatchNorm layer in evaluation mode, also through a later `model.train()`.

    Args:
        model: any network.

    Returns:
        The model. Its BatchNorm layers use their running statistics and leave them alone.
    """
    ### BEGIN SOLUTION
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.eval()
            layer.train = lambda mode=True, layer=layer: layer
    return model
    ### END SOLUTION


# %% test="batchnorm_eval"

# %% [markdown]
# What does it save? The body is frozen and only a new head learns, two passes over the hundred digits. Afterwards the *old* head is put back
# and reads letters.

# %% tags=["demo"]
def letters_after(size: int, hold: bool) -> float:
    """Letters that the old head still reads, after a new head was trained on the frozen body."""
    model = with_new_head(seed=0)
    model.body.requires_grad_(False)
    if hold:
        batchnorm_eval(model)
    fit(model, digits_at(labelled), epochs=2, lr=1e-3, batch_size=size, progress=False)
    return letters_known(model.body)


# %% tags=["demo"]
kept = {"before": letters_known(backbone.body), "held, batches of 4": letters_after(4, hold=True)}
kept |= {f"not held, batches of {size}": letters_after(size, hold=False) for size in (4, 20)}
bars(kept, title="Letters read by a body whose weights never moved", unit="accuracy on letters, old head", percent=True)

# %% tags=["demo", "prose"]
Markdown(f"""No weight of the body has moved, and yet the letters went from {kept["before"]:.1%} to
**{kept["not held, batches of 4"]:.1%}**; held, they are at {kept["held, batches of 4"]:.1%}. The digits have overwritten what the network
remembered of the letters' statistics. In the next two sections every network is held, so that what changes are the weights alone.
Held is not always better: if nothing but the target counts and all weights learn, statistics of the target can win, as you
will see. Lesson 03 makes use of that.""")

# %% [markdown]
# ## Forgetting, and a leash
#
# If only the digits count, forgetting is no loss. But what makes a pretrained network good is what it *remembers*, and with
# few labels every step away from it is guided by little. Ordinary weight decay pulls all weights towards zero, which
# for transferred weights means: away from what they know. **L2-SP** (Li, Grandvalet and Davoine 2018) pulls them towards their
# *starting point* $w^0$, and only the new ones, $v$, towards zero:
#
# $$\Omega = \frac{\alpha}{2}\,\lVert w - w^0\rVert_2^2 + \frac{\beta}{2}\,\lVert v\rVert_2^2$$
#
# ### Exercise · L2-SP
# {exercise:l2_sp}
#
# Write `l2_sp(model, start, alpha, beta)`: the penalty Ω, a scalar tensor to be added to the loss.
#
# - `start` maps names to tensors as they were at the start. A parameter named there is transferred, any other is new.
# - `start` may come from a `state_dict`, so it can hold buffers: these are not penalised.
# - The gradient reaches every parameter.

# %% solution="l2_sp"
def l2_sp(model: nn.Module, start: dict[str, Tensor], alpha: float, beta: float) -> Tensor:
    """Penalty on the distance from the starting point.

    Args:
        model: the network in training.
        start: {name: value} of what was transferred, as it was at the start; buffers in it are ignored.
        alpha: strength for the transferred parameters.
        beta: strength for the new ones.

    Returns:
        α/2 ‖w − w⁰‖² + β/2 ‖v‖², a scalar.
    """
    ### BEGIN SOLUTION
    old, new = torch.zeros(()), torch.zeros(())
    for name, parameter in model.named_parameters():
        if name in start:
            old = old + (parameter - start[name]).square().sum()
        else:
            new = new + parameter.square().sum()
    return alpha / 2 * old + beta / 2 * new
    ### END SOLUTION


# %% test="l2_sp"

# %% [markdown]
# Does the leash hold? Ten labels a class again, three strengths, and both questions: digits with the new head, letters with
# the old one. The learning rate is on purpose too large for a network whose BatchNorm is held. A few seconds.

# %% tags=["demo"]
def on_a_leash(model: nn.Module, alpha: float) -> nn.Module:
    """Full fine-tuning with L2-SP, BatchNorm held."""
    batchnorm_eval(model)
    start = {name: value for name, value in snapshot(model).items() if name.startswith("body.")}

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y) + l2_sp(model, start, alpha, beta=0.01)

    fit(model, digits_at(labelled), epochs=3, lr=3e-3, batch_size=10, loss=loss, progress=False)
    return model


# %% tags=["demo"]
alphas = (0.0, 1.0, 10.0)
led = parallel_map(on_a_leash, [(with_new_head(seed=0), alpha) for alpha in alphas], "leashes")
leash = {
    alpha: (evaluate(model, digits_at(others[:200])).accuracy, letters_known(model.body))
    for alpha, model in zip(alphas, led, strict=True)
}

# %% tags=["demo"]
figure, (axis,) = picture(6.4, 4.2)
axis.plot(*zip(*leash.values(), strict=True), "o-", color="#0072B2")
for alpha, place in leash.items():
    axis.annotate(f"α = {alpha:g}", place, (10, -4), textcoords="offset points", fontsize=10)
axis.plot(mark, letters_known(backbone.body), "*", color="#D55E00", markersize=14)
axis.annotate("frozen", (mark, letters_known(backbone.body)), (8, 4), textcoords="offset points", fontsize=10)
axis.set(xlabel="digits, new head", ylabel="letters, old head")
axis.set_title("What is learned, and what is kept", loc="left", fontweight="bold")
figure

# %% tags=["demo", "prose"]
free, alpha = leash[0.0], max(alphas[1:], key=lambda alpha: sum(leash[alpha]))
tied = leash[alpha]
saved = " and ".join(word for word, i in (("letters", 1), ("digits", 0)) if tied[i] > free[i]) or "neither"
verb = "beats" if tied[0] > mark else "does not beat"
Markdown(f"""Without a leash the network reads {free[0]:.1%} of the digits and {free[1]:.1%} of the letters. With α = {alpha:g} it is
{tied[0]:.1%} and **{tied[1]:.1%}**: against a rate that destroys, the leash saves {saved}. On digits it {verb} the frozen network and
its probe ({mark:.1%}, and {letters_known(backbone.body):.1%} of the letters), and it is no substitute for a rate that fits: at {best_lr:g} the sweep
came to {swept[best_lr][0]:.1%} of the digits without any leash.""")

# %% [markdown]
# ## Which layers want to move?
#
# Discriminative rates are a guess: the later, the more. The network can be asked instead. With the probe as its head, send the
# labelled digits through it once, and compare for each block the length of the gradient with the length of the
# weights. A block with a large ratio wants to change much. Lee et al. (2023) use these ratios as weights on the learning
# rates, and call it *surgical* fine-tuning when only a part of the network is updated at all.
#
# Write your guess down before you go on: early or late?

# %% tags=["demo"]
def with_probe_head(labelled: Tensor) -> nn.Module:
    """glyphnet whose head is the probe fitted on its frozen features."""
    model = load_backbone("glyphnet")
    model.head = linear_probe(features[labelled], pool.labels[labelled], 10, l2=0.1).as_linear()
    return model


# %% tags=["demo"]
def importance(model: nn.Module, where: Tensor) -> dict[str, float]:
    """Block -> length of its gradient relative to the length of its weights, the largest being 1."""
    images, labels = digits_at(where)
    F.cross_entropy(model.eval()(images), labels).backward()
    ratio = {}
    for block, pull in gradient_norms(model).items():
        weights = torch.cat([p.detach().flatten() for p in model.get_submodule(block).parameters()])
        ratio[block] = pull / float(weights.norm())
    return {block: value / max(ratio.values()) for block, value in ratio.items()}


# %% tags=["demo"]
labelled, _ = draw(10, seed=0)
wish = importance(with_probe_head(labelled), labelled)
bars(wish, title="How much each block wants to change", unit="gradient relative to weights, largest = 1")

# %% [markdown]
# Does the wish tell the truth? The test: train the head and a single block; then everything, with the wish as the weight on each
# rate; and, to be fair, everything at one rate, the *mean* of those. BatchNorm is held. Some seven seconds.

# %% tags=["demo"]
def with_rates(rates: dict[str, float], seed: int) -> float:
    """Accuracy on the rest of the pool, trained from the probe's head; a block with rate 0 is frozen."""
    labelled, others = draw(10, seed)
    model = batchnorm_eval(with_probe_head(labelled))
    let_learn(model, [block for block, rate in rates.items() if rate])
    fit(model, digits_at(labelled), epochs=3, lr=rates, batch_size=10, seed=seed, progress=False)
    return evaluate(model, digits_at(others[:200])).accuracy


# %% tags=["demo"]
names, rate = blocks(backbone), 3e-3
plans = {f"head and {n.removeprefix('body.')}": {b: rate * (b in (n, "head")) for b in names} for n in names[:-1]}
plans["head alone"] = {b: rate * (b == "head") for b in names}
plans["all, at the mean rate"] = dict.fromkeys(names, rate * sum(wish.values()) / len(wish))
plans["all, weighted by wish"] = {b: rate * wish[b] for b in names}
found = parallel_map(with_rates, product(plans.values(), range(2)), "plans")
moved = dict(zip(plans, torch.tensor(found).view(-1, 2), strict=True))

# %% tags=["demo"]
bars(
    {plan: float(found.mean()) for plan, found in moved.items()},
    spread={plan: float(found.std()) for plan, found in moved.items()},
    title="Who may move: ten labels a class, on forms",
    unit="accuracy on the rest of the pool (mean ± spread of 2 draws)",
    percent=True,
)

# %% tags=["demo", "prose"]
gain = {n: float(moved[f"head and {n.removeprefix('body.')}"].mean() - moved["head alone"].mean()) for n in names[:-1]}
by_wish, by_gain = max(gain, key=wish.get), max(gain, key=gain.get)
even, weighted = float(moved["all, at the mean rate"].mean()), float(moved["all, weighted by wish"].mean())
spread = max(float(found.std()) for found in moved.values())
winner = "it also" if by_gain == by_wish else f"`{by_gain}`"
Markdown(f"""Of the body, `{by_wish}` has the largest wish; {winner} gains most when it moves with the head
({100 * gain[by_gain]:+.1f} points over the head alone). All blocks at the mean rate: {even:.1%}; weighted by wish: {weighted:.1%}. But look
at the error bars, up to {100 * spread:.1f} points with two draws: they are as long as most of the differences. Over five draws
(`benchmarks/fine_tuning.py`) the first three blocks gain one and a half to three points each, stage3 nothing: early rather than late, as
the wish says, but not in its order. It is a hint, to be checked on held-out digits like any other choice.""")

# %% [markdown]
# ## All ways side by side
#
# Time to compare, with fifty labels a class:
#
# - **frozen**: the probe of lesson 01;
# - **from scratch**: fresh weights, everything learns at one rate;
# - **full**: new head, everything learns at one rate;
# - **discriminative**: the ladder of rates;
# - **gradual**: block after block, with the ladder;
# - **probe first**: the head starts as the probe, then everything learns (Kumar et al. 2022).
#
# All but the first use warm-up and cosine and see each labelled digit once: fifty steps of ten digits.

# %% tags=["demo"]
def tune(model: nn.Module, data, lr: float, decay: float, epochs: int, seed: int, thaw=False) -> nn.Module:
    """Fine-tune on data = (images, labels) with what this lesson taught."""
    optimizer = torch.optim.AdamW(layerwise_lr_groups(model, lr, decay), weight_decay=0.01, fused=True)
    fit(
        model,
        data,
        epochs=epochs,
        optimizer=optimizer,
        batch_size=10,
        schedule=lambda step, total: warmup_cosine(step, total, total // 10),
        on_step=[gradually(model)] if thaw else [],
        seed=seed,
        progress=False,
    )
    return model


# %% [markdown]
# Each way has its own learning rate: the best of the same five, from 0.001 to 0.02, tried on the rest of the pool with three draws of
# fifty labels that we do not use here. Whether BatchNorm is better held was tried in the same way. It is not: on forms every
# way does better, by three to nearly forty points, when the statistics follow the target, and so here nothing is
# held. Test digits had no say (`benchmarks/fine_tuning.py` has the table). About ten seconds.

# %% tags=["demo"]
WAYS = {
    "from scratch": {"lr": 5e-3, "decay": 1.0},
    "full": {"lr": 5e-3, "decay": 1.0},
    "discriminative": {"lr": 5e-3, "decay": 0.7},
    "gradual": {"lr": 1e-2, "decay": 0.7, "thaw": True},
    "probe first": {"lr": 2e-3, "decay": 1.0},
}


def compare(
    ways: Sequence[str], per_class: int, epochs: int, draws: int, data: Images, asked: Images, rows: Tensor
) -> dict[str, Tensor]:
    """Test accuracies of some ways to fine-tune, [draws] each; `rows` are the frozen features of `data`."""
    starts = []
    for way, seed in product(ways, range(draws)):
        labelled, _ = draw(per_class, seed)
        model = with_new_head(seed, pretrained=way != "from scratch")
        if way == "probe first":
            model.head = linear_probe(rows[labelled], data.labels[labelled], 10, l2=0.1).as_linear()
        starts.append((model, digits_at(labelled, data), way, seed))

    def run(model: nn.Module, known: tuple[Tensor, Tensor], way: str, seed: int) -> float:
        tune(model, known, epochs=epochs, seed=seed, **WAYS[way])
        return evaluate(model, asked).accuracy

    scores = torch.tensor(parallel_map(run, starts, "ways"))
    return dict(zip(ways, scores.view(len(ways), draws), strict=True))


# %% tags=["demo"]
results = {"frozen": torch.tensor(frozen[50])} | compare(list(WAYS), 50, 1, 2, pool, test, features)
bars(
    {way: float(found.mean()) for way, found in results.items()},
    spread={way: float(found.std()) for way, found in results.items()},
    title="Digits on forms, 50 labels a class, one pass",
    unit="accuracy on 400 test digits (mean ± spread of 2 draws)",
    percent=True,
    highlight="frozen",
)

# %% tags=["demo", "prose"]
mean = {way: float(found.mean()) for way, found in results.items()}
ways = [way for way in WAYS if way != "from scratch"]
best, worst = max(ways, key=mean.get), min(ways, key=mean.get)
Markdown(f"""The frozen network reads {mean["frozen"]:.1%} of the forms, a network from scratch {mean["from scratch"]:.1%}, the best way to
fine-tune ({best}) **{mean[best]:.1%}**. All but that from scratch begin with the same body,
and all take the same number of steps; and yet {100 * (mean[best] - mean[worst]):.0f} points lie between {best} and {worst}. A random head
sends random gradients until it has learned something; a head that fits the features sends useful ones from the first step.
Fifty steps are few: with six passes a random head is ahead, by about five points over five draws (`longer` in
`benchmarks/fine_tuning.py`). Try it: the third argument of `compare` is the number of passes.""")

# %% [markdown]
# ## When it hurts
#
# Now the other extreme: neat digits, where the frozen features are at home, and **one** label a class.

# %% tags=["demo"]
quiz("one_label")

# %% tags=["demo"]
neat_data = (clean_pool, clean_test, clean_features)
one = {"frozen": torch.tensor(near[1])} | compare(["full", "probe first"], 1, 10, 3, *neat_data)
bars(
    {name: float(found.mean()) for name, found in one.items()},
    spread={name: float(found.std()) for name, found in one.items()},
    title="Neat digits, one label a class",
    unit="accuracy on 400 test digits (mean ± spread of 3 draws)",
    percent=True,
    highlight="frozen",
)

# %% tags=["demo", "prose"]
def against_frozen(way: str) -> str:
    """How far a way lies from frozen, in words."""
    gap = 100 * float(one[way].mean() - one["frozen"].mean())
    return "ends where frozen stands" if abs(gap) < 1 else f"lies {abs(gap):.0f} points {'above' if gap > 0 else 'below'} it"


Markdown(f"""Frozen: {float(one["frozen"].mean()):.1%}. Full fine-tuning {against_frozen("full")}, and its draws spread by
±{100 * float(one["full"].std()):.0f} points (frozen: ±{100 * float(one["frozen"].std()):.0f}); with the probe first it
{against_frozen("probe first")}. Ten images cannot say which of {sum(p.numel() for p in backbone.body.parameters()):,} parameters
of the body should move. Where there is nothing to gain, every step is a risk. (The rates are those of above, not chosen for one label,
and three draws prove little. Over the five of `benchmarks/fine_tuning.py` no way to fine-tune beats frozen in the mean.)""")

# %% [markdown]
# ## Beat the probe
#
# Now put your own together.
#
# ### Exercise · Beat the probe
# {exercise:fine_tune}
#
# Write `fine_tune(model, images, labels)`. It adapts a pretrained backbone to digits on forms, fifty labelled ones of each,
# and returns the network, which then reads forms that it has not seen.
#
# - At least 68 % of the new ones should be right (the check allows two points less, for the luck of 300 digits). The frozen network
#   with a probe does not get there.
# - It is the network you were given that is tuned: the check looks whether its weights still lie near their start. Fine-tuning at any
#   rate that leaves a network that reads is near enough; training from fresh weights is not.
# - Use whatever this lesson has: the probe as head, the ladder of rates, a schedule, BatchNorm held or not. A few passes are enough,
#   or one in small batches; it should take a few seconds at most.

# %% solution="fine_tune"
def fine_tune(model: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    """Adapt a pretrained backbone to new images.

    Args:
        model: a pretrained backbone with `.body` and `.head`.
        images: labelled images, ready for the body, [N, 1, 32, 32].
        labels: their digits, int64 [N].

    Returns:
        The network that was given, with a head for ten digits, fine-tuned: its weights still lie near their start.
    """
    ### BEGIN SOLUTION
    frozen_features = extract(model.body, images)
    model.head = linear_probe(frozen_features, labels, num_classes=10, l2=10.0).as_linear()
    optimizer = torch.optim.AdamW(layerwise_lr_groups(model, base_lr=3e-3, decay=0.9), weight_decay=0.01)
    fit(
        model,
        (images, labels),
        epochs=1,
        batch_size=10,
        optimizer=optimizer,
        schedule=lambda step, total: warmup_cosine(step, total, warmup_steps=total // 10),
        progress=False,
    )
    return model
    ### END SOLUTION


# %% test="fine_tune"

# %% [markdown]
# And the same function on neat digits, where the frozen network is at home? Ten labels a class, one draw, a few seconds.

# %% tags=["demo"]
labelled, _ = draw(10, seed=0)
tuned = fine_tune(load_backbone("glyphnet"), *digits_at(labelled, clean_pool))
neat = evaluate(tuned, clean_test).accuracy

# %% tags=["demo", "prose"]
word = "does better" if neat > near[10][0] + 0.01 else "does worse" if neat < near[10][0] - 0.01 else "gains nothing"
Markdown(f"""On neat digits the frozen network reads {near[10][0]:.1%}, your fine-tuned one {neat:.1%}: it {word}. The rule of thumb:
*few labels and a near target: freeze. Many labels or a far target: fine-tune.* With few labels and a far target nothing is easy; lesson
03 is about that.""")

# %% [markdown]
# ### Question · The radiologist's network
# {exercise:why_carefully}
#
# A colleague has 40 X-ray images and a network pretrained on a million photos. She gives it a new head and trains all of it with one
# learning rate and four images a batch. Training accuracy soon is 100 %; on held-out images the network does worse than a linear
# probe on the frozen network, and differently in each run. She wants to train longer.
#
# In about eight sentences: why will that not help, what may have gone wrong (name two mechanisms of this lesson), what should
# she do instead, in which order, and how does she choose among it without fooling herself?

# %% [markdown] written="why_carefully" points=4
# **Model answer.** The training images are already fitted perfectly: more steps can only move the weights further from where they
# were, with nothing left to learn from. Two mechanisms: (1) the random head's first gradients, at the same rate for all layers, moved the
# early blocks as well, and the general features were distorted before the head knew anything (forgetting); 40 images cannot
# restore what a million taught. (2) With four images a batch BatchNorm normalised with noisy batch statistics in training and with
# drifting running ones in evaluation; hence the gap and the difference between runs. Instead: begin with the frozen network
# and a probe as the mark to beat; hold BatchNorm; start from the probe's head, or thaw block by block from the head
# down, with smaller rates for lower blocks and a warm-up, or tie the weights to their start (L2-SP); stop early. Each step is kept only
# if it helps on validation images that are not used for training, over several draws or folds because 40 images are few; test images
# are looked at once, in the end. If nothing beats the probe, the probe is the answer.
#
# **Mark scheme (4 points).**
# - 1: why longer training cannot help (training set fitted; further from the pretrained weights).
# - 1: two mechanisms, each explained and not only named: distortion or forgetting through one large rate and a random head; BatchNorm with
#   small batches; overfitting of all parameters to 40 images.
# - 1: a sound order: frozen probe first as the mark, then cautious steps (two of: held BatchNorm, probe as head, gradual, discriminative
#   rates, warm-up, L2-SP), and "stay frozen" as a possible outcome.
# - 1: choices on validation data apart from the test data, with repeated draws or folds.
#
# Accept any order and wording. "More data" alone, or "a smaller learning rate" without a reason, earns nothing for the second point.

# %% [markdown]
# ## Limits
#
# - Our forms are made by a formula. Real ones have lines, stamps and stains as well.
# - Two to five draws show large differences. Which of two careful ways is better by half a point, they do not show.
# - Rates were chosen with several hundred validation digits. Who has ten labels has no such luxury, and should prefer ways
#   that do not depend much on the choice. The frozen probe is one.
# - Transfer is not the only way. With twenty passes the same network from scratch reads 83 % of the forms (fine-tuned in full: 93 %).
#   And a small one that is built blind to position, four convolutions and of each channel the largest answer wherever it stands,
#   reads 95 % from scratch after six passes, where full fine-tuning has 92 % (five draws each, `scratch` in
#   `benchmarks/fine_tuning.py`). What is known about a task and built in can beat what is transferred.
# - This network is small enough to be fine-tuned in seconds on a CPU. For networks of billions of weights it is cheaper to
#   train small additions: lesson 12.

# %% [markdown]
# ## With real photos
#
# SqueezeNet from ImageNet, ants and bees: 244 photos to learn from. Frozen and a probe, against fine-tuning its last block with
# the probe as head. SqueezeNet has no BatchNorm, so one trap less. The photos are made small (96 pixels) to keep it short: about
# half a minute. Where the files are not on your machine the cells say so and do nothing; set `download = True` where there is a
# network (52 MB).

# %% tags=["demo"]
from pathlib import Path

from tlkit.data import ants_and_bees
from tlkit.data.download import data_root

download = False
weights = Path(torch.hub.get_dir()) / "checkpoints" / "squeezenet1_0-b66bff10.pth"
missing = [path.name for path in (data_root() / "hymenoptera_data", weights) if not path.exists()]
with_photos = download or not missing
print("all files are here" if not missing else f"not on this machine: {', '.join(missing)}")

# %% [markdown]
# Half of the held-out photos choose the learning rate, the other half is for the report. What lies below the last block is
# frozen, so its output is computed once, as in lesson 01.

# %% tags=["demo"]
def below_and_above(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """SqueezeNet cut before its last Fire module: what stays frozen, what learns."""
    below = network.body.features[:-1]
    return below, nn.Sequential(network.body.features[-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% tags=["demo"]
def maps_of(below: nn.Module, photos, transform) -> Tensor:
    """What comes out of the frozen part, for photos on disk: [N, C, H, W]."""
    rows = []
    for some in torch.arange(len(photos)).split(32):
        rows.append(extract(below, torch.stack([transform(photos.open(int(i))) for i in some])))
    return torch.cat(rows)


# %% tags=["demo"]
def tune_photos(lr: float) -> nn.Module:
    """The last block and the head, fine-tuned from the probe."""
    upper = copy.deepcopy(above)
    model = nn.Sequential(upper, insects.as_linear())
    fit(model, (train_maps, train_photos.labels), epochs=5, lr=lr, batch_size=32, progress=False)
    return model


# %% tags=["demo"]
if with_photos:
    squeezenet = load_backbone("squeezenet1_0")
    train_photos, val_photos = ants_and_bees()
    below, above = below_and_above(squeezenet)
    train_maps, val_maps = (maps_of(below, p, squeezenet.transform.at(96)) for p in (train_photos, val_photos))
    insects = linear_probe(extract(above, train_maps), train_photos.labels, 2, l2=0.1)
    order = torch.randperm(len(val_photos), generator=torch.Generator().manual_seed(0))
    choose, report = order[: len(order) // 2], order[len(order) // 2 :]
    print(f"frozen and a probe: {insects.accuracy(extract(above, val_maps[report]), val_photos.labels[report]):.1%}")
else:
    print("Skipped. Everything above needed no download, and so do the next lessons.")

# %% tags=["demo"]
if with_photos:
    models = {lr: tune_photos(lr) for lr in (1e-5, 1e-4, 1e-3)}
    chosen = max(models, key=lambda lr: evaluate(models[lr], (val_maps[choose], val_photos.labels[choose])).accuracy)
    accuracy = evaluate(models[chosen], (val_maps[report], val_photos.labels[report])).accuracy
    print(f"last block fine-tuned at {chosen:g}: {accuracy:.1%} of {len(report)} photos ({1 / len(report):.1%} each)")

# %% [markdown]
# Two photos more or less are between two and three points here: with some eighty photos to report on, believe only large differences.

# %% [markdown]
# ## References
#
# - J. Howard and S. Ruder, *Universal language model fine-tuning for text classification*, ACL 2018.
# - J. Yosinski, J. Clune, Y. Bengio and H. Lipson, *How transferable are features in deep neural networks?*, NeurIPS 2014.
# - X. Li, Y. Grandvalet and F. Davoine, *Explicit inductive bias for transfer learning with convolutional networks*, ICML 2018.
# - A. Kumar, A. Raghunathan, R. Jones, T. Ma and P. Liang, *Fine-tuning can distort pretrained features and underperform
#   out-of-distribution*, ICLR 2022.
# - Y. Lee, A. S. Chen, F. Tajwar, A. Kumar, H. Yao, P. Liang and C. Finn, *Surgical fine-tuning improves adaptation to
#   distribution shifts*, ICLR 2023.
# - D. P. Kingma and J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015.
# - I. Loshchilov and F. Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017.
# - I. Loshchilov and F. Hutter, *Decoupled weight decay regularization*, ICLR 2019.
# - S. Kornblith, M. Norouzi, H. Lee and G. Hinton, *Similarity of neural network representations revisited*, ICML 2019.
# - P. Goyal et al., *Accurate, large minibatch SGD: training ImageNet in 1 hour*, arXiv:1706.02677, 2017.
# - M. McCloskey and N. J. Cohen, *Catastrophic interference in connectionist networks: the sequential learning problem*, Psychology of
#   Learning and Motivation 24, 1989.
# - S. Ioffe and C. Szegedy, *Batch normalization: accelerating deep network training by reducing internal covariate shift*,
#   ICML 2015.
#
# **Next:** lesson 03, *Domain adaptation*. The target has no labels at all.

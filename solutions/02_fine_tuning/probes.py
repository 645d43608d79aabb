"""What is measured of each exercise in lesson 02, and its questions. Values only: no solution is in here."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import exercise, fill, gradient_at, probe, question, tensor


def network(rng):
    """A pretrained network in miniature: body (stem, stage1, pool, project) and head, widths and values from rng.

    BatchNorm of two kinds, one block with two BatchNorm layers of its own and a third inside an inner block,
    one block without parameters, and Dropout (with p = 0, so that nothing depends on chance).
    """
    width, classes = int(rng.integers(3, 7)), int(rng.integers(3, 9))
    inner = nn.Sequential(
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()
    )
    body = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        stage1=nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            inner,
        ),
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        project=nn.Sequential(
            nn.Linear(2 * width, 2 * width, bias=False), nn.BatchNorm1d(2 * width), nn.Dropout(0.0)
        ),
    )
    model = nn.Sequential(OrderedDict(body=nn.Sequential(body), head=nn.Linear(2 * width, classes)))
    return fill(model, rng).eval()


def images(rng, count):
    return tensor(rng, count, 1, 8, 8)


def norms(model):
    """The BatchNorm layers of `network`, in order."""
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]


def named(names):
    """Names in one text, so that a difference shows all of them; "none" if there are none."""
    return ", ".join(name or "the model itself" for name in names) or "none"


def statistics(model):
    """All running means and variances in one row."""
    kept = [
        b.flatten() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))
    ]
    return torch.cat(kept).clone() if kept else None


# --- trainable_summary ------------------------------------------------------------------------------------

exercise(
    "trainable_summary",
    difficulty=2,
    minutes=10,
    why="One look before training saves an hour after it: what will learn, what will not, and which statistics "
    "BatchNorm is going to use.",
    hints=(
        "Walk over the children of `model.body` by name, and then the head. For each block answer three questions: how "
        "many numbers, how many of them learn, in which mode are its BatchNorm layers?",
        "`p.numel()` counts the numbers in a parameter, `p.requires_grad` says whether it learns. "
        "`block.modules()` goes through everything inside a block, at any depth; a layer's mode is `layer.training`.",
        "`modes = {m.training for m in block.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))}`. An "
        'empty set is "none", two different modes are "mixed", `{True}` is "batch".',
    ),
)


def column(summary, key):
    """{block: one of its facts}."""
    if not isinstance(summary, dict):
        return summary
    return {str(name): row.get(key) if isinstance(row, dict) else row for name, row in summary.items()}


@probe("trainable_summary", points=1)
def _(trainable_summary, rng):
    """Every block is there, with the count of its parameters."""
    model = network(rng)
    return {"parameters of each block": column(trainable_summary(model), "parameters")}


@probe("trainable_summary", points=1)
def _(trainable_summary, rng):
    """Only what has requires_grad counts as trainable."""
    found = {}
    for words in ("a first", "another"):
        model = network(rng)
        for parameter in model.parameters():
            parameter.requires_grad = bool(rng.integers(0, 2))
        found[f"trainable parameters of each block, {words} choice of frozen layers"] = column(
            trainable_summary(model), "trainable"
        )
    return found


@probe("trainable_summary", points=1)
def _(trainable_summary, rng):
    """BatchNorm's mode is read off the BatchNorm layers."""
    found = {}
    for words in ("a first", "a second", "a third"):
        model = network(rng).train(bool(rng.integers(0, 2)))
        for parameter in model.parameters():
            parameter.requires_grad = bool(rng.integers(0, 2))
        for norm in norms(model):
            norm.train(bool(rng.integers(0, 2)))
        found[f"mode of each block's BatchNorm, {words} model"] = column(
            trainable_summary(model), "batchnorm"
        )
    for which, place in {"first": 0, "second": 1, "last, which is nested,": 2}.items():
        model = network(rng)
        norms(model.body.stage1)[place].train()
        found[f"mode where of stage1's three BatchNorm layers only the {which} is in train()"] = column(
            trainable_summary(model), "batchnorm"
        )
    return found


# --- layerwise_lr_groups ----------------------------------------------------------------------------------

exercise(
    "layerwise_lr_groups",
    difficulty=3,
    minutes=12,
    why="Early layers know what every image has, late ones what the old task asked: so let the late ones move more. "
    "That is all there is to discriminative fine-tuning.",
    hints=(
        "Go from the head down. The head gets `base_lr`; each block that you meet below it gets the rate of the one "
        "above, times `decay`.",
        "A block without parameters (such as `pool`) has no rate, and takes no step of the ladder. Frozen parameters stay "
        "in their group: an optimizer skips them for as long as they have no gradient.",
        "`blocks = [*model.body.children(), model.head]`; keep those with parameters, go through them `reversed`, and "
        "append `{'params': list(block.parameters()), 'lr': lr}` before `lr *= decay`.",
    ),
)


def rate_of_each(groups, model):
    """{parameter name: its learning rate in the groups}, or in words why it has none."""
    rates = {}
    for group in groups:
        for parameter in group["params"]:
            rates[id(parameter)] = group.get("lr", "in a group without lr")
    return {name: rates.get(id(parameter), "in no group") for name, parameter in model.named_parameters()}


def as_lists(groups):
    """The groups with their parameters in lists; a generator would be used up by the first who looks.

    PyTorch's optimizers take pairs of name and parameter as well.
    """
    made = []
    for group in groups:
        params = group["params"]
        params = [params] if isinstance(params, torch.Tensor) else list(params)
        made.append({**group, "params": [p[1] if isinstance(p, tuple) else p for p in params]})
    return made


def where_numbers_stand(groups):
    """In words: do the groups hold numbers only under `lr`, or elsewhere too?"""
    keys = {key for group in groups for key, value in group.items() if isinstance(value, (int, float))}
    return "under lr and under other keys" if keys - {"lr", "weight_decay"} else "under lr alone"


@probe("layerwise_lr_groups", points=1)
def _(layerwise_lr_groups, rng):
    """The head learns at base_lr, each block below at decay times the rate of the one above."""
    model = network(rng)
    base_lr, decay = float(10 ** rng.uniform(-3, -1)), float(rng.uniform(0.2, 0.8))
    groups = as_lists(layerwise_lr_groups(model, base_lr, decay))
    listed = [id(p) for group in groups for p in group["params"]]
    return {
        "base_lr and decay": [base_lr, decay],
        "learning rate of each parameter": rate_of_each(groups, model),
        "parameters that stand in two groups": len(listed) - len(set(listed)),
        "where numbers stand in the groups": where_numbers_stand(groups),
    }


@probe("layerwise_lr_groups", points=1)
def _(layerwise_lr_groups, rng):
    """One step of gradient descent moves each layer as far as its rate says."""
    model, x = network(rng), images(rng, 6)
    labels = torch.from_numpy(rng.integers(0, model.head.out_features, 6))
    groups = as_lists(layerwise_lr_groups(model, float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.2, 0.8))))
    F.cross_entropy(model(x), labels).backward()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for group in groups:  # what SGD does with them
            for p in group["params"]:
                if p.grad is not None:
                    p -= group.get("lr", 1e-3) * p.grad
    moved = {name: float((p.detach() - before[name]).norm()) for name, p in model.named_parameters()}
    return {
        "step of the head's weight": moved["head.weight"],
        "step of the first convolution": moved["body.stem.0.weight"],
        "step of every parameter": moved,
    }


@probe("layerwise_lr_groups", points=1)
def _(layerwise_lr_groups, rng):
    """Frozen blocks keep their place and their rate, so that they can thaw later."""
    model = network(rng)
    base_lr, decay = float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.3, 0.9))
    model.body.stem.requires_grad_(False)
    model.body.stage1.requires_grad_(False)
    groups = as_lists(layerwise_lr_groups(model, base_lr, decay))
    blocks = {**dict(model.body.named_children()), "head": model.head}
    return {
        "learning rate of each parameter, stem and stage1 frozen": rate_of_each(groups, model),
        "blocks with frozen parameters afterwards": named(
            name for name, block in blocks.items() if not all(p.requires_grad for p in block.parameters())
        ),
    }


# --- warmup_cosine ----------------------------------------------------------------------------------------

exercise(
    "warmup_cosine",
    difficulty=2,
    minutes=8,
    why="The head is random at first, and its gradients are noise: the warm-up keeps them from tearing the body apart "
    "before the head has learned anything.",
    hints=(
        "Two pieces. While `step < warmup_steps` the factor is a straight line; from then on half a cosine wave, which "
        "only knows the steps that are left.",
        "The first step gets `1 / warmup_steps`, the last step of the warm-up gets 1. Afterwards `progress` runs from 0 to 1 "
        "over `total_steps - warmup_steps` steps.",
        "`if step < warmup_steps: return (step + 1) / warmup_steps`. Then `progress = (step - warmup_steps) / (total_steps "
        "- warmup_steps)` and half of `1 + math.cos(math.pi * progress)`.",
    ),
)


@probe("warmup_cosine", points=1)
def _(warmup_cosine, rng):
    """The way up is a straight line that reaches 1, and wastes no step."""
    warmup = int(rng.integers(4, 12))
    total = warmup + int(rng.integers(20, 60))
    return {
        "warmup_steps and total_steps": [warmup, total],
        "factors of the warm-up": [warmup_cosine(step, total, warmup) for step in range(warmup)],
        "factor of the first step after it": warmup_cosine(warmup, total, warmup),
    }


@probe("warmup_cosine", points=1)
def _(warmup_cosine, rng):
    """The way down is half a cosine over the steps that are left, with or without a warm-up."""
    warmup, total = int(rng.integers(5, 15)), int(rng.integers(40, 80))
    return {
        "factors after the warm-up": [warmup_cosine(step, total, warmup) for step in range(warmup, total)],
        "factors without a warm-up": [warmup_cosine(step, total, 0) for step in range(0, total, 7)],
    }


# --- slanted_triangular -----------------------------------------------------------------------------------

exercise(
    "slanted_triangular",
    difficulty=3,
    minutes=10,
    why="A short climb to a region worth being in, a long descent to refine: the same idea as warm-up and cosine, drawn "
    "with two straight lines.",
    hints=(
        "First `p`, which goes from 0 up to 1 and back to 0; then the factor, which `p` moves between `1 / ratio` and 1.",
        "The peak is at `cut = int(total_steps * cut_frac)`. Before it `p = step / cut`; after it `p` falls by equal amounts "
        "and would be 0 at `step = total_steps`.",
        "After the peak `p = 1 - (step - cut) / (total_steps - cut)`; the factor is `(1 + p * (ratio - 1)) / ratio`.",
    ),
)


def triangle(rng):
    """total_steps, cut_frac, ratio such that the peak is at a whole step, which both forms of the formula share."""
    cut_frac = float(rng.choice([0.1, 0.125, 0.25, 0.5]))
    return 40 * int(rng.integers(1, 4)), cut_frac, float(rng.uniform(4, 40))


@probe("slanted_triangular", points=1)
def _(slanted_triangular, rng):
    """The climb starts at 1/ratio and ends at 1."""
    found = {}
    for words in ("a first", "a second", "a third"):
        total, cut_frac, ratio = triangle(rng)
        steps = range(int(total * cut_frac) + 1)
        found[f"total_steps, cut_frac and ratio, {words} time"] = [total, cut_frac, ratio]
        found[f"factors up to the peak, {words} time"] = [
            slanted_triangular(s, total, cut_frac, ratio) for s in steps
        ]
    return found


@probe("slanted_triangular", points=1)
def _(slanted_triangular, rng):
    """The descent is a straight line back to 1/ratio."""
    found = {}
    for words in ("a first", "a second", "a third"):
        total, cut_frac, ratio = triangle(rng)
        steps = range(int(total * cut_frac) + 1, total)
        found[f"total_steps, cut_frac and ratio, {words} time"] = [total, cut_frac, ratio]
        found[f"factors after the peak, {words} time"] = [
            slanted_triangular(s, total, cut_frac, ratio) for s in steps
        ]
    return found


# --- unfreeze_at ------------------------------------------------------------------------------------------

exercise(
    "unfreeze_at",
    difficulty=1,
    minutes=6,
    why="By the time a block may move, everything above it has learned to send it gradients that mean something.",
    hints=(
        "Epoch 0: the head alone. Each epoch one more block, from the output towards the input. What learns goes on "
        "learning.",
        "In epoch `e` the last `e + 1` names of the list learn; when there are no more, all of them.",
        "`blocks[-(epoch + 1):]`: a slice that asks for more than there is gives all there is.",
    ),
)


def block_names(rng):
    """Names of 4 to 6 blocks that mean nothing, from the input up."""
    letters = [str(letter) for letter in rng.permutation(list("abcdefghijklmnopqrstuvw"))]
    return [f"{letter}{int(rng.integers(10, 99))}" for letter in letters[: int(rng.integers(4, 7))]]


def names_in_order(answer, blocks):
    """The answer's names in the order of `blocks`; whatever else is in it at the end."""
    if isinstance(answer, (str, dict)) or not hasattr(answer, "__iter__"):
        return answer
    given = list(answer)
    return [name for name in blocks for _ in range(given.count(name))] + [n for n in given if n not in blocks]


@probe("unfreeze_at", points=1)
def _(unfreeze_at, rng):
    """One block more in each epoch, from the head down."""
    blocks = block_names(rng)
    found = {"blocks, from the input to the head": list(blocks)}
    for epoch in range(len(blocks)):
        found[f"learning in epoch {epoch}"] = names_in_order(unfreeze_at(epoch, list(blocks)), blocks)
    return {key: value for key, value in found.items() if not key.endswith(("epoch 4", "epoch 5"))}


@probe("unfreeze_at", points=1)
def _(unfreeze_at, rng):
    """The input's block comes last, then everything goes on learning; the caller's list stays as it is."""
    blocks = block_names(rng)
    last, later = len(blocks) - 1, len(blocks) + int(rng.integers(0, 3))
    found = {
        "learning in the epoch before all do": names_in_order(unfreeze_at(last - 1, list(blocks)), blocks),
        "learning in the first epoch in which all do": names_in_order(
            unfreeze_at(last, list(blocks)), blocks
        ),
        "learning in some later epoch": names_in_order(unfreeze_at(later, list(blocks)), blocks),
    }
    given = list(blocks)
    unfreeze_at(int(rng.integers(1, last)), given)  # a single call: a second may undo what the first did
    return {**found, "the caller's list after one call": named(map(str, given))}


# --- batchnorm_eval ---------------------------------------------------------------------------------------

exercise(
    "batchnorm_eval",
    difficulty=3,
    minutes=12,
    why="Running statistics move without any gradient: held, the network keeps what it remembers, and no image's answer depends "
    "on the others in its batch.",
    hints=(
        "Find the BatchNorm layers, and only those, wherever they are. They must stay in evaluation mode when somebody calls "
        "`model.train()`, while every weight in the network still learns.",
        "There are several classes of them, `nn.BatchNorm1d` and `nn.BatchNorm2d` among others. `.train()` of a model calls "
        "`.train()` of each child: lesson 01 showed how one module can be made deaf to it.",
        "For each such layer, inside the loop: `layer.eval()`, then `layer.train = lambda mode=True, layer=layer: layer`. "
        "The first puts it in evaluation mode, the second keeps it there; `layer=layer` lets each return itself, as `.train()` does.",
    ),
)


@probe("batchnorm_eval", points=1)
def _(batchnorm_eval, rng):
    """In train() the running statistics are used, and stay."""
    model, x = network(rng).train(), 2 * images(rng, 5) + 1
    model = batchnorm_eval(model)
    model.train()
    before = statistics(model)
    with torch.no_grad():
        alone = model(x)
        together = model(torch.cat([x, 3 * images(rng, 6) - 1]))[:5]
        model.eval()
        model.train()
        model(5 * images(rng, 7))
    after = statistics(model)
    return {
        "logits of five images in train()": alone,
        "logits of the same five beside six others": together,
        "running statistics after three batches": after,
        "what BatchNorm went by": went_by(torch.allclose(alone, together, atol=1e-4), before, after),
    }


def went_by(same, before, after):
    """In words: the batch or the running statistics, and what became of these."""
    if before is None or after is None:
        return "no running statistics are there"
    used = "its running statistics" if same else "the batch"
    return f"{used}; the running statistics {'stood still' if torch.equal(before, after) else 'moved'}"


@probe("batchnorm_eval", points=1)
def _(batchnorm_eval, rng):
    """Every weight still learns, BatchNorm's own included."""
    model, x = network(rng), images(rng, 6)
    labels = torch.from_numpy(rng.integers(0, model.head.out_features, 6))
    model = batchnorm_eval(model).train()
    loss = F.cross_entropy(model(x), labels)
    if loss.requires_grad:
        loss.backward()
    return {
        "parameters that do not learn": named(n for n, p in model.named_parameters() if not p.requires_grad),
        "gradient of the head's bias": gradient_at(model.head.bias),
        "gradient of the first convolution": gradient_at(model.body.stem[0].weight),
        "gradient of each BatchNorm weight": {
            f"layer {number}": gradient_at(layer.weight) for number, layer in enumerate(norms(model), start=1)
        },
    }


@probe("batchnorm_eval", points=1)
def _(batchnorm_eval, rng):
    """BatchNorm alone is held: all others follow train() and eval(), and eval() gives what it gave."""
    model, x = network(rng), images(rng, 4)
    model = batchnorm_eval(model)
    held = norms(model)
    found = {}
    for words, mode in (("train()", True), ("eval()", False), ("train() again", True)):
        model.train(mode)
        parts = list(model.named_modules())
        found[f"BatchNorm layers in training mode after {words}"] = named(
            name for name, part in parts if part in held and part.training
        )
        found[f"other parts in {'evaluation' if mode else 'training'} mode after {words}"] = named(
            name for name, part in parts if part not in held and part.training is not mode
        )
    with torch.no_grad():
        found["logits in eval()"] = model.eval()(x)
    found["number of BatchNorm layers"] = len(held)
    return found


# --- l2_sp ------------------------------------------------------------------------------------------------

exercise(
    "l2_sp",
    difficulty=2,
    minutes=10,
    why="Ordinary weight decay pulls towards zero, which means: forget. L2-SP pulls towards the starting point, "
    "which means: change only for a reason.",
    hints=(
        "Each parameter belongs to one of two sums: those named in `start` are compared with what they were, all "
        "others are new and compared with zero.",
        "Go through `model.named_parameters()`, not through `start`: it may also hold buffers, which no penalty should "
        "touch. Squares are summed over all numbers; the halves are part of the definition.",
        "`alpha / 2 * (p - start[name]).square().sum()` for a name in `start`, `beta / 2 * p.square().sum()` for any "
        "other; add them all up.",
    ),
)


def moved_network(rng):
    """A network, the state its body came with (buffers too), and then every weight moved a little."""
    model = network(rng)
    start = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("body.")}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * tensor(rng, *parameter.shape)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer += tensor(rng, *buffer.shape)
    return model, start, float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.6, 2.0))


@probe("l2_sp", points=1)
def _(l2_sp, rng):
    """The value: distance from the start for what was transferred, from zero for what is new."""
    model, start, alpha, beta = moved_network(rng)
    at_start = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("body.")}
    other = str(rng.choice(["stem", "stage1", "project"]))
    fewer = {name: value for name, value in start.items() if not name.startswith(f"body.{other}.")}
    return {
        "alpha and beta": [alpha, beta],
        "penalty after some training": l2_sp(model, start, alpha, beta),
        "penalty with beta = 0": l2_sp(model, start, alpha, 0.0),
        "penalty with alpha = 0": l2_sp(model, start, 0.0, beta),
        "penalty where the body has not moved": l2_sp(model, at_start, alpha, beta),
        "penalty where a block of the body is new as well": l2_sp(model, fewer, alpha, beta),
    }


@probe("l2_sp", points=1)
def _(l2_sp, rng):
    """The gradient pulls each weight back to where it belongs, and reaches all of them."""
    model, start, alpha, beta = moved_network(rng)
    penalty = l2_sp(model, start, alpha, beta)
    cut_off = isinstance(penalty, torch.Tensor) and not penalty.requires_grad
    if not cut_off and not isinstance(penalty, (int, float)):
        penalty.backward()
    return {
        "the penalty": penalty,
        "gradient of the first convolution": gradient_at(model.body.stem[0].weight),
        "gradient of the last BatchNorm's weight": gradient_at(norms(model)[-1].weight),
        "gradient of the head": gradient_at(model.head.weight),
        "length of the gradient of every parameter": {
            name: gradient_at(p).norm() for name, p in model.named_parameters()
        },
        "start afterwards: mean of the first convolution": start["body.stem.0.weight"].mean(),
    }


# --- fine_tune --------------------------------------------------------------------------------------------

exercise(
    "fine_tune",
    seconds=120,  # the first optimizer of a process makes PyTorch import its compiler, which takes seconds
    seeds=1,
    difficulty=4,
    minutes=20,
    why="Where the target is far from the source, frozen features are not enough, and careful fine-tuning is "
    "what closes the gap.",
    hints=(
        "Begin where lesson 01 ended: a probe on frozen features. Then let the network move from there, in small steps.",
        "`linear_probe(...).as_linear()` makes a head of a probe. Then an `AdamW` on `layerwise_lr_groups`, and `fit` with "
        "`warmup_cosine` as its schedule. Two or three passes are enough, or one in batches of ten.",
        "`optimizer = torch.optim.AdamW(layerwise_lr_groups(model, base_lr, decay))` with a `base_lr` near 0.003 and a "
        "`decay` near 0.9; `fit(model, (images, labels), epochs=1, optimizer=optimizer, batch_size=10, schedule=...)`; "
        "return the model. A cautious probe (`l2=10`) reads less by itself, and is the better start.",
    ),
)


def on_forms(rng, images):
    """The digits as on a scanned form: small, anywhere in their field, a little noise."""
    small = F.interpolate(images, size=18, mode="bilinear", antialias=True)
    fields = torch.zeros_like(images)
    for field, digit, (top, left) in zip(fields, small, rng.integers(0, 15, (len(images), 2)), strict=True):
        field[:, top : top + 18, left : left + 18] = digit
    return (fields + 0.15 * tensor(rng, *images.shape)).clamp(0, 1)


@probe("fine_tune", points=3)
def _(fine_tune, rng):
    """Fifty labels a class: the network that was given reads at least 68 % of new digits on forms."""
    from tlkit import load_backbone
    from tlkit.data import digits_split

    pool = digits_split()[0]
    order = torch.from_numpy(rng.permutation(len(pool)))
    rank = F.one_hot(pool.labels[order], 10).cumsum(dim=0).gather(1, pool.labels[order, None])[:, 0]
    labelled, new = pool.subset(order[rank <= 50]), pool.subset(order[rank > 50][:300])
    model = fine_tune(load_backbone("glyphnet"), on_forms(rng, labelled.images), labelled.labels)
    with torch.no_grad():
        logits = model.eval()(on_forms(rng, new.images))
    return {
        "predicted labels": logits.argmax(dim=1),
        "true labels": new.labels,
        **whereabouts(model, load_backbone("glyphnet"), load_backbone("glyphnet", pretrained=False, seed=0)),
    }


@torch.no_grad()
def whereabouts(model, pretrained, before):
    """How far the body's weights have come from where they started, and how like them they still are.

    `before` is where the pretraining began: from there comes whoever trains from scratch with the same seed. So
    the likeness is the cosine of what is left without it; each of the body's weights is compared with the one
    most like it of that shape, wherever that stands in the network.
    """
    far, long, alike = 0.0, 0.0, []
    there = [p for p in model.parameters() if p.dim() > 1]
    for start, old in zip(pretrained.body.parameters(), before.body.parameters(), strict=True):
        if start.dim() < 2:
            continue
        same_shape = [(likeness(p, start, old), p) for p in there if p.shape == start.shape]
        best, nearest = max(same_shape, key=lambda pair: pair[0], default=(0.0, torch.zeros_like(start)))
        alike.append(best)
        far, long = far + float((nearest - start).square().sum()), long + float(start.square().sum())
    way, like = (far / long) ** 0.5, sum(alike) / len(alike)
    if way < 0.005:
        words = "it has hardly moved" if way else "it has not moved"
    elif way > 2 or 0.1 <= like < 0.6:
        words = "far from its start"
    else:
        words = "near its start" if like >= 0.6 else "it did not start there"
    return {LIKENESS: int(max(0.0, 10 * like + 1e-3)) / 10, "where the body is": words}


LIKENESS = "likeness of the body's weights to the pretrained ones (1: the same, 0: none)"


def likeness(found, start, old):
    """Cosine of `found` and `start`, each without its share of `old`."""
    found, start, old = found.flatten(), start.flatten(), old.flatten()
    rest = [values - (values @ old) / (old @ old) * old for values in (found, start)]
    return float(F.cosine_similarity(*rest, dim=0))


# --- predict first ----------------------------------------------------------------------------------------

question(
    "learning_rate",
    prompt="The same fine-tuning with learning rates from 0.00001 to 0.1 (AdamW, everything learns, ten labels a class). "
    "What becomes of the accuracy on digits?",
    choices={
        "It rises with the rate: more learning is better": "Up to a point. A step that is too long does not land where the "
        "gradient pointed, and each such step overwrites weights that took 320,000 letters to learn.",
        "It falls with the rate: less change is better": "Then the smallest rate would win. But there the random head has "
        "hardly moved after a few dozen steps, and a random head reads nothing.",
        "It rises, has a peak, and falls": "Yes. Too low a rate freezes the network as it is, random head included; too high a "
        "rate destroys what was transferred, and then it is worse than a frozen one.",
        "It hardly matters: AdamW adapts the rates itself": "Adam scales each weight's step by the size of its past gradients, so "
        "that the steps are about as long as the rate says. The rate itself nobody adapts.",
    },
    answer="It rises, has a peak, and falls",
)

question(
    "frozen_weights",
    prompt="All weights of the body are frozen, BatchNorm is in train(). A new head learns digits for two passes. Then the old head is "
    "put back: does it read letters as well as before?",
    choices={
        "Yes: no weight of the body has moved": "No weight has. But the running mean and variance are buffers, and every batch in "
        "train() moves them towards the digits; freezing does not reach them.",
        "No: it reads fewer": "Yes. The weights are the same and the statistics they were trained with are gone: every layer now shifts "
        "and scales letters as if they were digits on forms.",
        "It cannot read letters at all: the new head has overwritten them": "The new head is another layer; the old one was kept, with "
        "all its weights.",
    },
    answer="No: it reads fewer",
)

question(
    "one_label",
    prompt="Neat digits, one label a class: ten images in all. Frozen features and a probe, or one of the ways to fine-tune?",
    choices={
        "Full fine-tuning: all parameters can adapt": "To ten images, which they fit perfectly in many ways. Nothing tells the "
        "ways that read other digits from those that do not.",
        "A careful way to fine-tune: gradual, with small rates": "Careful is better than careless. But with ten images there is "
        "hardly anything to learn that the frozen features do not have, and every step can lose something.",
        "Frozen": "Yes. With so few labels the best use of the network is to leave it alone. Fine-tuning becomes worth "
        "it as labels grow, and as the target moves away from the source.",
    },
    answer="Frozen",
)

"""What is measured of each exercise in lesson 03, and its questions. Values only: no solution is in here."""

import copy
import re
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import exercise, fill, gradient_at, probe, question, tensor

# --- proxy_a_distance -------------------------------------------------------------------------------------

exercise(
    "proxy_a_distance",
    difficulty=1,
    minutes=3,
    why="A number between 0 and 2 for how well the domains can be told apart, and no label of the target was needed.",
    hints=(
        "The better a judge tells the domains apart, the further they lie from each other. What should come out for a "
        "judge without errors, and what for one that tosses a coin?",
        "An error of 0 gives 2, an error of one half gives 0, and in between it is a straight line.",
        "`2 * (1 - 2 * domain_error)`, and nothing else: no clipping, no absolute value.",
    ),
)


@probe("proxy_a_distance", points=1)
def _(proxy_a_distance, rng):
    """From 2 for a perfect judge down to 0 for a coin, and below when the judge is worse than that."""
    usual, bad = float(rng.uniform(0.02, 0.45)), float(rng.uniform(0.55, 0.8))
    return {
        "distance for a judge that is never wrong": proxy_a_distance(0.0),
        "distance for a judge that tosses a coin": proxy_a_distance(0.5),
        "distance for an error below one half": proxy_a_distance(usual),
        "distance for an error above one half": proxy_a_distance(bad),
    }


# --- adapt_batchnorm --------------------------------------------------------------------------------------

exercise(
    "adapt_batchnorm",
    difficulty=3,
    minutes=15,
    why="The cheapest adaptation there is: one pass, no gradient, no weight changed. Try it before anything else.",
    hints=(
        "In training mode a BatchNorm layer normalises with the batch and moves its running statistics a little. You want "
        "the same, but all the way: with the images of the target as one batch.",
        "Only the BatchNorm layers go into training mode (dropout must not), and their `momentum` is the share that a new "
        "batch gets of the running statistics. Which momentum forgets everything before?",
        "`model.eval()`; for each `nn.BatchNorm1d` and `nn.BatchNorm2d` in `model.modules()`: `layer.train()` and momentum 1.0. "
        "Then `model(target_images)` under `torch.no_grad()`, the old momentum back, `model.eval()`, return.",
    ),
)


def layered(rng):
    """A network with BatchNorm after a convolution and after a linear layer, and dropout between; in eval().

    The two BatchNorm layers have a momentum of their own each.
    """
    body = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 3, 3, stride=2, padding=1, bias=False),
            norm1=nn.BatchNorm2d(3),
            relu=nn.ReLU(),
            flat=nn.Flatten(),
            drop=nn.Dropout(0.5),
            mix=nn.Linear(48, 5, bias=False),
            norm2=nn.BatchNorm1d(5, momentum=0.2),
        )
    )
    return fill(nn.Sequential(OrderedDict(body=body, act=nn.ReLU(), head=nn.Linear(5, 4))), rng).eval()


def elsewhere(rng, count):
    """Images of another domain: brighter, and of another contrast."""
    return 2 + 3 * tensor(rng, count, 1, 8, 8)


def running(model):
    """Running mean and variance of every BatchNorm layer."""
    return {name: b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))}


def passing(model):
    """What happens to all that goes through the model from now on: {"dropped": [...], "graph": [...]}."""
    notes = {"dropped": [], "graph": []}

    def note(layer, args, out):
        notes["graph"].append(out.requires_grad)
        if isinstance(layer, nn.Dropout):
            notes["dropped"].append(not torch.equal(out, args[0]))

    for layer in (model.body.drop, model.body.norm2):
        layer.register_forward_hook(note)
    return notes


@probe("adapt_batchnorm", points=2)
def _(adapt_batchnorm, rng):
    """Every BatchNorm layer has the statistics of the target, and of nothing else."""
    model, target = layered(rng), elsewhere(rng, 80)
    notes = passing(model)
    adapted = adapt_batchnorm(model, target)
    after = running(adapted)
    return {
        "dropout, while the target went through": "awake" if any(notes["dropped"]) else "asleep",
        "running mean of the first BatchNorm layer": after.get("body.norm1.running_mean"),
        "running variance of the first BatchNorm layer": after.get("body.norm1.running_var"),
        "running mean of the last BatchNorm layer": after.get("body.norm2.running_mean"),
        "running variance of the last BatchNorm layer": after.get("body.norm2.running_var"),
        "the target's images afterwards, the first row of one": target[0, 0, 0],
    }


@probe("adapt_batchnorm", points=1)
def _(adapt_batchnorm, rng):
    """The weights stay as they are, what could learn still can, and no graph is built."""
    model, target = layered(rng), elsewhere(rng, 80)
    before = {name: value.clone() for name, value in model.named_parameters()}
    notes = passing(model)
    adapted = adapt_batchnorm(model, target)
    now = dict(adapted.named_parameters())
    found = running(adapted)
    return {
        "weights that changed": [n for n in before if n not in now or not torch.equal(before[n], now[n])],
        "weights that can learn": [n for n, p in now.items() if p.requires_grad],
        "weights with a gradient": [n for n, p in now.items() if p.grad is not None],
        "a graph, while the target went through": "built" if any(notes["graph"]) else "none",
        "running mean of the first BatchNorm layer, as a sign that something was done": found.get("body.norm1.running_mean"),
    }


@probe("adapt_batchnorm", points=1)
def _(adapt_batchnorm, rng):
    """The model comes back ready to use: one image alone gets the answer that it gets among others."""
    model, target = layered(rng), elsewhere(rng, 80)
    adapted = adapt_batchnorm(model, target)
    norms = {n: m for n, m in adapted.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    with torch.no_grad():
        try:
            alone = adapted(target[:1])
        except ValueError as error:
            alone = f"PyTorch refuses: {str(error).split(',')[0]}"
        among = adapted(target[:9])[:1]
    return {
        "parts in training mode": [n for n, m in adapted.named_modules() if m.training],
        "momentum of each BatchNorm layer": {n: m.momentum for n, m in norms.items()},
        "p of the dropout layer": [m.p for m in adapted.modules() if isinstance(m, nn.Dropout)],
        "logits of one image, alone": alone,
        "logits of the same image, among others": among,
    }


# --- coral_loss -------------------------------------------------------------------------------------------

exercise(
    "coral_loss",
    difficulty=2,
    minutes=10,
    why="Second moments are all that CORAL sees: cheap, no kernel, no judge, and often most of what there is to gain.",
    hints=(
        "Two covariance matrices `[D, D]`, their difference, squared and summed over all entries, divided by 4 D².",
        "`torch.cov` wants one *row* a feature, so give it `source.T`. It divides by n − 1 by itself. By hand: subtract "
        "the column means, then `x.T @ x / (n - 1)`.",
        "`difference = torch.cov(source.T) - torch.cov(target.T)`, then `difference.square().sum() / (4 * D ** 2)` with "
        "`D = source.shape[1]`.",
    ),
)


def two_clouds(rng, first=9, second=14, width=4):
    """A source [first, width] and a target [second, width] of another mean, scale and covariance."""
    return tensor(rng, first, width), tensor(rng, second, width) @ tensor(rng, width, width) + tensor(
        rng, 1, width
    )


FEATURES_AFTERWARDS = "the features afterwards, the first of each domain"


def firsts(source, target):
    """The first row of each, as it is now."""
    return torch.stack([source[0], target[0]]).clone()


def gradients(loss, *leaves):
    """What a backward pass leaves at `leaves`."""
    if loss.requires_grad:
        loss.backward()
    return [gradient_at(leaf) for leaf in leaves]


@probe("coral_loss", points=1)
def _(coral_loss, rng):
    """The value, for batches of different sizes."""
    source, target = two_clouds(rng)
    loss = coral_loss(source, target)
    return {
        "loss of two clouds": loss,
        FEATURES_AFTERWARDS: firsts(source, target),
        "loss of two clouds with more features": coral_loss(*two_clouds(rng, 12, 7, 6)),
        "loss of a cloud against itself": coral_loss(source, source),
    }


@probe("coral_loss", points=1)
def _(coral_loss, rng):
    """A shift of the mean costs nothing, a change of scale does."""
    source, target = two_clouds(rng, 11, 11)
    return {
        "loss of a cloud against itself, moved": coral_loss(source, source + 3 * tensor(rng, 1, 4)),
        "loss of a cloud against itself, twice as large": coral_loss(source, 2 * source),
        "loss of two clouds, one moved": coral_loss(source, target + 5),
    }


@probe("coral_loss", points=1)
def _(coral_loss, rng):
    """The loss pulls at both domains."""
    source, target = (x.requires_grad_() for x in two_clouds(rng, 10, 10))
    at_source, at_target = gradients(coral_loss(source, target), source, target)
    return {"gradient at the source": at_source, "gradient at the target": at_target}


# --- mmd2 -------------------------------------------------------------------------------------------------

exercise(
    "mmd2",
    difficulty=3,
    minutes=15,
    why="With a Gaussian kernel the MMD is zero only where the two distributions are the same in *every* respect: it sees "
    "what CORAL overlooks.",
    hints=(
        "Three means of the same kernel: over all pairs within the source, within the target, and between the two. "
        "The first two are added, the third is subtracted twice.",
        "All squared distances at once: `(x[:, None] - y[None]).square().sum(-1)` is `[n, m]`. For each σ, "
        "`exp(-squared / (2 * sigma ** 2))`; the kernels of all bandwidths are added up.",
        "Write a little function `mean_kernel(x, y)` that returns `sum(torch.exp(-squared / (2 * s ** 2)) for s in "
        "bandwidths).mean()`, and combine `mean_kernel(source, source)`, `(target, target)` and `(source, target)`. "
        "The pairs of a point with itself count too.",
    ),
)


@probe("mmd2", points=1)
def _(mmd2, rng):
    """One bandwidth, batches of different sizes."""
    source, target = two_clouds(rng, 7, 11, 3)
    sigma = float(rng.uniform(0.6, 2.5))
    value = mmd2(source, target, [sigma])
    return {
        "value for one bandwidth": value,
        FEATURES_AFTERWARDS: firsts(source, target),
        "value for a source that moved away": mmd2(source + 2, target, [sigma]),
    }


@probe("mmd2", points=1)
def _(mmd2, rng):
    """The kernels of several bandwidths are added."""
    source, target = two_clouds(rng, 8, 6, 3)
    sigmas = [float(s) for s in rng.uniform(0.4, 4.0, 3)]
    return {
        "value for three bandwidths": mmd2(source, target, sigmas),
        "value for the first two": mmd2(source, target, sigmas[:2]),
    }


@probe("mmd2", points=1)
def _(mmd2, rng):
    """Nothing between a cloud and itself; two draws of the same cloud cost a little, and never less than nothing."""
    source, sigma = tensor(rng, 9, 3), float(rng.uniform(0.8, 2.0))
    return {
        "value of a cloud against itself": mmd2(source, source, [sigma, 2 * sigma]),
        "value of two draws of the same kind": mmd2(source, tensor(rng, 6, 3), [sigma]),
    }


@probe("mmd2", points=1)
def _(mmd2, rng):
    """The gradient pulls at both domains, also where points coincide."""
    source, target = two_clouds(rng, 5, 7, 3)
    source, target = (torch.cat([x, source[:1]]).requires_grad_() for x in (source, target))
    at_source, at_target = gradients(mmd2(source, target, [1.5]), source, target)
    return {"gradient at the source": at_source, "gradient at the target": at_target}


# --- GradientReversal -------------------------------------------------------------------------------------

exercise(
    "GradientReversal",
    difficulty=3,
    minutes=12,
    why="One layer turns a game of two players into a single backward pass: below it the network climbs where the "
    "judge descends.",
    hints=(
        "Forward it does nothing. Backward it hands on the gradient that arrives, times −strength. `ctx` is where forward "
        "leaves a note for backward.",
        "Two static methods: `forward(ctx, features, strength)` and `backward(ctx, grad_output)`. Backward returns one "
        "gradient for *each* input of forward, and `None` for those that need none.",
        "In forward: `ctx.strength = strength` and `return features.view_as(features)`. In backward: "
        "`return -ctx.strength * grad_output, None`.",
    ),
)


REFUSED = re.compile(
    r"(an incorrect number of gradients.*|an invalid gradient at index \d+|a gradient different than None at position \d+"
    r"|expected Variable or None.*)"
)


def turned(outs, loss, *leaves):
    """The gradients at `leaves` once `loss(outs)` went backward; in words, where they cannot be had.

    In words: where forward gave no tensor, or PyTorch does not take what backward returned.
    """
    for out in outs:
        if not isinstance(out, torch.Tensor):
            what = "nothing" if out is None else f"a {type(out).__name__}"
            return [f"none: forward returned {what} instead of a tensor"] * len(leaves)
    try:
        return gradients(loss(*outs), *leaves)
    except RuntimeError as error:
        if not (refused := REFUSED.search(str(error))):
            raise
        return [f"PyTorch refuses: {refused[1]}"] * len(leaves)


@probe("GradientReversal", points=1)
def _(GradientReversal, rng):
    """Forward, nothing happens."""
    features, strength = tensor(rng, 5, 3), float(rng.uniform(0.2, 2.0))
    out = GradientReversal.apply(features.clone().requires_grad_(), strength)
    return {
        "what comes out": out,
        "a graph hangs on it": isinstance(out, torch.Tensor) and out.requires_grad,
        "what comes out of a map of features": GradientReversal.apply(tensor(rng, 2, 3, 2, 2), 1.0),
    }


@probe("GradientReversal", points=1)
def _(GradientReversal, rng):
    """Backward, the gradient is turned round and scaled."""
    found = {}
    for words, shape, strength in (
        ("gradient that arrives at the features", (5, 3), float(rng.uniform(0.2, 2.0))),
        ("gradient when the strength is 0", (4,), 0.0),
    ):
        features, factor = tensor(rng, *shape).requires_grad_(), tensor(rng, *shape)
        out = GradientReversal.apply(features, strength)
        (found[words],) = turned([out], lambda out, factor=factor: (out * factor).sum(), features)
    return found


@probe("GradientReversal", points=1)
def _(GradientReversal, rng):
    """In a network: the judge learns as ever, the body learns the opposite, and each use keeps its own strength."""
    body, judge = fill(nn.Linear(4, 3), rng), fill(nn.Linear(3, 1), rng)
    first, second = tensor(rng, 6, 4), tensor(rng, 6, 4)
    strengths = [float(s) for s in rng.uniform(0.2, 2.0, 2)]
    outs = [GradientReversal.apply(body(x), s) for x, s in zip((first, second), strengths, strict=True)]
    at_judge, at_body = turned(
        outs, lambda *outs: sum(judge(out).square().sum() for out in outs), judge.weight, body.weight
    )
    return {"gradient of the judge's weight": at_judge, "gradient of the body's weight": at_body}


# --- dann_lambda ------------------------------------------------------------------------------------------

exercise(
    "dann_lambda",
    difficulty=1,
    minutes=4,
    why="At the start the judge knows nothing and its gradient is noise: the body should not listen yet.",
    hints=(
        "Progress goes from 0 to 1 over the training. The strength starts at 0 and comes close to 1 well before the end.",
        "The formula is 2 / (1 + e^(−10 p)) − 1. Mind the sign in the exponent and the 1 at the end.",
        "`2 / (1 + math.exp(-10 * progress)) - 1`.",
    ),
)


@probe("dann_lambda", points=1)
def _(dann_lambda, rng):
    """From 0 at the beginning to nearly 1 at the end."""
    early, late = float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.3, 0.9))
    return {
        "strength at the very beginning": dann_lambda(0.0),
        "strength early in the training": dann_lambda(early),
        "strength later on": dann_lambda(late),
        "strength at the end": dann_lambda(1.0),
    }


# --- dann_domain_loss -------------------------------------------------------------------------------------

exercise(
    "dann_domain_loss",
    difficulty=2,
    minutes=8,
    why="The judge plays fair: this is its honest loss. All the cunning sits in the reversal below it.",
    hints=(
        "An ordinary two-class problem. Put all logits into one batch, and make labels for it: ones for the source, zeros for "
        "the target.",
        "`F.binary_cross_entropy_with_logits` takes logits and labels of the same shape; it is safe where a sigmoid "
        "would round to 0 or 1.",
        "`torch.cat([logits_source, logits_target])` against `torch.cat([torch.ones_like(logits_source), "
        "torch.zeros_like(logits_target)])`, with the default mean.",
    ),
)


@probe("dann_domain_loss", points=1)
def _(dann_domain_loss, rng):
    """Mean over all images of both batches, which may differ in size."""
    source, target = tensor(rng, 9, 1) + 1, 2 * tensor(rng, 4, 1)
    loss = dann_domain_loss(source, target)
    return {
        "loss of nine source and four target images": loss,
        "the logits afterwards, the first of each domain": firsts(source, target),
        "loss when the batches change places": dann_domain_loss(target, source),
        "loss of a judge that knows nothing": dann_domain_loss(torch.zeros(3, 1), torch.zeros(5, 1)),
    }


@probe("dann_domain_loss", points=1)
def _(dann_domain_loss, rng):
    """A judge that is very sure and very wrong pays for it, in loss and in gradient."""
    size = float(rng.uniform(120, 300))
    source = torch.full((3, 1), -size).requires_grad_()
    target = (2 * tensor(rng, 4, 1)).requires_grad_()
    loss = dann_domain_loss(source, target)
    at_source, at_target = gradients(loss, source, target)
    return {
        "loss when the judge is sure that three source images are target": loss,
        "gradient at the source's logits": at_source,
        "gradient at the target's logits": at_target,
    }


# --- pseudo_labels ----------------------------------------------------------------------------------------

exercise(
    "pseudo_labels",
    difficulty=2,
    minutes=8,
    why="The model becomes its own teacher, on what it is sure of. Whether that helps hangs on whether it is *right* where it "
    "is sure.",
    hints=(
        "First turn logits into probabilities, one row an image. How sure the model is of an image is its largest "
        "probability.",
        "`softmax(dim=1).max(dim=1)` gives both the largest probability and the class. Keep the positions where the "
        "probability reaches the threshold, and the classes *at those positions*.",
        "`sure, labels = logits.softmax(dim=1).max(dim=1)`; `indices = (sure >= threshold).nonzero().flatten()`; return "
        "`indices, labels[indices]`.",
    ),
)


def opinions(rng, count=14, classes=4):
    """Logits of which some are sure, and where large logits alone do not make an image sure."""
    logits = tensor(rng, count, classes)
    sure = torch.from_numpy(rng.permutation(count)[: count // 2].copy())
    logits[sure, torch.from_numpy(rng.integers(0, classes, len(sure)))] += 6
    return logits + 4 * tensor(rng, count, 1)  # adding the same number to a row changes no probability


def certain(rng, sure, count=9, classes=4):
    """Logits of `count` images, of which `sure` give a class all probability there is, 1 to the last digit."""
    logits = tensor(rng, count, classes) / 2
    rows = torch.from_numpy(rng.permutation(count)[:sure].copy())
    logits[rows] = 0
    logits[rows, torch.from_numpy(rng.integers(0, classes, sure))] = 50
    return logits


@probe("pseudo_labels", points=1)
def _(pseudo_labels, rng):
    """Who is chosen: the positions, in order, of the images whose best class reaches the threshold."""
    logits = opinions(rng)
    indices, _ = pseudo_labels(logits, 0.9)
    low, _ = pseudo_labels(logits, 0.3)
    four = certain(rng, 4)
    single, _ = pseudo_labels(certain(rng, 1), 0.99)
    return {
        "positions above 0.9": indices,
        "positions above 0.3": low,
        "positions above 0.9, and at a threshold of 1 that four images reach exactly": [
            pseudo_labels(four, threshold)[0] for threshold in (0.9, 1.0)
        ],
        "position when one image alone is sure": single,
        "logits of the first image, afterwards": logits[0],
    }


@probe("pseudo_labels", points=1)
def _(pseudo_labels, rng):
    """What they are called: one label for each chosen image, and none when nobody is sure."""
    logits = opinions(rng)
    indices, labels = pseudo_labels(logits, 0.9)
    nobody = pseudo_labels(0.01 * tensor(rng, 5, 4), 0.9)
    return {
        "labels above 0.9": labels,
        "kind of the labels": str(labels.dtype),
        "labels of all, at a threshold of 0": pseudo_labels(logits, 0.0)[1],
        "label when one image alone is sure": pseudo_labels(certain(rng, 1), 0.99)[1],
        "positions and labels when nobody is sure": list(nobody),
        "as many labels as positions": [len(indices), len(labels)],
    }


# --- adapt_without_labels ---------------------------------------------------------------------------------

exercise(
    "adapt_without_labels",
    difficulty=4,
    minutes=30,
    seconds=240,  # training takes some seconds of one core, and machines may be busy
    seeds=1,
    why="From less than two digits in three to more than four in five, and nobody labelled a single one: what print taught, "
    "bent images, neighbours and frequencies carried over.",
    hints=(
        "AdaBN alone is not enough, and a single method of the table is not on every draw. What could come first, so that the "
        "network is right often enough for neighbours and frequencies to correct the rest?",
        "First `train` on `source` with `change=jiggle`, thirty steps. Then ask the network, with the target's statistics, what it "
        "says of `target_images` (shares of classes, a softmax), let `spread` and `even` correct that, in turn, and `train` on the "
        "shares that come out. Do this twice, twelve steps each: a better network says better.",
        "`shares = even(spread(shares, links))`, three times over, with `links = neighbours(target_images)`. A rate of `lr=6e-3` suits "
        "so few steps. The extra loss of these trainings is `F.cross_entropy(model.head(batch.target), shares[batch.which])`. End with "
        "`adapt_batchnorm(model, target_images)`.",
    ),
)


class Reader(nn.Module):
    """The lesson's DigitNet: images [B, 1, 32, 32] -> logits [B, 10], `body` and `head`."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.AvgPool2d(2),
            *(nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(24), nn.ReLU()),
            *(nn.Conv2d(24, 48, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(48), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(48 * 16, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU()),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.body(images))


@lru_cache(maxsize=4)
def reader_of_print(seed):
    """A network that has learned print, and the print it learned from."""
    from tlkit.data import CLEAN, printed_digits

    rng, source = np.random.default_rng(seed), printed_digits(100, seed=seed, how=replace(CLEAN, zoom=1.4))
    model = Reader()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.copy_(
                    tensor(rng, *layer.weight.shape) * (1 / (3 * layer.weight[0].numel())) ** 0.5
                )
                if layer.bias is not None:
                    layer.bias.zero_()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 45)
    for _ in range(3):
        for some in torch.from_numpy(rng.permutation(len(source))).split(64)[:15]:
            optimizer.zero_grad()
            F.cross_entropy(model(source.images[some]), source.labels[some]).backward()
            optimizer.step()
            schedule.step()
    return model.eval(), source


def handwriting(rng):
    """Images to adapt to, and others with their digits to be examined on; each fainter than it was, and with noise."""
    from tlkit.data import digits_split

    pool = digits_split()[0]
    order = torch.from_numpy(rng.permutation(len(pool)))
    ink = torch.from_numpy(rng.uniform(0.85, 1.0, (len(pool), 1, 1, 1)).astype("float32"))
    images = (ink * pool.images[order] + 0.02 * tensor(rng, *pool.images.shape)).clamp(0, 1)
    return images[:750], images[750:], pool.labels[order][750:]


@probe("adapt_without_labels", points=4)
def _(adapt_without_labels, rng):
    """At least 80 % of handwriting that the network has never seen."""
    model, source = reader_of_print(int(rng.integers(1000, 100_000)))
    target, new, digits = handwriting(rng)
    adapted = adapt_without_labels(copy.deepcopy(model), copy.deepcopy(source), target)
    with torch.no_grad():
        answers = [adapted(image[None]) for image in new]
    alone = torch.cat([answer.argmax(dim=1) for answer in answers])
    return {
        "digits as the network reads them, one image at a time": alone,
        "true digits": digits,
        "shape of the answer to one image": list(answers[0].shape),
        "parts in training mode": [name for name, part in adapted.named_modules() if part.training],
        "what changed in the network": what_changed(model, adapted),
        "better than guessing": bool((alone == digits).double().mean() > 0.3),
    }


def what_changed(before, after):
    """Weights, or statistics alone, or nothing, in words."""
    old, new = before.state_dict(), after.state_dict()
    if {name: value.shape for name, value in old.items()} != {name: value.shape for name, value in new.items()}:
        return "it is another network"
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    if moved & set(dict(before.named_parameters())):
        return "its weights"
    return "its running statistics alone" if moved else "nothing"


# --- predict first, and a question to answer in words ------------------------------------------------------

question(
    "printed_to_written",
    prompt="The network reads 99 % and more of printed digits that it has never seen, in twenty-two fonts. How much of the "
    "handwriting will it read?",
    choices={
        "Above 90 %: a digit is a digit": "To us. The network was never told that stroke width, slant and softness do not matter, "
        "because in print they hardly vary.",
        "About 60 %": "Yes. Much better than guessing, and useless in practice. And from the printed digits alone "
        "you could not have known.",
        "About 10 %, like guessing": "So far apart they are not: many handwritten digits do look like some font's. But only "
        "many.",
    },
    answer="About 60 %",
)

question(
    "what_adabn_changes",
    prompt="A network learned print, where strokes are black and edges hard. It is asked about handwriting in soft grey. What "
    "can new BatchNorm statistics repair?",
    choices={
        "Everything: afterwards each feature is distributed as on print": "Its mean and variance are. Its shape is not, and neither "
        "is how features vary together, nor which digit is which.",
        "Differences in the mean and spread of each feature, such as contrast and stroke width": "Yes. What makes a whole "
        "feature larger or smaller is undone in every layer. What makes a four look like a nine is not.",
        "Nothing: the weights have not changed": "The weights are the same, but what they are multiplied with is not: each layer's "
        "inputs get another scale and shift.",
    },
    answer="Differences in the mean and spread of each feature, such as contrast and stroke width",
)

question(
    "fooled_judge",
    prompt="After the adversarial training the judge cannot tell print from handwriting at all: it errs on half of the images. What "
    "follows for the digits?",
    choices={
        "The handwriting is read as well as the print: the features are the same": "The *clouds* are the same. Which point lies "
        "where within the cloud, the judge was never asked.",
        "Nothing certain: the threes may lie where the eights should": "Yes. A judge without labels compares heaps. If classes "
        "have changed places within the heap, it is just as content. This is λ* of the bound: out of sight.",
        "The judge was too weak": "That can be, and then the distance is underestimated. But even the best judge in the world only "
        "compares heaps.",
    },
    answer="Nothing certain: the threes may lie where the eights should",
)

question(
    "common_batches",
    prompt="Print and handwriting go through in one common batch, and the target has *no* loss of its own: it merely rides along. "
    "What becomes of its features?",
    choices={
        "Nothing: what has no loss is not changed": "No gradient asks for anything. But the target's features are made by the same "
        "layers and divided by the same spread, and these do change.",
        "They come nearer to the source: both are normalised together": "Together they have mean 0 and variance 1. That says "
        "nothing of how the two share it out.",
        "They shrink to a heap: the source takes all the variance": "Yes. Normalising fixes the variance of both together; the "
        "source's loss wants its own classes far apart. So the target is left with the rest.",
    },
    answer="They shrink to a heap: the source takes all the variance",
)

question(
    "half_the_digits",
    prompt="Now the target holds only the digits 0 to 4, the source all ten. We adapt with MMD, as before. How much of this "
    "handwriting is read?",
    choices={
        "More than before: five classes are easier than ten": "They would be, if the network knew. But MMD wants the *whole* cloud of "
        "print covered, fives to nines too.",
        "As much as before": "The loss cannot know that half of the source has no counterpart. It does what it always does.",
        "Less than without adapting": "Yes. To cover the places of the missing digits, some of the zeros to fours have to move there. "
        "Matching the distributions is the wrong goal when the classes are not equally frequent in both.",
    },
    answer="Less than without adapting",
)

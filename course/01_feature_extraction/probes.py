"""What is measured of each exercise in lesson 01, and its questions. Values only: no solution is in here."""

import re
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import exercise, gradient_at, probe, question, small_backbone, tensor

# --- replace_head -----------------------------------------------------------------------------------------

exercise(
    "replace_head",
    difficulty=1,
    minutes=5,
    why="This one line is where most transfer begins: keep what was learned, replace what was asked.",
    hints=(
        "Only one part of the network knows about letters: `model.head`. Everything in `model.body` stays.",
        "The new head is an `nn.Linear`. Its input width is the number of features, `model.head.in_features`; "
        "its output width is the number of new classes.",
        "Assign it, `model.head = nn.Linear(model.head.in_features, num_classes)`, and return the whole model.",
    ),
)


def widths(rng, model):
    """A number of classes below that of the model's head, and one above it."""
    old = model.head.out_features
    return int(rng.integers(2, old)), int(rng.integers(old + 1, old + 9))


@probe("replace_head", points=1)
def _(replace_head, rng):
    """The head has the right width and can learn."""
    found = {}
    for words, classes in zip(("fewer", "more"), widths(rng, small_backbone(rng)), strict=True):
        model = small_backbone(rng)
        old = model.head
        model = replace_head(model, classes)
        head = model.head
        found[f"is the old head a part of the new one, {words} classes"] = any(
            p is old for p in head.children()
        )
        found[f"shape of the answers to three images, {words} classes than before"] = answer_shape(
            model, small_images(rng, 3)
        )
        found[f"features that the head reads, {words} classes"] = of_linear(
            head, lambda linear: linear.weight.shape[1]
        )
        found[f"outputs the head has, {words} classes"] = of_linear(
            head, lambda linear: linear.weight.shape[0]
        )
        found[f"outputs the head says it has, {words} classes"] = of_linear(
            head, lambda linear: linear.out_features
        )
        found[f"parameters of the head that cannot learn, {words} classes"] = [
            name for name, p in head.named_parameters() if not p.requires_grad
        ]
    return found


@probe("replace_head", points=1)
def _(replace_head, rng):
    """The body stays as it was: its weights, what can learn in it, its modes."""
    model, images = small_backbone(rng).train(), small_images(rng, 6)
    model.body.stem.eval()  # this block comes frozen, and held
    model.body.stem.requires_grad_(False)
    before = {name: value.clone() for name, value in model.body.state_dict().items()}
    new = replace_head(model, widths(rng, model)[0])
    body = new.body
    after = body.state_dict()
    return {
        "parts of the body in training mode": [name for name, part in body.named_modules() if part.training],
        "parameters of the body that can learn": [
            name for name, p in body.named_parameters() if p.requires_grad
        ],
        "names in the body whose values changed": [name for name in before if changed(before, after, name)],
        "features of six images": features_of(new, images),
        "shape of the answers, as a sign that the head is new": answer_shape(new, images),
    }


@probe("replace_head", points=1)
def _(replace_head, rng):
    """The new head reads the features, and starts anew."""
    model, images = small_backbone(rng), small_images(rng, 5)
    old = [value.detach().clone() for value in (model.head.weight, model.head.bias)]
    classes = int(rng.integers(2, model.head.out_features))
    features = features_of(model, images)
    new = replace_head(model, classes)
    answer_shape(new, images)  # a lazy layer makes its weights now
    weight, head = tensor(rng, classes, features.shape[1]), new.head
    if not isinstance(head, nn.Linear):
        kept = kept_biases = logits = of_linear(head, str)
    elif head.weight.shape != weight.shape:
        kept = kept_biases = logits = f"the head's weight has shape {list(head.weight.shape)}"
    else:
        biases = head.bias if head.bias is not None else ()
        kept = sum(bool((row == old[0]).all(dim=1).any()) for row in head.weight.detach())
        kept_biases = sum(bool((one == old[1]).any()) for one in biases)
        with torch.no_grad():
            head.weight.copy_(weight)
            if head.bias is not None:
                head.bias.zero_()
            logits = new.eval()(images)
    return {
        "logits once the head's weights are set by us": logits,
        "rows kept from the old head": kept,
        "biases kept from the old head": kept_biases,
    }


# --- freeze_backbone --------------------------------------------------------------------------------------

exercise(
    "freeze_backbone",
    difficulty=2,
    minutes=12,
    why="Parameters are frozen by requires_grad, buffers only by the mode of their layer. Many a "
    "published network called frozen was not.",
    hints=(
        "Two kinds of state have to stay: the parameters of `model.body`, and the running statistics of its "
        "BatchNorm layers. The cells above show that they are stopped in two different ways.",
        "Parameters: `requires_grad_(False)`. Statistics: the body must be in evaluation mode, and stay in it "
        "when somebody calls `model.train()`, which calls `.train(True)` on every child.",
        "Python looks for a method on the object before it looks in the class. Put the body in `eval()`, then give "
        "it a `train` of its own that changes nothing: `model.body.train = lambda mode=True: model.body`.",
    ),
)


@probe("freeze_backbone", points=1)
def _(freeze_backbone, rng):
    """The head gets gradients, the body gets none."""
    model, images = small_backbone(rng), small_images(rng, 8)
    labels = torch.from_numpy(rng.integers(0, model.head.out_features, 8))
    model = freeze_backbone(model)
    if trouble := switching(model):
        return trouble
    model.eval()
    loss = F.cross_entropy(model(images), labels)
    if loss.requires_grad:
        loss.backward()
    return {
        RAISED: "nothing",
        "loss": loss,
        "parameters that got a gradient": [n for n, p in model.named_parameters() if p.grad is not None],
        "gradient of the head's weight": gradient_at(model.head.weight),
    }


@probe("freeze_backbone", points=2)
def _(freeze_backbone, rng):
    """BatchNorm's statistics stay where they are while the model trains."""
    model = freeze_backbone(small_backbone(rng).train())
    found = {RAISED: "nothing", "running statistics after freezing": statistics(model.body)}
    model(2 * small_images(rng, 6) - 1)
    found["running statistics after a batch right after freezing"] = statistics(model.body)
    if trouble := switching(model):
        return {**found, **trouble}
    model.train()
    for _ in range(2):
        model(3 * small_images(rng, 7) + 2)
    found["running statistics after two batches in train()"] = statistics(model.body)
    model.eval()
    model.train()
    model(small_images(rng, 5) - 4)
    found["running statistics after eval(), train() and a batch"] = statistics(model.body)
    return found


@probe("freeze_backbone", points=1)
def _(freeze_backbone, rng):
    """In train() an image has the same features whatever else is in the batch, and the head trains on."""
    model, images, others = small_backbone(rng), small_images(rng, 4), 5 * small_images(rng, 6) + 3
    model = freeze_backbone(model)
    if trouble := switching(model):
        return trouble
    model.eval()
    modes = [model.head.training]
    model.train()
    modes.append(model.head.training)
    with torch.no_grad():
        return {
            RAISED: "nothing",
            "features of four images": model.body(images),
            "features of the same four beside six others": model.body(torch.cat([images, others]))[:4],
            "logits of the same four beside six others": model(torch.cat([images, others]))[:4],
            "is the head in training mode after eval(), and after train()": modes,
        }


# --- extract_features -------------------------------------------------------------------------------------

exercise(
    "extract_features",
    difficulty=2,
    minutes=10,
    why="From here on an experiment costs milliseconds: the network looks at every image once, and never again.",
    hints=(
        "Four things: evaluation mode, no graph, one batch after the other (the last one may be smaller), and "
        "in the end each part of the model in the mode you found it in.",
        "`images.split(batch_size)` gives the batches in order, the last one smaller. Collect `model.body(batch)` "
        "in a list under `torch.no_grad()`, and join it with `torch.cat`.",
        "`modes = [(part, part.training) for part in model.modules()]`, then `model.eval()` and the loop; in the end "
        "`part.training = mode` for each of them. Each batch: `rows.append(model.body(batch).cpu())`.",
    ),
)


@probe("extract_features", points=1)
def _(extract_features, rng):
    """One row an image, in order, the last batch included."""
    model, size = small_backbone(rng).eval(), int(rng.integers(3, 6))
    images = small_images(rng, int(size * (size + 1) + rng.integers(1, size)))
    right, seen = features_of(model, images), []
    watch = model.body.register_forward_hook(lambda body, args, features: seen.append(len(args[0])))
    rows = extract_features(model, images, size)
    watch.remove()
    return {
        "features": rows,
        "the rows, compared with the right ones": rows_in_words(rows, right),
        "features of a single image": extract_features(model, images[:1], 1),
        "images beyond batch_size in the largest batch that the body saw": max(
            0, max(seen, default=0) - size
        ),
    }


def rows_in_words(rows, right):
    if not isinstance(rows, torch.Tensor) or rows.shape != right.shape:
        return "of another shape"
    if torch.allclose(rows.to(right), right, atol=1e-4):
        return "the same"
    one, other = (x[x[:, 0].argsort()] for x in (rows.detach().to(right), right))
    return "the same in another order" if torch.allclose(one, other, atol=1e-4) else "others"


@probe("extract_features", points=1)
def _(extract_features, rng):
    """The model's mode does not matter, and is the same afterwards, part by part."""
    model, images = small_backbone(rng), 2 * small_images(rng, 7) + 1
    rows, modes = {}, {}
    for mode in ("train()", "eval()", "train() with stage1 held in eval()"):
        model.train(mode != "eval()")
        model.body.stage1.train(mode == "train()")
        rows[f"features of a model that came in {mode}"] = extract_features(model, images, 3)
        modes[f"parts in training mode after {mode}"] = [n for n, m in model.named_modules() if m.training]
    return {**rows, "running statistics afterwards": statistics(model.body), **modes}


@probe("extract_features", points=1)
def _(extract_features, rng):
    """The rows are plain numbers on which a classifier can be trained, and nothing is switched off for good."""
    model, images = small_backbone(rng).eval(), small_images(rng, 5)
    rows = extract_features(model, images, 2)
    computed = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    weight = tensor(rng, rows.shape[1], 3).requires_grad_()
    try:
        (rows @ weight).square().mean().backward()
        gradient = gradient_at(weight)
    except RuntimeError as error:
        gradient = f"PyTorch refuses: {str(error).split('.')[0]}"
    return {
        "numbers": rows,
        "a graph hangs on them": rows.requires_grad,
        "gradient of a classifier that is trained on them": gradient,
        "parameters of the network that got a gradient": [
            n for n, p in model.named_parameters() if p.grad is not None
        ],
        "parameters of the network that can still learn": [
            n for n, p in model.named_parameters() if p.requires_grad
        ],
        "gradients are computed again afterwards": computed,
    }


# --- fit_linear_probe -------------------------------------------------------------------------------------

exercise(
    "fit_linear_probe",
    seeds=2,  # five fits each
    seconds=60,  # the first optimizer of a process makes PyTorch import its compiler, which takes seconds
    difficulty=3,
    minutes=15,
    why="A probe that treats every feature alike and gives the same answer twice is a measuring instrument: what it "
    "reads off is the quality of the features.",
    hints=(
        "Three steps: standardise, fit, and return a function that does the *same* standardising to new features. "
        "Mean and spread belong to the training features; remember them, never compute them anew.",
        "A linear classifier on standardised features `z`: scores `z @ weight + bias`. Start from zeros. L-BFGS "
        "minimises `F.cross_entropy(z @ weight + bias, labels) + l2 / 2 * weight.square().sum()`; or solve ridge "
        "regression onto one-hot labels, `torch.linalg.solve(z.T @ z / n + l2 * eye, z.T @ targets / n)`, with "
        "`targets.mean(dim=0)` as the bias.",
        "A feature that never changes has spread 0: divide by `features.std(dim=0).clamp_min(1e-6)`. With L-BFGS: "
        "`optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn='strong_wolfe')` and "
        "`optimizer.step(closure)`, where `closure` zeroes the gradients, computes the loss, calls "
        "`loss.backward()` and returns the loss.",
    ),
)


def points_around(rng, centres, count, spread):
    """``count`` points around each of the centres ``[classes, D]``, shuffled, and their classes."""
    labels = torch.from_numpy(rng.permutation(len(centres) * count) % len(centres))
    return centres[labels] + spread * tensor(rng, len(labels), centres.shape[1]), labels


@probe("fit_linear_probe", points=1)
def _(fit_linear_probe, rng):
    """New points get the right class, from as many scores as there are classes."""
    classes, width = 5, 6
    centres = torch.zeros(
        classes, width
    )  # on a circle, so that no single direction puts the classes in order
    around = torch.from_numpy(rng.permutation(classes)) * (2 * torch.pi / classes) + float(rng.uniform(0, 6))
    centres[:, :2] = 4 * torch.stack([around.cos(), around.sin()], dim=1)
    features, labels = points_around(rng, centres, 12, 0.35)
    asked = torch.from_numpy(rng.integers(0, classes, 25))
    given = features.clone()
    predict = fit_linear_probe(given, labels, classes, 0.1)
    points = centres[asked] + 0.1 * tensor(rng, 25, width)
    handed = points.clone()
    scores = ask(predict, handed)
    alike = centres[asked[:1]] + 0.1 * tensor(rng, 10, width)
    return {
        "shape of the scores for 25 new points": shape(scores) or scores,
        "class with the highest score, for each": best(scores),
        "the same for ten points of one class": best(ask(predict, alike)),
        "the training features, after the fit": given,
        "the new features, after their scores": handed,
    }


def ask(predict, features):
    """The scores that the function gives for these features; in words what it gives where that is no table."""
    scores = predict(features)
    if not isinstance(scores, torch.Tensor):
        return f"your function gives no tensor, but {'None' if scores is None else type(scores).__name__}"
    return scores if scores.ndim == 2 else f"your function gives no table, but shape {shape(scores)}"


def best(scores):
    return scores.argmax(dim=-1) if isinstance(scores, torch.Tensor) else scores


@probe("fit_linear_probe", points=1)
def _(fit_linear_probe, rng):
    """Units do not matter, constant features do no harm, and each row is judged by itself."""
    classes, width = 4, 8
    centres = 2 * tensor(rng, classes, width)
    features, labels = points_around(rng, centres, 10, 0.35)
    asked = torch.from_numpy(rng.integers(0, classes, 20))
    points = centres[asked] + 0.1 * tensor(rng, 20, width)
    # what tells the classes apart is in small units; beside it lie large ones that say nothing, and a constant
    unit, offset = 10 ** -(3 + tensor(rng, width).abs()), tensor(rng, width)
    constant = float(rng.normal())

    def disguise(x):
        return torch.cat(
            [x * unit + offset, 15 * tensor(rng, len(x), 6), torch.full((len(x), 1), constant)], dim=1
        )

    predict = fit_linear_probe(disguise(features), labels, classes, 0.1)
    asked_in = disguise(points)
    alone = [best(ask(predict, row[None].clone())) for row in asked_in]
    return {
        "class of each point, in other units": best(ask(predict, asked_in.clone())),
        "class of each point, asked one at a time": alone[0]
        if isinstance(alone[0], str)
        else torch.cat(alone),
    }


@probe("fit_linear_probe", points=1)
def _(fit_linear_probe, rng):
    """l2 holds the weights back, not the bias, and the same data give the same scores."""
    classes, width = 3, 6
    centres = 2 * tensor(rng, classes, width)
    features, labels = points_around(rng, centres, 15, 1.0)
    points = centres[torch.from_numpy(rng.integers(0, classes, 30))] + 0.1 * tensor(rng, 30, width)

    def scores(l2):
        return ask(fit_linear_probe(features.clone(), labels, classes, l2), points.clone())

    first, second, held = scores(0.05), scores(0.05), scores(1e6)
    numbers = isinstance(first, torch.Tensor)
    # one class has five times as many examples as another: what a probe says of the average image is its bias
    few = torch.cat(
        [(labels == c).nonzero()[:, 0][:n] for c, n in zip(range(classes), (3, 9, 15), strict=True)]
    )
    few = few[torch.from_numpy(rng.permutation(len(few)))]
    predict = fit_linear_probe(features[few], labels[few], classes, 30.0)
    average = ask(predict, features[few].mean(dim=0, keepdim=True))
    share, apart, lead = "there is no spread to compare", first, average
    if numbers:
        apart, lead = (first - second).abs().max(), round(float(average[0, 2] - average[0, 0]), 1)
        share = spread(held) / spread(first) if spread(first) > 0 else share
    return {
        "spread of the scores with a huge l2, as a share of that with a small one": share,
        "largest difference between two runs": apart,
        "class of each point": best(first),
        "lead of the commonest class over the rarest for the average image, l2 = 30": lead,
    }


def spread(scores):
    return scores.std(dim=0).mean()


# --- predict_few_shot -------------------------------------------------------------------------------------

exercise(
    "predict_few_shot",
    seconds=60,  # the first optimizer of a process makes PyTorch import its compiler, which takes seconds
    difficulty=2,
    minutes=10,
    why="A hundred labels, no training of the network, seconds of work: this is the baseline that every cleverer "
    "method of this course has to beat.",
    seeds=1,
    hints=(
        "You have all the pieces: features of the labelled images, a probe on them, features of the new images, "
        "the probe's scores.",
        "Both sets of images go through `model.transform` and `extract_features`. Fit on the labelled ones only; "
        "the probe already knows how to standardise the new ones.",
        "`predict = fit_linear_probe(extract_features(model, model.transform(images), 256), labels, num_classes, "
        "l2)`, then `predict(features of the new images).argmax(dim=1)`.",
    ),
)


def unseen(rng, images):
    """The digits moved by up to two pixels and with noise on them: images that nobody has a label for."""
    moved = [
        torch.roll(image, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), dims=(-2, -1))
        for image in images
    ]
    images = torch.stack(moved)
    return (images + 0.02 * tensor(rng, *images.shape)).clamp(0, 1)


def draw(rng, per_class):
    """``per_class`` labelled digits of each class, the half they are from, and where all others are in it."""
    from tlkit.data import digits_split

    pool = digits_split()[0]
    order = torch.from_numpy(rng.permutation(len(pool)))
    rank = F.one_hot(pool.labels[order], 10).cumsum(dim=0).gather(1, pool.labels[order, None])[:, 0]
    others = order[rank > per_class].flip(0)  # the first of them are of classes that had their labels early
    return pool.subset(order[rank <= per_class]), pool, others


@probe("predict_few_shot", points=2)
def _(predict_few_shot, rng):
    """Ten labels a class are enough for at least 84 % of digits never seen, by the frozen network's features."""
    from tlkit import load_backbone

    labelled, pool, others = draw(rng, 10)
    new = pool.subset(others[:100])
    model, smallest = load_backbone("glyphnet"), []
    body = model.body
    model.transform = replace(
        model.transform, mean=(0.5,), std=(0.5,)
    )  # [0, 1] -> [-1, 1], and in the body back

    def see(body, args):
        smallest.append(float(args[0].min()))
        return (args[0] * 0.5 + 0.5,)

    body.register_forward_pre_hook(see)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    predicted = predict_few_shot(model, labelled.images, labelled.labels, unseen(rng, new.images))
    after = body.state_dict()
    moved = {name.split(".")[-1] for name in before if changed(before, after, name)}
    # the same with a body that sees nothing: who reads digits by its features can no longer tell two apart
    blind = load_backbone("glyphnet")
    blind.body.register_forward_pre_hook(lambda body, args: (0 * args[0],))
    blind.body.register_forward_hook(lambda body, args, features: 0 * features)
    guessed = predict_few_shot(blind, labelled.images, labelled.labels, unseen(rng, new.images[:30]))
    dtype = str(getattr(predicted, "dtype", type(predicted).__name__)).split(".")[-1]
    saw = round(max(smallest), 1) if smallest else "the body saw nothing"
    return {
        "predicted labels": predicted,
        "true labels": new.labels,
        "dtype of the predicted labels": dtype,
        "smallest value in any batch that the body saw, from -1 to 1": saw,
        "kinds of values that changed in the body": sorted(moved),
        "different digits predicted where the body sees nothing": different(guessed),
        "how the predictions compare with guessing": worth(predicted, new.labels),
    }


def different(predicted):
    """Whether one label or several are predicted, in words."""
    try:
        return "only one" if len({int(label) for label in predicted}) == 1 else "several"
    except (TypeError, ValueError, RuntimeError):
        return "no row of labels"


def worth(predicted, labels):
    try:
        right = sum(int(one) == int(other) for one, other in zip(predicted, labels, strict=True)) / len(
            labels
        )
    except (TypeError, ValueError, RuntimeError):
        return "no row of labels"
    if right >= 0.3:
        return "better"
    beyond = any(int(one) > 9 for one in predicted)
    return "about as good, and some name no digit" if beyond else "about as good"


@probe("predict_few_shot", points=1)
def _(predict_few_shot, rng):
    """A pile with a single digit in it is read as well as a mixed one."""
    from tlkit import load_backbone

    labelled, pool, others = draw(rng, 5)
    new = pool.subset(others[pool.labels[others] == int(rng.integers(0, 10))][:20])
    predicted = predict_few_shot(
        load_backbone("glyphnet"), labelled.images, labelled.labels, unseen(rng, new.images)
    )
    return {
        "predicted labels of the pile": predicted,
        "true labels of the pile": new.labels,
        "how the predictions of the pile compare with guessing": worth(predicted, new.labels),
    }


# --- helpers ----------------------------------------------------------------------------------------------


def small_images(rng, count):
    return tensor(rng, count, 1, 8, 8)


def shape(value):
    return list(value.shape) if isinstance(value, torch.Tensor) else None


def of_linear(head, read):
    """What is read off a linear layer; in words what the head is where it is none."""
    if isinstance(head, nn.Linear):
        return read(head)
    return f"the head is no nn.Linear, but of type {type(head).__name__}"


def answer_shape(model, images):
    """Shape of what the model returns, or the name of the exception it raises."""
    try:
        with torch.no_grad():
            return shape(model.eval()(images))
    except (RuntimeError, TypeError, AttributeError) as error:
        return type(error).__name__


def features_of(model, images):
    """The body's features in evaluation mode."""
    with torch.no_grad():
        return model.eval().body(images)


def changed(before, after, name):
    same = name in after and after[name].shape == before[name].shape
    return not (same and bool((after[name] == before[name]).all()))


def statistics(module):
    """All running means and variances in one row."""
    kept = [
        b.flatten() for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var"))
    ]
    return torch.cat(kept).clone() if kept else "there are none"


RAISED = "what model.train() and model.eval() raise"


def switching(model):
    """What raises when the model is switched to train() and back, as an observation; {} where nothing does."""
    mode = model.training
    if any(child is part for part in model.modules() for child in part.children()):
        return {RAISED: "RecursionError: a part of the model has itself as a part"}
    try:
        model.train()
        model.eval()
        model.train(mode)
    except RecursionError:
        return {RAISED: "RecursionError: a function calls itself without end"}
    except (TypeError, AttributeError, RuntimeError) as error:
        message = re.sub(r"^\S+\(\)", "your train()", str(error).split("\n")[0])[:90]
        return {RAISED: f"{type(error).__name__}: {message}"}
    return {}


# --- predict first ----------------------------------------------------------------------------------------

question(
    "what_moves",
    prompt="All parameters of the body have `requires_grad=False`. The model is put in `train()` and sees ten batches, "
    "without a loss and without an optimizer. What changes in the body?",
    choices={
        "Nothing: a frozen network does not change": "That is what the word promises. But `requires_grad` is a "
        "property of parameters, and a network has more state than its parameters.",
        "The convolution weights, a little": "They have no gradient, and nobody takes a step. Weights move only when an "
        "optimizer moves them.",
        "The running means and variances of BatchNorm": "Yes. They are buffers, updated by every forward pass in "
        "training mode, with or without gradients. And with them the features change.",
        "The scale and shift of BatchNorm": "These two are parameters, and frozen like all others. BatchNorm has "
        "something else that is not.",
    },
    answer="The running means and variances of BatchNorm",
)

question(
    "what_is_saved",
    prompt="A head is trained on a hundred digits. How much faster is an epoch when the features are kept, and not "
    "recomputed by the frozen body?",
    choices={
        "About as fast: no gradient flows into the body anyway": "The backward pass is saved either way. But the "
        "forward pass through the body is not, and that is nearly all the work.",
        "Two or three times": "That would be so if head and body did about the same work. Compare the blocks in the "
        "figure above: a convolution uses each weight at hundreds of places, the head uses each once.",
        "More than ten times": "Yes. What is left is one small matrix product a batch. The factor grows with the "
        "body: the head never gets more expensive.",
    },
    answer="More than ten times",
)

question(
    "ten_labels",
    prompt="Ten labels a class. Who reads the test digits best?",
    choices={
        "The network trained from scratch: it sees only digits, and all of it adapts": "All of it adapts, to a hundred "
        "images. Hundreds of thousands of weights can fit those in countless ways, and most are wrong elsewhere.",
        "The probe on raw pixels: few parameters, little to overfit": "A good instinct, and a strong baseline with few "
        "labels. But to pixels, a three moved by two pixels is something new.",
        "The probe on random features: a network is a network": "Random convolutions do blur and mix in useful "
        "ways, more than one would think. But nobody told them which differences matter.",
        "The probe on features learned from letters": "Yes. The features already ignore what does not matter for "
        "signs on paper: thickness, slant, small shifts. That need not be learned from ten examples.",
    },
    answer="The probe on features learned from letters",
)

question(
    "which_layer",
    prompt="We cut the network after the stem, after each stage, or use the head's letter scores as features. From which "
    "features does a probe read digits best?",
    choices={
        "After the stem: edges are the most general": "General, yes: edges serve every task. But between edges and a "
        "digit lies a long way, and a linear probe cannot go it with five examples a class.",
        "Late in the body": "Yes. The later blocks have put edges together to strokes and shapes, which letters and "
        "digits share, and have learned to overlook slant and thickness.",
        "The letter scores of the head: they are the end of all processing": "They hold only how much a digit looks like "
        "each letter. What does not matter for telling letters apart has been dropped there.",
        "It makes no difference": "If it did not, we could save most of the network. Look at the curve, and at the one "
        "for random weights.",
    },
    answer="Late in the body",
)

question(
    "shuffled",
    prompt="Every digit's pixels are shuffled, all in the same way. Ten labels a class, as before. What happens to the "
    "probe on pretrained features?",
    choices={
        "Nothing: all information is still there": "It is, and the probe on raw pixels proves it. But a convolution "
        "looks for neighbours, and neighbours are now scattered.",
        "It gets a little worse, but stays ahead of raw pixels": "Its lead came from strokes and corners. After the "
        "shuffle there are none left to see, for it or for anybody.",
        "It falls behind raw pixels": "Yes. What it knows does not apply, and what it throws away (exact positions) is "
        "all that is left. This is negative transfer.",
    },
    answer="It falls behind raw pixels",
)

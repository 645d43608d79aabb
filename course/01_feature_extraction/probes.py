"""What is measured of each exercise in lesson 01, and its questions. Values only: no solution is in here."""

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import exercise, probe, question, small_backbone, tensor

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
        model = replace_head(small_backbone(rng), classes)
        head = getattr(model, "head", None)
        weight = getattr(head, "weight", None)
        found[f"shape of the head's weight, {words} classes than before"] = shape(weight)
        found[f"outputs the head says it has, {words} classes"] = getattr(head, "out_features", None)
        learning = [p.numel() for p in head.parameters() if p.requires_grad] if head is not None else []
        found[f"numbers in the head that can learn, {words} classes"] = sum(learning)
        found[f"shape of the answers to three images, {words} classes"] = answer_shape(model, small_images(rng, 3))
    return found


@probe("replace_head", points=1)
def _(replace_head, rng):
    """The body keeps what it learned."""
    model, images = small_backbone(rng), small_images(rng, 6)
    names = [name for name, _ in model.body.named_parameters()]
    before = {name: value.clone() for name, value in model.body.state_dict().items()}
    new = replace_head(model, widths(rng, model)[0])
    body = getattr(new, "body", None)
    after = body.state_dict() if body is not None else {}
    return {
        "features of six images": features_of(new, images),
        "names in the body whose values changed": [name for name in before if changed(before, after, name)],
        "parameters of the body that can still learn": [
            name for name in names if body is not None and dict(body.named_parameters())[name].requires_grad
        ]
        if list(after) == list(before)
        else "the body has other parameters now",
        "shape of the answers, as a sign that the head is new": answer_shape(new, images),
    }


@probe("replace_head", points=1)
def _(replace_head, rng):
    """The new head reads the features, and starts anew."""
    model, images = small_backbone(rng), small_images(rng, 5)
    old, classes = model.head.weight.detach().clone(), int(rng.integers(2, model.head.out_features))
    features = features_of(model, images)
    new = replace_head(model, classes)
    weight, bias = tensor(rng, classes, features.shape[1]), tensor(rng, classes)
    head = getattr(new, "head", None)
    if isinstance(head, nn.Linear) and head.weight.shape == weight.shape:
        kept = sum(bool((row == old).all(dim=1).any()) for row in head.weight.detach())
        with torch.no_grad():
            head.weight.copy_(weight)
            if head.bias is not None:
                head.bias.copy_(bias)
            logits = new.eval()(images)
    else:
        kept, logits = "no linear head of that shape", "no linear head of that shape"
    return {"logits once the head's weights are set by us": logits, "rows kept from the old head": kept}


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
    model = freeze_backbone(model).eval()
    loss = F.cross_entropy(model(images), labels)
    if loss.requires_grad:
        loss.backward()
    return {
        "loss": loss,
        "parameters that got a gradient": [n for n, p in model.named_parameters() if p.grad is not None],
        "gradient of the head's weight": model.head.weight.grad,
    }


@probe("freeze_backbone", points=2)
def _(freeze_backbone, rng):
    """BatchNorm's statistics stay where they are while the model trains."""
    model = freeze_backbone(small_backbone(rng).train())
    found = {"running statistics after freezing": statistics(model.body)}
    model(2 * small_images(rng, 6) - 1)
    found["running statistics after a batch right after freezing"] = statistics(model.body)
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
    """In train() an image has the same features whatever else is in the batch."""
    model, images, others = small_backbone(rng), small_images(rng, 4), 5 * small_images(rng, 6) + 3
    model = freeze_backbone(model).train()
    with torch.no_grad():
        return {
            "features of four images": model.body(images),
            "features of the same four beside six others": model.body(torch.cat([images, others]))[:4],
        }


# --- extract_features -------------------------------------------------------------------------------------

exercise(
    "extract_features",
    difficulty=2,
    minutes=10,
    why="From here on an experiment costs milliseconds: the network looks at every image once, and never again.",
    hints=(
        "Four things: evaluation mode, no graph, one batch after the other (the last one may be smaller), and "
        "in the end the model in the mode you found it in.",
        "`images.split(batch_size)` gives the batches in order, the last one smaller. Collect `model.body(batch)` "
        "in a list under `torch.no_grad()`, and join it with `torch.cat`.",
        "`was_training = model.training`, then `model.eval()`, the loop, `model.train(was_training)`. Each batch: "
        "`rows.append(model.body(batch).cpu())`.",
    ),
)


@probe("extract_features", points=1)
def _(extract_features, rng):
    """One row an image, in order, the last batch included."""
    model, size = small_backbone(rng).eval(), int(rng.integers(3, 6))
    images = small_images(rng, int(3 * size + rng.integers(1, size)))
    seen = []
    watch = model.body.register_forward_hook(lambda body, args, features: seen.append(len(args[0])))
    rows = extract_features(model, images, size)
    watch.remove()
    return {
        "features": rows,
        "features of a single image": extract_features(model, images[:1], size),
        "images in the largest batch that the body saw": max(seen, default=0),
    }


@probe("extract_features", points=1)
def _(extract_features, rng):
    """The model's mode does not matter, and is the same afterwards."""
    model, images = small_backbone(rng), 2 * small_images(rng, 7) + 1
    rows, modes = {}, {}
    for mode in (True, False):
        model.train(mode)
        words = "train" if mode else "eval"
        rows[f"features of a model that came in {words}()"] = extract_features(model, images, 3)
        modes[f"parts in training mode after {words}()"] = [n for n, m in model.named_modules() if m.training]
    return {**rows, "running statistics afterwards": statistics(model.body), **modes}


@probe("extract_features", points=1)
def _(extract_features, rng):
    """The rows are plain numbers: no graph hangs on them, and a classifier can be trained on them."""
    model, images = small_backbone(rng).eval(), small_images(rng, 5)
    rows = extract_features(model, images, 2)
    weight = tensor(rng, rows.shape[1], 3).requires_grad_()
    try:
        (rows @ weight).square().mean().backward()
        gradient = weight.grad
    except RuntimeError as error:
        gradient = f"PyTorch refuses: {str(error).split('.')[0]}"
    return {
        "numbers": rows,
        "a graph hangs on them": rows.requires_grad,
        "gradient of a classifier that is trained on them": gradient,
        "parameters of the network that got a gradient": [n for n, p in model.named_parameters() if p.grad is not None],
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
        "regression onto one-hot labels, `torch.linalg.solve(z.T @ z / n + l2 * eye, z.T @ targets / n)`.",
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
    centres = torch.zeros(classes, width)  # on a circle, so that no single direction puts the classes in order
    around = torch.from_numpy(rng.permutation(classes)) * (2 * torch.pi / classes) + float(rng.uniform(0, 6))
    centres[:, :2] = 4 * torch.stack([around.cos(), around.sin()], dim=1)
    features, labels = points_around(rng, centres, 12, 0.35)
    asked = torch.from_numpy(rng.integers(0, classes, 25))
    predict = fit_linear_probe(features, labels, classes, 0.1)
    scores = predict(centres[asked] + 0.1 * tensor(rng, 25, width))
    alike = centres[asked[:1]] + 0.1 * tensor(rng, 10, width)
    return {
        "shape of the scores for 25 new points": list(scores.shape),
        "class with the highest score, for each": scores.argmax(dim=-1),
        "the same for ten points of one class": predict(alike).argmax(dim=-1),
    }


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
        return torch.cat([x * unit + offset, 15 * tensor(rng, len(x), 6), torch.full((len(x), 1), constant)], dim=1)

    predict = fit_linear_probe(disguise(features), labels, classes, 0.1)
    asked_in = disguise(points)
    return {
        "class of each point, in other units": predict(asked_in).argmax(dim=-1),
        "class of each point, asked one at a time": torch.cat([predict(row[None]).argmax(dim=-1) for row in asked_in]),
    }


@probe("fit_linear_probe", points=1)
def _(fit_linear_probe, rng):
    """l2 holds the weights back, and the same data give the same scores."""
    classes, width = 3, 6
    centres = 2 * tensor(rng, classes, width)
    features, labels = points_around(rng, centres, 15, 1.0)
    points = centres[torch.from_numpy(rng.integers(0, classes, 30))] + 0.1 * tensor(rng, 30, width)

    first, second, held = (fit_linear_probe(features, labels, classes, l2)(points) for l2 in (0.05, 0.05, 1e6))
    share = held.std(dim=0).mean() / first.std(dim=0).mean()
    return {
        "spread of the scores with a huge l2, as a share of that with a small one": share,
        "largest difference between two runs": (first - second).abs().max(),
        "class of each point": first.argmax(dim=-1),
    }


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
        torch.roll(image, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), dims=(-2, -1)) for image in images
    ]
    images = torch.stack(moved)
    return (images + 0.02 * tensor(rng, *images.shape)).clamp(0, 1)


def draw(rng, per_class):
    """``per_class`` labelled digits of each class, the half they are from, and where all others are in it."""
    from tlkit.data import digits_split

    pool = digits_split()[0]
    order = torch.from_numpy(rng.permutation(len(pool)))
    rank = F.one_hot(pool.labels[order], 10).cumsum(dim=0).gather(1, pool.labels[order, None])[:, 0]
    return pool.subset(order[rank <= per_class]), pool, order[rank > per_class]


@probe("predict_few_shot", points=2)
def _(predict_few_shot, rng):
    """Ten labels a class are enough for at least 84 % of digits never seen."""
    from tlkit import load_backbone

    labelled, pool, others = draw(rng, 10)
    new = pool.subset(others[:100])
    predicted = predict_few_shot(load_backbone("glyphnet"), labelled.images, labelled.labels, unseen(rng, new.images))
    return {"predicted labels": predicted, "true labels": new.labels}


@probe("predict_few_shot", points=1)
def _(predict_few_shot, rng):
    """A pile with a single digit in it is read as well as a mixed one."""
    from tlkit import load_backbone

    labelled, pool, others = draw(rng, 5)
    new = pool.subset(others[pool.labels[others] == int(rng.integers(0, 10))][:20])
    predicted = predict_few_shot(load_backbone("glyphnet"), labelled.images, labelled.labels, unseen(rng, new.images))
    return {"predicted labels of the pile": predicted, "true labels of the pile": new.labels}


# --- helpers ----------------------------------------------------------------------------------------------


def small_images(rng, count):
    return tensor(rng, count, 1, 8, 8)


def shape(value):
    return list(value.shape) if isinstance(value, torch.Tensor) else None


def answer_shape(model, images):
    """Shape of what the model returns, or the name of the exception it raises."""
    try:
        with torch.no_grad():
            return shape(model.eval()(images))
    except (RuntimeError, TypeError, AttributeError) as error:
        return type(error).__name__


def features_of(model, images):
    """The body's features in evaluation mode; None where there is no body."""
    if getattr(model, "body", None) is None:
        return None
    with torch.no_grad():
        return model.eval().body(images)


def changed(before, after, name):
    same = name in after and after[name].shape == before[name].shape
    return not (same and bool((after[name] == before[name]).all()))


def statistics(module):
    """All running means and variances in one row."""
    kept = [b.flatten() for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return torch.cat(kept).clone() if kept else None


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
        "images. Tens of thousands of weights and more can fit those in countless ways, and most are wrong elsewhere.",
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

"""Other right answers and known wrong ones for lesson 01. Never released."""

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from tlkit.exercises import accept, alternative, misconception, right

# --- replace_head -----------------------------------------------------------------------------------------


@alternative("replace_head", "in a copy, through setattr, starting from zeros")
def _(model, num_classes):
    model = copy.deepcopy(model)
    head = nn.Linear(model.feature_dim, num_classes)
    nn.init.zeros_(head.weight)
    setattr(model, "head", head)  # noqa: B010  # students write it, and it works
    return model


@alternative("replace_head", "the width read off the old weight, new values written in")
def _(model, num_classes):
    width = model.head.weight.shape[1]
    model._modules["head"] = nn.Linear(width, num_classes)
    nn.init.normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
    return model


@misconception(
    "replace_head",
    "new_weights",
    hint="The body has new weights: everything learned on letters is gone, and you transfer nothing. Exchange the head "
    "only, and leave the body as it came.",
)
def _(model, num_classes):
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model


@misconception(
    "replace_head",
    "old_width",
    hint="Your head still has an output for each of the old classes. Digits are new classes, and there are "
    "`num_classes` of them; only the input width is inherited.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, model.head.out_features)
    return model


@misconception(
    "replace_head",
    "on_top_of_old_head",
    hint="You put the new layer on top of the old head, so it reads the scores of letters and not the features. "
    "Those scores keep only what tells letters apart; take the old head away.",
)
def _(model, num_classes):
    model.head = nn.Sequential(model.head, nn.Linear(model.head.out_features, num_classes))
    return model


@misconception(
    "replace_head",
    "wrapped",
    hint="You return a new container around the whole old model, old head included. It has no `body` and no `head`, and "
    "its new layer reads letter scores. Assign to `model.head` and return `model`.",
)
def _(model, num_classes):
    return nn.Sequential(model, nn.Linear(model.head.out_features, num_classes))


@misconception(
    "replace_head",
    "head_frozen",
    hint="The new head cannot learn: its parameters have `requires_grad=False`. The head is the one part that must "
    "learn, for its weights are random; freezing is for the body, and comes next.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes)
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model


@misconception(
    "replace_head",
    "body_frozen",
    hint="The head is right, but you froze the body as well. A function should do what its name says and nothing "
    "else: lesson 02 replaces heads of networks that go on learning as a whole.",
)
def _(model, num_classes):
    model.body.requires_grad_(False)
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model


@misconception(
    "replace_head",
    "old_rows_kept",
    hint="You kept rows of the old head: the digit 0 would begin as the letter A, 1 as B. Nothing says that these "
    "belong together, so let the new head start anew.",
)
def _(model, num_classes):
    old = model.head
    model.head = nn.Linear(old.in_features, num_classes)
    with torch.no_grad():
        kept = min(num_classes, old.out_features)
        model.head.weight[:kept] = old.weight[:kept]
        model.head.bias[:kept] = old.bias[:kept]
    return model


@misconception(
    "replace_head",
    "only_a_number",
    hint="`out_features` is a note that the layer keeps about itself; to change it leaves the weights as they were. "
    "A layer of another width has other weights: make a new `nn.Linear`.",
)
def _(model, num_classes):
    model.head.out_features = num_classes
    return model


@misconception(
    "replace_head",
    "end_of_body",
    hint="You replaced the last block of the body. The features come from there; what has to go is the layer after "
    "it, `model.head`.",
)
def _(model, num_classes):
    last = list(model.body._modules)[-1]
    model.body._modules[last] = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(model.head.in_features, num_classes)
    )
    return model


@misconception(
    "replace_head",
    "returns_head",
    hint="You return the head alone. Return the model: the body is what makes the head worth having.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model.head


# --- freeze_backbone --------------------------------------------------------------------------------------


def _hold(module):
    module.eval()
    module.train = lambda mode=True: module


@alternative("freeze_backbone", "the library's freeze")
def _(model):
    from tlkit import freeze

    freeze(model.body)
    return model


@alternative("freeze_backbone", "back to eval() just before each pass of the body")
def _(model):
    model.body.requires_grad_(False)
    model.body.register_forward_pre_hook(lambda body, args: body.eval() and None)
    return model


@alternative("freeze_backbone", "each BatchNorm layer held by itself")
def _(model):
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            _hold(module)
    return model


@alternative("freeze_backbone", "torchvision's FrozenBatchNorm2d in place of every BatchNorm layer")
def _(model):
    for parent in list(model.body.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
                state = {key: value for key, value in child.state_dict().items() if key != "num_batches_tracked"}
                fixed.load_state_dict(state)
                setattr(parent, name, fixed)
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    return model


@misconception(
    "freeze_backbone",
    "requires_grad_only",
    hint="The parameters are frozen, the BatchNorm statistics are not: they are buffers, and every batch in `train()` "
    "moves them, so your features change while \"nothing\" learns. Keep the body in evaluation mode.",
)
def _(model):
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    return model


@misconception(
    "freeze_backbone",
    "eval_once",
    hint="You put the body in `eval()`, and the next `model.train()` puts it back: `.train()` reaches every child. "
    "Make the wish outlast that call, for example by giving `model.body` a `train` of its own.",
)
def _(model):
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    model.body.eval()
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


@misconception(
    "freeze_backbone",
    "head_too",
    hint="The head is frozen as well, so nothing in the network can learn. Freeze `model.body`, not `model`.",
)
def _(model):
    model.requires_grad_(False)
    _hold(model.body)
    return model


@misconception(
    "freeze_backbone",
    "everything_and_drifting",
    hint="Two things: the head is frozen as well, so nothing can learn (freeze `model.body`, not `model`); and the "
    "BatchNorm statistics still move in `train()`, for `requires_grad` does not reach buffers.",
)
def _(model):
    model.requires_grad_(False)
    return model


@misconception(
    "freeze_backbone",
    "momentum_zero",
    hint="With momentum 0 the running statistics stay, but in `train()` BatchNorm still normalises with the mean and "
    "variance of the *batch*: an image's features depend on its neighbours. Only evaluation mode uses the stored ones.",
)
def _(model):
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    return model


@misconception(
    "freeze_backbone",
    "attribute_on_module",
    hint="`model.body.requires_grad = False` makes a new attribute that nobody reads; modules have no such switch. "
    "Parameters do: `model.body.requires_grad_(False)`, with the underscore, sets all of them.",
)
def _(model):
    model.body.requires_grad = False
    return model


@misconception(
    "freeze_backbone",
    "batchnorm_only",
    hint="BatchNorm holds still, but the other weights of the body still get gradients: the optimizer will change "
    "them. Every parameter of `model.body` needs `requires_grad=False`.",
)
def _(model):
    _hold(model.body)
    return model


@misconception(
    "freeze_backbone",
    "batchnorm_weights_left",
    hint="You left out the BatchNorm layers. Their scale and shift are parameters like any other, and still learn; and "
    "their running statistics still move in `train()`.",
)
def _(model):
    for module in model.body.modules():
        if not isinstance(module, nn.BatchNorm2d):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = False
    return model


@misconception(
    "freeze_backbone",
    "statistics_reset",
    hint="You threw the running statistics away (or reset them): they were learned from the letters, and the weights "
    "rely on them. Keep them and use them, which is what evaluation mode does.",
)
def _(model):
    model.body.requires_grad_(False)
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    _hold(model.body)
    return model


# --- extract_features -------------------------------------------------------------------------------------


def _rows(model, images, batch_size):
    return [model.body(batch) for batch in images.split(batch_size)]


@alternative("extract_features", "with a DataLoader")
def _(model, images, batch_size):
    from torch.utils.data import DataLoader

    mode, rows = model.training, []
    model.eval()
    with torch.no_grad():
        for batch in DataLoader(images, batch_size=batch_size, shuffle=False):
            rows.append(model.body(batch).cpu())
    model.train(mode)
    return torch.cat(rows)


@alternative("extract_features", "written into a tensor made beforehand, modes kept module by module")
def _(model, images, batch_size):
    modes = {module: module.training for module in model.modules()}
    model.eval()
    rows = torch.empty(len(images), model.feature_dim)
    for start in range(0, len(images), batch_size):
        with torch.no_grad():
            rows[start : start + batch_size] = model.body(images[start : start + batch_size])
    for module, mode in modes.items():
        module.training = mode
    return rows


@alternative("extract_features", "detached, with a hook in front of the head")
def _(model, images, batch_size):
    mode, rows = model.training, []
    hook = model.head.register_forward_pre_hook(lambda head, args: rows.append(args[0].detach().cpu()))
    try:
        model.eval()
        for batch in torch.split(images, batch_size):
            model(batch)
    finally:
        hook.remove()
        model.train(mode)
    return torch.vstack(rows)


@misconception(
    "extract_features",
    "mode_left_as_found",
    hint="The model is not put in `eval()`. When it comes in training mode, BatchNorm normalises with each batch and "
    "moves its statistics: the features depend on the batch size, and extracting them changes the network.",
)
def _(model, images, batch_size):
    with torch.no_grad():
        return torch.cat(_rows(model, images, batch_size))


@misconception(
    "extract_features",
    "last_batch_dropped",
    hint="The images that do not fill a whole batch are missing at the end. Training may drop them; here rows and labels "
    "would no longer belong together.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.no_grad():
        full = range(0, len(images) - batch_size + 1, batch_size)
        rows = [model.body(images[start : start + batch_size]) for start in full]
    model.train(mode)
    return torch.cat(rows) if rows else torch.zeros(0, model.feature_dim)


@misconception(
    "extract_features",
    "last_batch_only",
    hint="Only the last batch comes back: each round of the loop replaces what the one before found. Collect the "
    "batches in a list, and join them with `torch.cat` after the loop.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.no_grad():
        for batch in images.split(batch_size):
            rows = model.body(batch)
    model.train(mode)
    return rows


@misconception(
    "extract_features",
    "shuffled",
    hint="The rows are right but in another order: something shuffles, perhaps a DataLoader with `shuffle=True`. Row i "
    "must belong to image i, or the labels go to the wrong images.",
)
def _(model, images, batch_size):
    from torch.utils.data import DataLoader

    mode = model.training
    model.eval()
    with torch.no_grad():
        rows = [model.body(batch) for batch in DataLoader(images, batch_size=batch_size, shuffle=True)]
    model.train(mode)
    return torch.cat(rows)


@misconception(
    "extract_features",
    "graph_kept",
    hint="The computation graph of every batch hangs on your features. It holds all inner activations in memory, and a "
    "later `backward()` would run through the whole network. Compute them under `torch.no_grad()`.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    rows = torch.cat(_rows(model, images, batch_size))
    model.train(mode)
    return rows


@misconception(
    "extract_features",
    "inference_mode",
    hint="`torch.inference_mode()` makes tensors that autograd refuses ever after, so no classifier can be trained on "
    "them by gradient. `torch.no_grad()` costs next to nothing more and gives ordinary tensors.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.inference_mode():
        rows = torch.cat(_rows(model, images, batch_size))
    model.train(mode)
    return rows


@misconception(
    "extract_features",
    "logits",
    hint="These are the head's scores for the old classes. The features come one step before: call `model.body`, not "
    "`model`.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.no_grad():
        rows = [model(batch) for batch in images.split(batch_size)]
    model.train(mode)
    return torch.cat(rows)


@misconception(
    "extract_features",
    "left_in_eval",
    hint="A model that came in training mode is left in `eval()`. Whoever trains it next does so with BatchNorm and "
    "dropout switched off, and no message says so. Remember `model.training` first, restore it last.",
)
def _(model, images, batch_size):
    model.eval()
    with torch.no_grad():
        return torch.cat(_rows(model, images, batch_size))


@misconception(
    "extract_features",
    "always_train_after",
    hint="You always end with `model.train()`. A model that came in `eval()` leaves in training mode, and its next "
    "prediction depends on the batch. Restore what you found: `model.train(was_training)`.",
)
def _(model, images, batch_size):
    model.eval()
    with torch.no_grad():
        rows = torch.cat(_rows(model, images, batch_size))
    model.train()
    return rows


@misconception(
    "extract_features",
    "all_at_once",
    hint="All images go through the network in one piece. It works for a hundred digits; for ten thousand photos the "
    "inner activations do not fit in memory. Feed `batch_size` images at a time.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.no_grad():
        rows = model.body(images)
    model.train(mode)
    return rows


# --- fit_linear_probe -------------------------------------------------------------------------------------

accept(
    "fit_linear_probe",
    "spread of the scores with a huge l2, as a share of that with a small one",
    at_least=-0.01,
    at_most=0.05,
    atol=0.02,
)
accept("fit_linear_probe", "largest difference between two runs", at_least=0.0, at_most=1e-3)


def _standardise(features):
    mean, spread = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    return lambda x: (x - mean) / spread


def _ridge(z, labels, num_classes, l2, standardise):
    """Ridge regression onto one-hot labels, with an intercept."""
    n, width = z.shape
    targets = F.one_hot(labels, num_classes).to(z.dtype)
    middle = z.mean(dim=0)
    centred = z - middle
    weight = torch.linalg.solve(centred.T @ centred / n + l2 * torch.eye(width), centred.T @ targets / n)
    bias = targets.mean(dim=0) - middle @ weight
    return lambda x: standardise(x) @ weight + bias


@alternative("fit_linear_probe", "ridge regression in closed form")
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    return _ridge(standardise(features), labels, num_classes, l2, standardise)


@alternative("fit_linear_probe", "scikit-learn's scaler and logistic regression")
def _(features, labels, num_classes, l2):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (l2 * len(labels)), max_iter=500))
    model.fit(features.numpy(), labels.numpy())

    def scores(new):
        decision = torch.from_numpy(model.decision_function(new.numpy())).float()
        return decision

    return scores


@alternative("fit_linear_probe", "an nn.Linear from zeros, by full-batch gradient descent")
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, layer = standardise(features), nn.Linear(features.shape[1], num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(z), labels) + l2 / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda x: layer(standardise(x)).detach()


@misconception(
    "fit_linear_probe",
    "not_standardised",
    hint="A feature in large units outweighs one in small units, and l2 punishes the small one more. That is so without "
    "standardising, and also with one mean and one spread for the whole table: each feature needs its own, `dim=0`.",
)
def _(features, labels, num_classes, l2):
    return _ridge(features, labels, num_classes, l2, lambda x: x)


@misconception(
    "fit_linear_probe",
    "new_statistics",
    hint="New features are standardised with *their own* mean and spread. Then an answer depends on which other images "
    "are asked at the same time, and a single image has no spread at all. Keep the training statistics.",
)
def _(features, labels, num_classes, l2):
    def standardise(x):
        return (x - x.mean(dim=0)) / (x.std(dim=0, correction=0) + 1e-6)

    return _ridge(standardise(features), labels, num_classes, l2, standardise)


@misconception(
    "fit_linear_probe",
    "divided_by_zero",
    hint="A feature that is the same for every image has spread 0, and 0/0 is NaN, which spreads to every score. Dead "
    "ReLU features are common in real networks: give the spread a floor, `.clamp_min(1e-6)`.",
)
def _(features, labels, num_classes, l2):
    mean, spread = features.mean(dim=0), features.std(dim=0)

    def standardise(x):
        return (x - mean) / spread

    weight = torch.zeros(features.shape[1], num_classes, requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(standardise(features) @ weight + bias, labels) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda x: (standardise(x) @ weight + bias).detach()


@misconception(
    "fit_linear_probe",
    "each_image_by_itself",
    hint="`dim=1` standardises each image over its features, as LayerNorm does. What must be brought to one scale is each "
    "feature over the training images: `dim=0`.",
)
def _(features, labels, num_classes, l2):
    def standardise(x):
        return (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True).clamp_min(1e-6)

    return _ridge(standardise(features), labels, num_classes, l2, standardise)


@misconception(
    "fit_linear_probe",
    "l2_ignored",
    hint="Your probe does not listen to l2: a huge value changes nothing. With more features than labelled images there "
    "are endlessly many perfect fits, and l2 is what chooses a calm one among them.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    return _ridge(standardise(features), labels, num_classes, 1e-3, standardise)


@misconception(
    "fit_linear_probe",
    "random_start",
    hint="Two runs on the same data give different scores: you start from random weights and stop before the end. A probe "
    "is a measuring instrument; start from zeros, and let L-BFGS run until it converges.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, layer = standardise(features), nn.Linear(features.shape[1], num_classes)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.03, weight_decay=0.0)
    for _ in range(60):
        optimizer.zero_grad()
        (F.cross_entropy(layer(z), labels) + l2 / 2 * layer.weight.square().sum()).backward()
        optimizer.step()
    return lambda x: layer(standardise(x)).detach()


@misconception(
    "fit_linear_probe",
    "returns_classes",
    hint="Your function returns classes; asked for are the scores, one a class, `[N, num_classes]`. From scores one can "
    "take the best class, but also how sure it is, or the best three.",
)
def _(features, labels, num_classes, l2):
    predict = right("fit_linear_probe")(features, labels, num_classes, l2)
    return lambda x: predict(x).argmax(dim=1)


@misconception(
    "fit_linear_probe",
    "number_as_target",
    hint="You fit the class *number*, as if class 2 lay between 1 and 3. Classes have no order: give each its own "
    "column of targets (`F.one_hot`) or use cross-entropy.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, n = standardise(features), len(features)
    target = labels.float()
    weight = torch.linalg.solve(z.T @ z / n + l2 * torch.eye(z.shape[1]), z.T @ (target - target.mean()) / n)

    def scores(x):
        value = standardise(x) @ weight + target.mean()
        return -(value[:, None] - torch.arange(num_classes)).abs()

    return scores


# --- predict_few_shot -------------------------------------------------------------------------------------

accept("predict_few_shot", "predicted labels", agreement_with="true labels", at_least=0.84)
accept("predict_few_shot", "predicted labels of the pile", agreement_with="true labels of the pile", at_least=0.5)


def _features(model, images):
    return right("extract_features")(model, model.transform(images), 128)


@alternative("predict_few_shot", "with the library's extract and linear_probe")
def _(model, images, labels, new_images):
    from tlkit import extract, linear_probe

    probe = linear_probe(extract(model.body, model.transform(images)), labels, 10)
    return probe.predict(extract(model.body, model.transform(new_images)))


@alternative("predict_few_shot", "ridge regression on the features")
def _(model, images, labels, new_images):
    features = _features(model, images)
    standardise = _standardise(features)
    predict = _ridge(standardise(features), labels, 10, 1.0, standardise)
    return predict(_features(model, new_images)).argmax(dim=1)


@alternative("predict_few_shot", "a new head trained on the frozen body by gradient descent")
def _(model, images, labels, new_images):
    features = _features(model, images)
    standardise = _standardise(features)
    head = nn.Linear(features.shape[1], 10)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(head(standardise(features)), labels).backward()
        optimizer.step()
    return head(standardise(_features(model, new_images))).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "raw_pixels",
    hint="You classify pixels and not features. Move a digit by two pixels and its pixels have little in common with what "
    "they were; the network's features hardly notice. Send both sets through `extract_features` first.",
)
def _(model, images, labels, new_images):
    flat = images.flatten(1)
    return right("fit_linear_probe")(flat, labels, 10, 1e-2)(new_images.flatten(1)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "random_features",
    hint="These are the features of a network with random weights: it never saw a letter. Use the `model` that you are "
    "given, and do not load or reset another one.",
)
def _(model, images, labels, new_images):
    from tlkit import load_backbone

    fresh = load_backbone("glyphnet", pretrained=False)
    predict = right("fit_linear_probe")(_features(fresh, images), labels, 10, 1e-2)
    return predict(_features(fresh, new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "new_statistics",
    hint="The new images are standardised with *their own* statistics. In a pile that holds one digit only, just what makes "
    "it that digit is subtracted. The probe's training statistics belong to all images that come later.",
)
def _(model, images, labels, new_images):
    def standardise(x):
        return (x - x.mean(dim=0)) / x.std(dim=0).clamp_min(1e-6)

    predict = _ridge(standardise(_features(model, images)), labels, 10, 1e-2, standardise)
    return predict(_features(model, new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "old_head",
    hint="You use the head that came with the model: its answers are letters, and number 3 is a D. The digits need a "
    "classifier of their own, fitted on the labelled images.",
)
def _(model, images, labels, new_images):
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "new_head_untrained",
    hint="You gave the model a new head and never trained it: its answers are chance. The labels of the labelled images "
    "have to enter somewhere.",
)
def _(model, images, labels, new_images):
    model.head = nn.Linear(model.head.in_features, 10)
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "scores",
    hint="You return the scores. Asked for is one label an image, `[M]`: the class with the highest score, "
    "`.argmax(dim=1)`.",
)
def _(model, images, labels, new_images):
    predict = right("fit_linear_probe")(_features(model, images), labels, 10, 1e-2)
    return predict(_features(model, new_images))


@misconception(
    "predict_few_shot",
    "labelled_again",
    hint="You predict the *labelled* images, whose answers you were given. Ask the probe about `new_images`.",
)
def _(model, images, labels, new_images):
    features = _features(model, images)
    return right("fit_linear_probe")(features, labels, 10, 1e-2)(features).argmax(dim=1)

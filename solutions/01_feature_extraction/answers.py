"""Other right answers and known wrong ones for lesson 01. Never released."""

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from tlkit.exercises import accept, alternative, misconception, right

# --- replace_head -----------------------------------------------------------------------------------------


accept("replace_head", "is the old head a part of the new one, fewer classes", clue=True)
accept("replace_head", "is the old head a part of the new one, more classes", clue=True)


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


@alternative("replace_head", "without a bias")
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes, bias=False)
    return model


@alternative("replace_head", "a lazy layer, which finds its width by itself")
def _(model, num_classes):
    model.add_module("head", nn.LazyLinear(num_classes))
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
    hint="You return a new container. It has no `body` and no `head`, so nothing that comes after finds them; and if the "
    "whole old model is in it, the new layer reads letter scores. Assign to `model.head` and return `model`.",
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
    model.head = nn.Linear(model.head.in_features, num_classes).requires_grad_(False)
    return model


@misconception(
    "replace_head",
    "body_frozen",
    hint="You froze the body. A function should do what its name says and nothing else: lesson 02 replaces heads of "
    "networks that go on learning as a whole.",
)
def _(model, num_classes):
    model.body.requires_grad_(False)
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model


@misconception(
    "replace_head",
    "body_thawed",
    hint="A block of the body came frozen, and you let it learn again. Who froze it had a reason; `model.parameters()` are "
    "all parameters, and a new `nn.Linear` can learn without being told.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes)
    for parameter in model.parameters():
        parameter.requires_grad = True
    return model


@misconception(
    "replace_head",
    "put_in_train",
    hint="The model that you return is in training mode, all of it. A block of its body was held in evaluation mode: "
    "which mode a part is in is for those to say who train or ask it.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model.train()


@misconception(
    "replace_head",
    "put_in_eval",
    hint="The model that you return is in evaluation mode; the one you were given was in training mode. Which mode it is "
    "in is for those to say who train or ask it.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model.eval()


@misconception(
    "replace_head",
    "swapped",
    hint="Your head has its two numbers the wrong way round. `nn.Linear(inputs, outputs)`: it reads the features and has "
    "an output for each class.",
)
def _(model, num_classes):
    model.head = nn.Linear(num_classes, model.head.in_features)
    return model


@misconception(
    "replace_head",
    "reads_old_scores",
    hint="Your head expects as many inputs as the old one had *outputs*. The old head goes; what the new one reads are "
    "the same features: `model.head.in_features`.",
)
def _(model, num_classes):
    model.head = nn.Linear(model.head.out_features, num_classes)
    return model


@misconception(
    "replace_head",
    "width_of_glyphnet",
    hint="512 is the number of features of `glyphnet`. Another body has another number, and the check uses a small one: "
    "ask the old head how many it reads.",
)
def _(model, num_classes):
    model.head = nn.Linear(512, num_classes)
    return model


@misconception(
    "replace_head",
    "more_than_a_layer",
    hint="Your head is not one `nn.Linear`, but something with layers in it. Asked for is a single layer: all that is "
    "learned beside the body then stands in one weight and one bias. (Softmax belongs to the loss.)",
)
def _(model, num_classes):
    model.head = nn.Sequential(nn.Linear(model.head.in_features, num_classes))
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
    return model


@misconception(
    "replace_head",
    "old_biases_kept",
    hint="You kept biases of the old head: they say how common each letter was. The digits are other classes, so let the "
    "new head start anew.",
)
def _(model, num_classes):
    old = model.head
    model.head = nn.Linear(old.in_features, num_classes)
    with torch.no_grad():
        kept = min(num_classes, old.out_features)
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
                state = {
                    key: value for key, value in child.state_dict().items() if key != "num_batches_tracked"
                }
                fixed.load_state_dict(state)
                setattr(parent, name, fixed)
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    return model


@alternative("freeze_backbone", "a `train` of the model's own, which ends with the body in eval()")
def _(model):
    model.body.requires_grad_(False)
    usual = model.train

    def train(mode=True):
        usual(mode)
        model.body.eval()
        return model

    model.train = train
    return model.train(model.training)


@alternative("freeze_backbone", "a subclass of the body's own class")
def _(model):
    class Frozen(type(model.body)):
        def train(self, mode=True):
            return super().train(False)

    model.body.__class__ = Frozen
    model.body.train().requires_grad_(False)
    return model


@misconception(
    "freeze_backbone",
    "requires_grad_only",
    hint="The parameters are frozen, the BatchNorm statistics are not: they are buffers, and every batch in `train()` "
    'moves them, so your features change while "nothing" learns. Keep the body in evaluation mode.',
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
    hint="Your running statistics stay (by momentum 0, by `track_running_stats=False`, or put back each time), but in "
    "`train()` BatchNorm still normalises with mean and variance of the *batch*: features depend on the neighbours. Only "
    "evaluation mode uses the stored ones.",
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
    hint="The weights of the body still get gradients: the optimizer will change them. Every parameter of `model.body` "
    "needs `requires_grad=False`; evaluation mode has nothing to do with it.",
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


@misconception(
    "freeze_backbone",
    "statistics_move_otherwise",
    hint="The running statistics still move in `train()`. `momentum` only says how fast; evaluation mode is what stops "
    "them, and makes BatchNorm use them.",
)
def _(model):
    model.body.requires_grad_(False)
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = float(torch.rand(())) * 0.8 + 0.15
    return model


@misconception(
    "freeze_backbone",
    "never_in_eval",
    hint="`.train()` can no longer change the mode, but which mode is that? A model that comes in `train()` now stays in "
    "it for ever. Call `.eval()` first, then replace `train`.",
)
def _(model):
    model.body.requires_grad_(False)
    model.body.train = lambda mode=True: model.body
    return model


@misconception(
    "freeze_backbone",
    "takes_no_mode",
    hint="Your `train` takes no argument. A model hands its mode on to its parts, `body.train(True)`, and `.eval()` is "
    "`.train(False)`: give it one, `mode=True`.",
)
def _(model):
    model.body.requires_grad_(False)
    model.body.eval()
    model.body.train = lambda: model.body
    return model


@misconception(
    "freeze_backbone",
    "eval_for_train",
    hint="`.eval()` takes no argument, and a model hands its mode on to its parts: `body.train(True)`. Write a function "
    "that takes the mode and leaves it at that.",
)
def _(model):
    model.body.requires_grad_(False)
    model.body.eval()
    model.body.train = model.body.eval
    return model


@misconception(
    "freeze_backbone",
    "calls_itself",
    hint="`.eval()` is nothing but `.train(False)`: a `train` that calls `eval` calls itself. Put the body in evaluation "
    "mode once, before; the new `train` then has nothing to do but to return it.",
)
def _(model):
    model.body.requires_grad_(False)
    model.body.eval()
    model.body.train = lambda mode=True: model.body.eval()
    return model


@misconception(
    "freeze_backbone",
    "part_of_itself",
    hint="`model.body.train = model.body.eval()` calls `eval` once and keeps what it returns, which is the body: now the "
    "body is a part of itself. `train` has to be a *function*, `lambda mode=True: model.body`.",
)
def _(model):
    model.body.requires_grad_(False)
    model.body.train = model.body.eval()
    return model


@misconception(
    "freeze_backbone",
    "whole_model_held",
    hint="You hold the whole model, head included: after `model.train()` the head is still in evaluation mode. A head "
    "with dropout would never drop anything. The `train` to be replaced is that of `model.body`.",
)
def _(model):
    model.body.requires_grad_(False)
    _hold(model)
    return model


@misconception(
    "freeze_backbone",
    "statistics_dropped",
    hint="The running statistics are gone. Without them BatchNorm uses each batch's own mean and variance even in "
    "`eval()`; they were learned from the letters, and the weights rely on them.",
)
def _(model):
    model.body.requires_grad_(False)
    for module in model.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    return model


# --- extract_features -------------------------------------------------------------------------------------

accept("extract_features", "the rows, compared with the right ones", clue=True)


def _modes(model):
    """What puts every part of the model back in the mode it is in now."""
    modes = [(part, part.training) for part in model.modules()]

    def restore():
        for part, mode in modes:
            part.training = mode

    return restore


def _rows(model, images, batch_size):
    return [model.body(batch) for batch in images.split(batch_size)]


@alternative("extract_features", "with a DataLoader")
def _(model, images, batch_size):
    from torch.utils.data import DataLoader

    restore, rows = _modes(model), []
    model.eval()
    with torch.no_grad():
        for batch in DataLoader(images, batch_size=batch_size, shuffle=False):
            rows.append(model.body(batch).cpu())
    restore()
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
    restore, rows = _modes(model), []
    hook = model.head.register_forward_pre_hook(lambda head, args: rows.append(args[0].detach().cpu()))
    try:
        model.eval()
        for batch in torch.split(images, batch_size):
            model(batch)
    finally:
        hook.remove()
        restore()
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
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        full = range(0, len(images) - batch_size + 1, batch_size)
        rows = [model.body(images[start : start + batch_size]) for start in full]
    restore()
    return torch.cat(rows)


@misconception(
    "extract_features",
    "last_batch_only",
    hint="Only the last batch comes back: each round of the loop replaces what the one before found. Collect the "
    "batches in a list, and join them with `torch.cat` after the loop.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        for batch in images.split(batch_size):
            rows = model.body(batch)
    restore()
    return rows


@misconception(
    "extract_features",
    "shuffled",
    hint="The rows are right but in another order: something shuffles, perhaps a DataLoader with `shuffle=True`. Row i "
    "must belong to image i, or the labels go to the wrong images.",
)
def _(model, images, batch_size):
    from torch.utils.data import DataLoader

    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        rows = [model.body(batch) for batch in DataLoader(images, batch_size=batch_size, shuffle=True)]
    restore()
    return torch.cat(rows)


@misconception(
    "extract_features",
    "graph_kept",
    hint="The computation graph of every batch hangs on your features. It holds all inner activations in memory, and a "
    "later `backward()` would run through the whole network. Compute them under `torch.no_grad()`.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    rows = torch.cat(_rows(model, images, batch_size))
    restore()
    return rows


@misconception(
    "extract_features",
    "inference_mode",
    hint="`torch.inference_mode()` makes tensors that autograd refuses ever after, so no classifier can be trained on "
    "them by gradient. `torch.no_grad()` costs next to nothing more and gives ordinary tensors.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    with torch.inference_mode():
        rows = torch.cat(_rows(model, images, batch_size))
    restore()
    return rows


@misconception(
    "extract_features",
    "logits",
    hint="These are the head's scores for the old classes. The features come one step before: call `model.body`, not "
    "`model`.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        rows = [model(batch) for batch in images.split(batch_size)]
    restore()
    return torch.cat(rows)


@misconception(
    "extract_features",
    "left_in_eval",
    hint="A model that came in training mode is left in `eval()`. Whoever trains it next does so with BatchNorm and "
    "dropout switched off, and no message says so. Remember the modes first, restore them last.",
)
def _(model, images, batch_size):
    model.eval()
    with torch.no_grad():
        return torch.cat(_rows(model, images, batch_size))


@misconception(
    "extract_features",
    "always_train_after",
    hint="You always end with `model.train()`. A model that came in `eval()` leaves in training mode, and its next "
    "prediction depends on the batch. Restore what you found, part by part.",
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
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        rows = model.body(images)
    restore()
    return rows


@alternative("extract_features", "one image at a time, by the library")
def _(model, images, batch_size):
    from tlkit import extract

    return extract(model.body, images, 1)


@alternative("extract_features", "by a copy of the body, through NumPy")
def _(model, images, batch_size):
    import numpy as np

    body = copy.deepcopy(model.body).eval()
    return torch.from_numpy(
        np.concatenate([body(batch).detach().numpy() for batch in images.split(batch_size)])
    )


@misconception(
    "extract_features",
    "one_mode_for_all",
    hint="`.train(...)` puts *all* parts in one mode. A model in `train()` whose frozen block was held in `eval()` "
    "comes back with that block awake: just what the exercise before was about. Each part has a mode of its own.",
)
def _(model, images, batch_size):
    mode = model.training
    model.eval()
    with torch.no_grad():
        rows = torch.cat(_rows(model, images, batch_size))
    model.train(mode)
    return rows


@misconception(
    "extract_features",
    "pieces_for_size",
    hint="`chunk(k)` cuts into k pieces, however large; `split(k)` cuts into pieces of k. With many images your pieces "
    "are larger than `batch_size`.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        rows = [model.body(batch) for batch in images.chunk(batch_size)]
    restore()
    return torch.cat(rows)


@misconception(
    "extract_features",
    "body_frozen",
    hint="You freeze the network to get features without a graph, and it stays frozen. To *look* at a model must not "
    "change it: compute under `torch.no_grad()`.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    model.body.requires_grad_(False)
    rows = torch.cat(_rows(model, images, batch_size))
    restore()
    return rows


@misconception(
    "extract_features",
    "gradients_left_off",
    hint="You switch gradients off and not on again: from here on nothing in the whole notebook can learn. "
    "`with torch.no_grad():` switches them on again by itself, even after an error.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    torch.set_grad_enabled(False)
    rows = torch.cat(_rows(model, images, batch_size))
    restore()
    return rows


@misconception(
    "extract_features",
    "double",
    hint="Your rows are float64, which is what NumPy makes unless told otherwise. A classifier's weights are float32, and "
    "PyTorch does not multiply the two. Keep the dtype that the body gives.",
)
def _(model, images, batch_size):
    restore = _modes(model)
    model.eval()
    with torch.no_grad():
        rows = torch.cat(_rows(model, images, batch_size)).double()
    restore()
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
accept(
    "fit_linear_probe",
    "lead of the commonest class over the rarest for the average image, l2 = 30",
    at_least=0.2,  # ridge: 12/27 = 0.4
    at_most=2.5,  # logistic regression: log 5 = 1.6
)


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


@alternative("fit_linear_probe", "scikit-learn's ridge regression, in double precision")
def _(features, labels, num_classes, l2):
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    targets = F.one_hot(labels, num_classes).double()
    ridge = Ridge(alpha=l2 * len(features)).fit(scaler.transform(features), targets)
    return lambda x: torch.from_numpy(ridge.predict(scaler.transform(x)))


@alternative("fit_linear_probe", "plain gradient descent with a step that shrinks as l2 grows")
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, targets = standardise(features), F.one_hot(labels, num_classes).float()
    weight, bias, step = torch.zeros(z.shape[1], num_classes), torch.zeros(num_classes), 0.5 / (1 + l2)
    for _ in range(400):
        slope = ((z @ weight + bias).softmax(1) - targets) / len(z)
        weight, bias = weight - step * (z.T @ slope + l2 * weight), bias - 0.5 * slope.sum(0)
    return lambda x: standardise(x) @ weight + bias


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


@misconception(
    "fit_linear_probe",
    "new_ones_as_they_are",
    hint="The probe was fitted on standardised features, and new ones go in as they are: another scale than the weights "
    "were made for. The function that you return has to standardise first, with the training mean and spread.",
)
def _(features, labels, num_classes, l2):
    return _ridge(_standardise(features)(features), labels, num_classes, l2, lambda x: x)


@misconception(
    "fit_linear_probe",
    "bias_held",
    hint="One class has five times as many examples as another, and the average image gets the same score for both. Is a "
    "bias missing, or does l2 hold it back as well? l2 is the price of the weights; a bias fits no noise.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, targets = standardise(features), F.one_hot(labels, num_classes).float()
    weight = torch.linalg.solve(z.T @ z / len(z) + l2 * torch.eye(z.shape[1]), z.T @ targets / len(z))
    return lambda x: standardise(x) @ weight


@misconception(
    "fit_linear_probe",
    "steps_too_long",
    hint="With a large l2 your scores are NaN: the slope of the penalty is l2 · W, and with a fixed learning rate each step "
    "overshoots by more than the one before. Take L-BFGS with a line search, or the closed form.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, targets = standardise(features), F.one_hot(labels, num_classes).float()
    weight, bias = torch.zeros(z.shape[1], num_classes), torch.zeros(num_classes)
    for _ in range(200):
        slope = ((z @ weight + bias).softmax(1) - targets) / len(z)
        weight, bias = weight - 0.05 * (z.T @ slope + l2 * weight), bias - 0.5 * slope.sum(0)
    return lambda x: standardise(x) @ weight + bias


@misconception(
    "fit_linear_probe",
    "c_is_not_l2",
    hint="A larger l2 lets your weights grow instead of holding them back. scikit-learn's `C` is the strength of the *data*: "
    "it grows as the penalty shrinks.",
)
def _(features, labels, num_classes, l2):
    from sklearn.linear_model import LogisticRegression

    standardise = _standardise(features)
    model = LogisticRegression(C=l2, max_iter=1000).fit(standardise(features), labels)
    return lambda x: torch.from_numpy(model.decision_function(standardise(x)))


@misconception(
    "fit_linear_probe",
    "closure_without_return",
    hint="L-BFGS asks your closure for the loss, several times a step, and gets None. End it with `return loss`.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    z, layer = standardise(features), nn.Linear(features.shape[1], num_classes)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60)

    def closure():
        optimizer.zero_grad()
        (F.cross_entropy(layer(z), labels) + l2 / 2 * layer.weight.square().sum()).backward()

    optimizer.step(closure)
    return lambda x: layer(standardise(x)).detach()


@misconception(
    "fit_linear_probe",
    "returns_weights",
    hint="You return a tensor. Asked for is a function that can be called with new features, because they have to be "
    "standardised in the same way: `return lambda new: ...`.",
)
def _(features, labels, num_classes, l2):
    z, targets = _standardise(features)(features), F.one_hot(labels, num_classes).float()
    return torch.linalg.solve(z.T @ z / len(z) + l2 * torch.eye(z.shape[1]), z.T @ targets / len(z))


@misconception(
    "fit_linear_probe",
    "returns_probe",
    hint="You return the library's `LinearProbe`, which cannot be called. Its method can: `probe.logits`. (To write the "
    "fit yourself teaches more.)",
)
def _(features, labels, num_classes, l2):
    from tlkit import linear_probe

    return linear_probe(features, labels, num_classes, l2=l2)


@misconception(
    "fit_linear_probe",
    "gives_nothing",
    hint="You do return a function, but that one gives None: it needs a `return` of its own.",
)
def _(features, labels, num_classes, l2):
    predict = right("fit_linear_probe")(features, labels, num_classes, l2)

    def scores(new):
        predict(new)

    return scores


@misconception(
    "fit_linear_probe",
    "numpy_scores",
    hint="Your function gives a NumPy array. Give a tensor: `torch.from_numpy(scores)`.",
)
def _(features, labels, num_classes, l2):
    predict = right("fit_linear_probe")(features, labels, num_classes, l2)
    return lambda x: predict(x).numpy()


@misconception(
    "fit_linear_probe",
    "in_place",
    hint="Your function changes the features it was given: `-=` and `/=` work in place. Whoever fits a second probe on the "
    "same table, with another l2, fits it on another table. Write `z = (features - mean) / spread`.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features.clone())
    features.copy_(standardise(features))
    return _ridge(features, labels, num_classes, l2, standardise)


@misconception(
    "fit_linear_probe",
    "new_in_place",
    hint="The function that you return changes the new features it is asked about: `-=` and `/=` work in place, and a "
    "second question about the same images gets another answer. Write `z = (new - mean) / spread`.",
)
def _(features, labels, num_classes, l2):
    standardise = _standardise(features)
    predict = _ridge(standardise(features), labels, num_classes, l2, lambda x: x)
    return lambda x: predict(x.copy_(standardise(x)))


# --- predict_few_shot -------------------------------------------------------------------------------------

accept("predict_few_shot", "predicted labels", agreement_with="true labels", at_least=0.84)
accept(
    "predict_few_shot", "predicted labels of the pile", agreement_with="true labels of the pile", at_least=0.5
)


accept("predict_few_shot", "how the predictions compare with guessing", clue=True)
accept("predict_few_shot", "how the predictions of the pile compare with guessing", clue=True)


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


@alternative("predict_few_shot", "the nearest class mean")
def _(model, images, labels, new_images):
    features = _features(model, images)
    standardise = _standardise(features)
    means = torch.stack([standardise(features)[labels == digit].mean(dim=0) for digit in range(10)])
    return torch.cdist(standardise(_features(model, new_images)), means).argmin(dim=1)


@alternative("predict_few_shot", "the probe as the model's new head")
def _(model, images, labels, new_images):
    from tlkit import linear_probe

    model.head = linear_probe(_features(model, images), labels, 10, l2=0.1).as_linear()
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@alternative("predict_few_shot", "a linear support vector machine")
def _(model, images, labels, new_images):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = make_pipeline(StandardScaler(), SVC(kernel="linear", C=0.1)).fit(
        _features(model, images), labels
    )
    return torch.from_numpy(machine.predict(_features(model, new_images)))


@misconception(
    "predict_few_shot",
    "raw_pixels",
    hint="No image went through the body of the `model` you are given: your answers come from the pixels, or from another "
    "network. What is asked here is what the features of this one are worth.",
)
def _(model, images, labels, new_images):
    steps = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
    moved = torch.cat([images.roll(step, dims=(-2, -1)).flatten(1) for step in steps])
    return labels.repeat(len(steps))[torch.cdist(new_images.flatten(1), moved).argmin(dim=1)]


@misconception(
    "predict_few_shot",
    "no_transform",
    hint="Images reached the body that had not gone through `model.transform`. With `glyphnet` it changes nothing; other "
    "networks were trained on pixels of another size and scale, and the check gives yours such a transform.",
)
def _(model, images, labels, new_images):
    features, new = (right("extract_features")(model, x, 128) for x in (images, new_images))
    return right("fit_linear_probe")(features, labels, 10, 0.1)(new).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "training_mode",
    hint="The body's running statistics changed, and nothing else in it: images went through it in training mode. Then "
    "it is not frozen, and an answer may depend on who else was asked. `extract_features` takes care of that.",
)
def _(model, images, labels, new_images):
    model.body.train()
    with torch.no_grad():
        features, new = (model.body(model.transform(x)) for x in (images, new_images))
    return right("fit_linear_probe")(features, labels, 10, 1e-1)(new).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "other_weights",
    hint="The body's weights are not those it came with: they were trained too, or set anew. It was to stay frozen; training "
    "all of it is the subject of lesson 02. Here the question is what the features are worth as they are.",
)
def _(model, images, labels, new_images):
    model.head = nn.Linear(model.head.in_features, 10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _epoch in range(2):
        for some in torch.randperm(len(images)).split(25):
            optimizer.zero_grad()
            F.cross_entropy(model(model.transform(images[some])), labels[some]).backward()
            optimizer.step()
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "new_statistics",
    hint="The mixed images are read well, and the pile that holds one digit only is not: an answer depends on what else is "
    "asked. Are the new images standardised with *their own* statistics? Then just what makes them that digit is gone.",
)
def _(model, images, labels, new_images):
    def standardise(x):
        return (x - x.mean(dim=0)) / x.std(dim=0).clamp_min(1e-6)

    predict = _ridge(standardise(_features(model, images)), labels, 10, 1e-2, standardise)
    return predict(_features(model, new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "old_head",
    hint="Some of your answers are no digits but numbers beyond 9. The head that came with the model names letters, and its "
    "number 3 is a D; a position in the table of labels is no label either. The digits need a classifier of their own.",
)
def _(model, images, labels, new_images):
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "chance",
    hint="Your answers are about as good as guessing: what the labels say does not reach them. Was a new head never "
    "trained, did images and labels lose their order, or is it a *position* that you return and not the label there?",
)
def _(model, images, labels, new_images):
    model.head = nn.Linear(model.head.in_features, 10)
    with torch.no_grad():
        return model.eval()(model.transform(new_images)).argmax(dim=1)


@misconception(
    "predict_few_shot",
    "floats",
    hint="Your labels are floats. A label is the number of a class, and takes part in `==`, in indexing and in "
    "`cross_entropy` as int64, which is what `argmax` gives.",
)
def _(model, images, labels, new_images):
    features = _features(model, images)
    return (
        right("fit_linear_probe")(features, labels, 10, 0.1)(_features(model, new_images))
        .argmax(dim=1)
        .float()
    )


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

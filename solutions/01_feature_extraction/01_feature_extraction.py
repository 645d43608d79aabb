# %% [markdown]
# # 01 · Feature extraction
#
# > **In this lesson you learn to**
# > - give a pretrained network a new head, and keep everything else;
# > - freeze a network so that it really stays as it was, BatchNorm included;
# > - turn images into features once, and classify them in milliseconds;
# > - measure what a pretrained network is worth, against networks that know nothing;
# > - recognise when it is worth nothing.
# >
# > {lesson:points} points · about two hours · the whole notebook runs in about a minute on two cores

# %% [markdown]
# Ten labelled examples of each digit: that is all we get. A network trained on so few learns them by heart and reads
# new ones a good deal worse. But we have a network that has seen many printed letters. In 2014 several groups found, at
# nearly the same time, that such a network can be used *as it is*: cut off the last layer, take what comes out before
# it as a description of the image, and put the simplest classifier on top (Donahue et al.; Razavian et al.). This is
# still the first thing to try on any new task.

# %% tags=["setup"]
import time

import torch
import torch.nn.functional as F
from IPython.display import Markdown
from tlkit import LayerBoard, capture, check, evaluate, extract, fit, freeze, hint, layer_table
from tlkit import linear_probe, load_backbone, quiz, set_seed
from tlkit.data import CLEAN, digits_split, printed_letters
from tlkit.plots import accuracy_vs_labels, bars, layer_bars, picture, show_images
from tlkit.plots.canvas import name_axes
from torch import Tensor, nn
from tqdm.auto import tqdm

# %% [markdown]
# ## Look at the data first
#
# The **source**: letters of many scripts, printed, warped and blurred. The **target**: digits that people wrote
# (Alpaydin and Kaynak 1998). Different signs, different hands, and yet the same kinds of stroke.

# %% tags=["demo"]
backbone = load_backbone("glyphnet")
some = backbone.classes[2:80:6] + backbone.classes[80::16][:13]
letters = printed_letters(per_class=1, seed=3, characters="".join(some))
show_images(letters.images, letters.labels, letters.classes, columns=13, title="Source: printed letters")

# %% tags=["demo"]
pool, test = digits_split()
show_images(pool.images[:26], pool.labels[:26], columns=13, title="Target: handwritten digits")

# %% [markdown]
# Who may see what is decided before the first experiment, and kept:
#
# | part | size | used for |
# |---|---|---|
# | labelled digits | a few of each class, drawn from `pool` | learning |
# | the rest of `pool` | some 900 | every *choice*: is it better with this setting or that? |
# | `test` | 800 | numbers we report, after all choices are made |
#
# Which few digits get a label is luck, so we draw several times and report mean and spread.

# %% tags=["demo"]
def draw(per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions in `pool`: `per_class` digits of each class that get a label, and all the others."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    labelled = torch.cat([order[pool.labels[order] == digit][:per_class] for digit in range(10)])
    others = torch.ones(len(pool), dtype=torch.bool)
    others[labelled] = False
    return labelled, others.nonzero().flatten()


labelled, others = draw(per_class=10, seed=0)
len(labelled), len(others)

# %% [markdown]
# ## A body and a head
#
# Every backbone of this course comes in two parts. The **body** turns an image into a row of numbers, its features; the
# **head**, one linear layer, turns features into a score for each class. The body has nearly all the parameters:

# %% tags=["demo"]
layer_bars(layer_table(backbone), title=f"{backbone.name}: parameters by block")

# %% [markdown]
# The head knows the letters it was trained on, and nothing else: it has no output for *five*. What does it say to digits?
# We let it name every digit of the pool, and draw the letter that it names most often for each of the ten.

# %% tags=["demo"]
features = extract(backbone.body, backbone.transform(pool.images))  # [997, 512]
named = backbone.head(features).argmax(dim=1)
usual = [named[pool.labels == digit].mode().values for digit in range(10)]
share = [(named[pool.labels == digit] == letter).float().mean() for digit, letter in enumerate(usual)]
drawn = printed_letters(1, seed=0, characters="".join(backbone.classes[i] for i in usual), how=CLEAN)
captions = [f"{digit}: {part:.0%}" for digit, part in enumerate(share)]
show_images(drawn.images, torch.arange(10), captions, title="The letter that each digit is taken for, and how often")

# %% [markdown]
# The names are wrong, the shapes are not: with hundreds of letters to choose from, each digit has a favourite that looks like
# it. Only the vocabulary has to change. Here is feature extraction in its smallest form: one labelled digit of each
# class, no training whatever, and a new digit gets the label of the one whose features lie nearest.

# %% tags=["demo"]
one, rest = draw(per_class=1, seed=0)
nearest = torch.cdist(features[rest], features[one]).argmin(dim=1)
right = (pool.labels[one][nearest] == pool.labels[rest]).float().mean()
print(f"one example of each digit, nearest in feature space: {right:.0%} of {len(rest)} right (guessing: 10%)")

# %% [markdown]
# ## A new head
#
# Nearest neighbours are a start. A head of its own lets the target weigh the features: the old one has an output for each
# letter, the new one needs an output for each digit. Everything the body learned must stay.

# %% [markdown]
# ### Exercise · Replace the head
# {exercise:replace_head}
#
# Write `replace_head(model, num_classes)`: it gives `model.head` a fresh `nn.Linear` and returns the model.
#
# - The new head is a single `nn.Linear`, reads the same features and has `num_classes` outputs; it can learn.
# - Nothing else changes: the body keeps its weights and its mode, part by part; what could learn before still can, and
#   what was frozen still is.

# %% solution="replace_head"
def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Give the model a new classifier.

    Args:
        model: has `.body` (images -> features [B, D]) and `.head`, an nn.Linear from D.
        num_classes: outputs of the new head.

    Returns:
        The model: same body, new head [D -> num_classes].
    """
    ### BEGIN SOLUTION
    model.head = nn.Linear(model.head.in_features, num_classes)
    return model
    ### END SOLUTION


# %% test="replace_head"

# %% [markdown]
# ## Frozen, really
#
# If only the new head shall learn, the body must stay as it is. PyTorch has a switch for parameters,
# `requires_grad`. Watch what it does: after `backward()` a frozen parameter has no gradient at all, so no optimizer can
# move it.

# %% tags=["demo"]
model = load_backbone("glyphnet")
model.body.requires_grad_(False)
model(model.transform(pool.images[:32])).sum().backward()
print("gradient of the first convolution:", model.body.stem[0].weight.grad)
print("gradient of the head:             ", model.head.weight.grad.shape)

# %% [markdown]
# So far, so good. Now the question that many published training scripts get wrong:

# %% tags=["demo"]
quiz("what_moves")

# %% [markdown]
# See for yourself. We put the model in training mode, as every training loop does, and show it ten batches of digits. No
# loss, no optimizer, nothing that could learn.

# %% tags=["demo"]
images = model.transform(pool.images[:64])
before = extract(model.body, images)
model.train()
with torch.no_grad():
    for batch in model.transform(pool.images[:640]).split(64):
        model(batch)
after = extract(model.body, images)
moved = (after - before).norm() / before.norm()
print(f"the features of the same 64 images moved by {moved:.0%} of their length")

# %% [markdown]
# The culprits are the BatchNorm layers (Ioffe and Szegedy 2015). Each keeps a running mean and a running variance of what
# passes through it. These are *buffers*, not parameters: no gradient touches them, and `requires_grad` does not reach
# them. In training mode every batch moves them, and BatchNorm normalises with the batch at hand instead. Only in
# evaluation mode are they used and left alone.

# %% tags=["demo"]
norm = model.body.stem[1]
print("parameters:", [name for name, _ in norm.named_parameters()])
print("buffers:   ", [name for name, _ in norm.named_buffers()])

# %% [markdown]
# And `model.eval()` once, before the loop? The next `model.train()` goes through *all* parts of the model, the frozen ones
# too, and undoes it.

# %% [markdown]
# ### Exercise · Freeze the body
# {exercise:freeze_backbone}
#
# Write `freeze_backbone(model)`, which freezes `model.body` and returns the model.
#
# - No parameter of the body gets a gradient; the head still learns.
# - BatchNorm's running statistics stay where they are, and are the ones that are used, **also after somebody calls
#   `model.train()`**.
# - The head goes on as before, and follows `model.train()` and `model.eval()`.

# %% solution="freeze_backbone"
def freeze_backbone(model: nn.Module) -> nn.Module:
    """Freeze the body, parameters and buffers; only the head can learn.

    Args:
        model: has `.body`, with BatchNorm layers in it, and `.head`.

    Returns:
        The model. Its body stays in evaluation mode, whatever mode the model is put in.
    """
    ### BEGIN SOLUTION
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    model.body.eval()
    model.body.train = lambda mode=True: model.body  # `model.train()` calls this one now
    return model
    ### END SOLUTION


# %% test="freeze_backbone"

# %% [markdown]
# A LayerBoard shows both halves of freezing. Here is a network in training mode, frozen the way so many scripts do it. Every
# block of the body is cold and striped, and yet the board warns you.

# %% tags=["demo"]
half_frozen = replace_head(load_backbone("glyphnet"), 10).train()
half_frozen.body.requires_grad_(False)
board = LayerBoard(half_frozen, images[:8])
board

# %% [markdown]
# Play with it. Run the next cell as it is, then press *Hold their statistics* on the board and run it again. A click on a
# block thaws it, and lets its statistics move again.

# %% tags=["demo"]
before = extract(half_frozen.body, images)
with torch.no_grad():
    for batch in half_frozen.transform(pool.images[:640]).split(64):
        half_frozen(batch)
moved = (extract(half_frozen.body, images) - before).norm() / before.norm()
print(f"the features of the same 64 images moved by {moved:.0%} of their length")

# %% [markdown]
# The library's `freeze` does both halves at once, layer by layer, and can be undone by `unfreeze`.

# %% tags=["demo"]
frozen = replace_head(load_backbone("glyphnet"), 10)
freeze(frozen.body)
frozen.train()
norms = [part for part in frozen.modules() if isinstance(part, nn.BatchNorm2d)]
print(f"in train(): {sum(part.training for part in norms)} of {len(norms)} BatchNorm layers move")

# %% [markdown]
# ### Question · The colleague's frozen network
# {exercise:why_frozen}
#
# A colleague sets `requires_grad = False` for all of a pretrained body, then trains a new head with `model.train()` for ten
# epochs, four images a batch. The training looks fine. In `model.eval()`, on the very same training images, accuracy is much
# worse, and differs from run to run.
#
# In about six sentences: what happened, why is it worst with *small* batches, how could two lines of code
# have shown it, and what is the cure?

# %% [markdown] written="why_frozen" points=4
# **Model answer.** `requires_grad = False` stops the parameters, but BatchNorm's running mean and variance are buffers: in
# `train()` every batch moves them towards the statistics of the new images. During training BatchNorm does not even use them;
# it normalises with the mean and variance of the batch, so the head learned to read features made in *that* way. In
# `eval()` the running statistics are used, which the head has never seen in use, so the features differ and accuracy falls.
# Means and variances of four images are noisy: batch features jump, and the running statistics end wherever the last
# batches pushed them, so runs differ. To show it: copy `running_mean` (or the features of a fixed batch in `eval()`)
# before and after an epoch and compare; for a frozen body the difference must be 0. Cure: keep the body's
# BatchNorm layers in evaluation mode during training, and make that outlast `model.train()`.
#
# **Mark scheme (4 points).**
# - 1: running statistics are buffers, `requires_grad` does not stop them, `train()` moves them.
# - 1: training normalises with the batch and evaluation with the running statistics, so the head meets other features.
# - 1: small batches: noisy estimates, hence the larger gap and the difference between runs.
# - 1: a test that would show it (a buffer, or the features of fixed images, compared before and after) **and** the cure.
#
# Accept any order and wording. "Use a smaller learning rate" or "the head overfits" earns nothing: both happen with
# or without BatchNorm, and neither explains a gap on the *training* images that depends on the mode.

# %% [markdown]
# ## Features, once and for all
#
# A frozen body gives the same features for the same image, every time. So there is no need to compute them again in every
# epoch: one pass over all images, and from then on we work with a table of numbers.

# %% [markdown]
# ### Exercise · Extract the features
# {exercise:extract_features}
#
# Write `extract_features(model, images, batch_size)`: a row of features for every image.
#
# - Rows in the order of the images; the last batch may be smaller, and is kept.
# - At most `batch_size` images go through `model.body` at a time.
# - Evaluation mode while you work; afterwards *every part* of the model is in the mode it came in (a block that was
#   held in `eval()` still is), and can learn if it could before.
# - The result is an ordinary tensor on the CPU, with no computation graph behind it.

# %% solution="extract_features"
def extract_features(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Features of all images.

    Args:
        model: has `.body`, images [B, C, H, W] -> features [B, D].
        images: transformed images, [N, C, H, W].
        batch_size: images that go through the body at a time.

    Returns:
        Features [N, D] on the CPU; row i belongs to image i.
    """
    ### BEGIN SOLUTION
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    with torch.no_grad():
        rows = [model.body(batch).cpu() for batch in images.split(batch_size)]
    for part, mode in modes:
        part.training = mode
    return torch.cat(rows)
    ### END SOLUTION


# %% test="extract_features"

# %% [markdown]
# What does it save? Training a head means many epochs (passes over the data), and each would send every image through the body again. Guess first,
# then measure one epoch both ways, on the same hundred labelled digits.

# %% tags=["demo"]
quiz("what_is_saved")

# %% tags=["demo"]
def one_epoch(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Train for one epoch; returns the seconds it took."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    started = time.perf_counter()
    for x, y in zip(inputs.split(20), targets.split(20), strict=True):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started


# %% tags=["demo"]
inputs, targets = frozen.transform(pool.images[labelled]), pool.labels[labelled]
features = extract(frozen.body, inputs)
one_epoch(frozen.head, features, targets)  # once to warm up
cached = min(one_epoch(frozen.head, features, targets) for _ in range(5))
recomputed = min(one_epoch(frozen, inputs, targets) for _ in range(3))
print(f"one epoch, features recomputed: {1000 * recomputed:7.1f} ms")
print(f"one epoch, features kept:       {1000 * cached:7.1f} ms   ({recomputed / cached:.0f} times faster)")

# %% [markdown]
# The bigger the body, the larger that factor, for a head on as many features costs the same whatever lies below it. So
# feature extraction is not only the simplest way to transfer, but also the one you can afford to repeat: a hundred draws and ten
# settings, in the time of a few training runs.

# %% [markdown]
# ## A probe
#
# On top of the features we put a linear classifier. Features come in all sizes, so each is **standardised** first: subtract
# its mean, divide by its standard deviation. With more features than examples there are endlessly many perfect fits, so the
# weights pay a price, **l2**, for being large. A linear classifier used to find out what features are worth is called
# a *linear probe* (Alain and Bengio 2017).

# %% [markdown]
# ### Exercise · Fit a linear probe
# {exercise:fit_linear_probe}
#
# Write `fit_linear_probe(features, labels, num_classes, l2)`. It returns a *function* that maps features `[M, D]` to scores
# `[M, num_classes]`, a tensor.
#
# - Mean and standard deviation come from the training features only, and are used for new ones as they are.
# - A feature that never changes must do no harm.
# - Logistic regression (mean cross-entropy + l2/2 · ‖W‖²) or ridge regression onto one-hot labels: both count as right.
#   l2 holds back the weights W, not the bias, and may be small or huge.
# - Same data, same scores: no random start. The features that you are given stay as they are.

# %% solution="fit_linear_probe"
def fit_linear_probe(features: Tensor, labels: Tensor, num_classes: int, l2: float):
    """Fit a linear classifier on standardised features.

    Args:
        features: training features [N, D].
        labels: classes, int64 [N].
        num_classes: how many classes there are.
        l2: strength of the penalty on the weights (not on the bias).

    Returns:
        A function: features [M, D] -> scores [M, num_classes].
    """
    ### BEGIN SOLUTION
    mean, spread = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    z = (features - mean) / spread
    weight = torch.zeros(z.shape[1], num_classes, requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(z @ weight + bias, labels) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda new: ((new - mean) / spread @ weight + bias).detach()
    ### END SOLUTION


# %% test="fit_linear_probe"

# %% [markdown]
# From here on the experiments use `tlkit.extract` and `tlkit.linear_probe`: the same two functions, with a cache and in
# double precision. So you can read on even if an exercise above is still open.
#
# First a table for all that follows: every digit described in three ways, by its pixels, by a network with random
# weights, and by the network that learned letters. This takes a few seconds.

# %% tags=["demo"]
set_seed(0)
networks = {"random features": load_backbone("glyphnet", pretrained=False), "pretrained on letters": backbone}
described = {"raw pixels": (pool.images.flatten(1), test.images.flatten(1))}
for name, network in networks.items():
    described[name] = tuple(extract(network.body, network.transform(part.images)) for part in (pool, test))
{name: tuple(features.shape) for name, (features, _) in described.items()}

# %% [markdown]
# How strong should l2 be? That is a choice, so it is made on the *rest of the pool*, never on the test half, and for each
# description separately: the weaker ones get the same chance. Ten labels a class, two draws for each value.

# %% tags=["demo"]
def validate(features: Tensor, per_class: int, seed: int, l2: float) -> float:
    """Accuracy on the rest of the pool, of a probe fitted on `per_class` labels a class."""
    labelled, others = draw(per_class, seed)
    probe = linear_probe(features[labelled], pool.labels[labelled], 10, l2=l2)
    return probe.accuracy(features[others], pool.labels[others])


# %% tags=["demo"]
strengths, best = (0.01, 0.1, 1.0), {}
for name, (features, _) in described.items():
    scores = {l2: sum(validate(features, 10, 100 + s, l2) for s in range(2)) / 2 for l2 in strengths}
    best[name] = max(scores, key=scores.get)
    row = "   ".join(f"l2 {l2:g}: {score:.1%}" for l2, score in scores.items())
    print(f"{name:22} {row}   -> {best[name]:g}")

# %% [markdown]
# The differences along a row are small beside the step from the upper rows to the last: *what* the probe looks at matters
# far more than how it is tuned. Now put the pieces together.

# %% [markdown]
# ### Exercise · Read digits from ten labels a class
# {exercise:predict_few_shot}
#
# Write `predict_few_shot(model, images, labels, new_images)`: the predicted label of every new image, int64 `[M]`.
#
# - `model` is a pretrained backbone; `images` are as in the data, so they go through `model.transform` first.
# - It is the features of *this* model's body that tell the digits apart: the check also blinds it, and looks whether your
#   answers notice. The body stays frozen, statistics included.
# - At least 84 % of the new digits must be right. The new ones are moved by up to two pixels and have noise on
#   them, so nothing can be looked up.
# - Use what you wrote above, or `tlkit.extract` and `tlkit.linear_probe`.

# %% solution="predict_few_shot"
def predict_few_shot(model: nn.Module, images: Tensor, labels: Tensor, new_images: Tensor) -> Tensor:
    """Labels for new images, from a few labelled ones and a frozen network.

    Args:
        model: a pretrained backbone with `.transform`, `.body` and `.head`.
        images: labelled images in [0, 1], [N, 1, 32, 32].
        labels: their digits, int64 [N].
        new_images: images to read, [M, 1, 32, 32].

    Returns:
        Predicted digits, int64 [M].
    """
    ### BEGIN SOLUTION
    features = extract_features(model, model.transform(images), batch_size=256)
    predict = fit_linear_probe(features, labels, num_classes=10, l2=0.1)
    new_features = extract_features(model, model.transform(new_images), batch_size=256)
    return predict(new_features).argmax(dim=1)
    ### END SOLUTION


# %% test="predict_few_shot"

# %% [markdown]
# ## What is it worth?
#
# A number alone says little. So we compare, for one to fifty labels a class, four ways to spend them:
#
# - **raw pixels**: the same probe, straight on the pixels;
# - **random features**: the same network, never trained, and the probe;
# - **pretrained on letters**: the same network, pretrained and frozen, and the probe;
# - **from scratch**: the same network, all of it trained on the labelled digits alone.

# %% tags=["demo"]
quiz("ten_labels")

# %% tags=["demo"]
def probed(name: str, per_class: int, seed: int) -> float:
    """Test accuracy of a probe on one of the descriptions."""
    (features, test_features), (labelled, _) = described[name], draw(per_class, seed)
    probe = linear_probe(features[labelled], pool.labels[labelled], 10, l2=best[name])
    return probe.accuracy(test_features, test.labels)


# %% [markdown]
# With fifty labels a class it hardly matters which digits were drawn, so two draws will do there.

# %% tags=["demo"]
draws = {1: range(5), 5: range(5), 10: range(5), 50: range(2)}
results = {name: {n: [probed(name, n, seed) for seed in draws[n]] for n in draws} for name in described}

# %% [markdown]
# From scratch takes longer, for here the whole network is trained: about twenty seconds for two draws at three sizes. Its
# learning rate and number of steps were tried out on the rest of the pool when this lesson was written.

# %% tags=["demo"]
def scratch(per_class: int, seed: int) -> float:
    """Test accuracy of the same network, trained on the labelled digits alone."""
    labelled, _ = draw(per_class, seed)
    model = load_backbone("glyphnet", pretrained=False, seed=seed)
    model.head = nn.Linear(model.feature_dim, 10)
    data = (model.transform(pool.images[labelled]), pool.labels[labelled])
    settings = {"lr": 1e-3, "batch_size": 32, "weight_decay": 0.05, "progress": False}
    fit(model, data, epochs=SCRATCH_EPOCHS[per_class], seed=seed, **settings)
    return evaluate(model, (model.transform(test.images), test.labels)).accuracy


# %% tags=["demo"]
SCRATCH_EPOCHS = {1: 50, 10: 20, 50: 8}
runs = tqdm([(n, seed) for n in SCRATCH_EPOCHS for seed in range(2)], desc="from scratch")
found = [(n, scratch(n, seed)) for n, seed in runs]
results["from scratch"] = {n: [accuracy for m, accuracy in found if m == n] for n in SCRATCH_EPOCHS}

# %% tags=["demo"]
accuracy_vs_labels(results, where="accuracy on 800 test digits", highlight="pretrained on letters")

# %% tags=["demo", "prose"]
mean = {name: {n: sum(got) / len(got) for n, got in row.items()} for name, row in results.items()}
ours, others_at_10 = mean["pretrained on letters"], {k: v[10] for k, v in mean.items() if "letters" not in k}
second = max(others_at_10, key=others_at_10.get)
enough = next((n for n in draws if mean["raw pixels"][n] >= ours[5]), None)
pixels = f"need {enough}" if enough else f"do not get there with {max(draws)}"
gap = 100 * (ours[50] - mean["from scratch"][50])
edge = "has overtaken it" if gap < -0.5 else "is level with it" if gap < 0.5 else f"is within {gap:.1f} points of it"
Markdown(f"""With **ten labels** a class the network that learned letters reads **{ours[10]:.1%}** of the test digits; the next
best (*{second}*) reads {others_at_10[second]:.1%}. With **five** it reaches {ours[5]:.1%}; plain pixels {pixels}.
With **one** it leads the same network with random weights by {100 * (ours[1] - mean["random features"][1]):.0f} points,
and since the two differ in nothing else, that is what the letters taught.

Now look at the right edge. The network from scratch, which reads {mean["from scratch"][1]:.1%} with one label a class,
has come to {mean["from scratch"][50]:.1%} with **fifty**: it {edge} ({ours[50]:.1%}). Transfer saves labels. Where
labels are plenty, there is less to save.""")

# %% [markdown]
# ## Which layer transfers best?
#
# So far we used what comes out at the end of the body. But each block gives features, and they are of different
# kinds: early ones know edges, late ones know the shapes that tell letters apart; the head at the very end knows nothing but
# letters. Where is the best place to cut?

# %% tags=["demo"]
quiz("which_layer")

# %% tags=["demo"]
places = ["body.stem", "body.stage1", "body.stage2", "body.stage3", "head"]


def described_at(network: nn.Module) -> dict[str, Tensor]:
    """Features of the pool after each block, maps averaged onto a 2 x 2 grid: [N, 4 x channels]."""
    rows = {place: [] for place in places}
    with capture(network, places, detach=True) as outputs, torch.no_grad():
        for batch in network.transform(pool.images).split(256):
            network(batch)
            for place, o in outputs.items():
                rows[place].append(F.adaptive_avg_pool2d(o, 2).flatten(1) if o.ndim == 4 else o)
    return {place: torch.cat(parts) for place, parts in rows.items()}


# %% [markdown]
# Choosing a layer is a choice as well, so this too is decided on the rest of the pool: five labels a class, three draws. For
# comparison the same cut through the network with random weights.

# %% tags=["demo"]
by_layer = {}
for name, network in networks.items():
    at = described_at(network)
    by_layer[name] = {p: [validate(at[p], 5, 100 + s, best[name]) for s in range(3)] for p in places}

# %% tags=["demo"]
figure, (axis,) = picture(7.0, 4.0)
for (name, row), colour, marker in zip(by_layer.items(), ("#D55E00", "#009E73"), ("s", "^"), strict=True):
    scores = 100 * torch.tensor([row[p] for p in places])
    axis.errorbar(range(len(places)), scores.mean(1), scores.std(1), color=colour, marker=marker, capsize=3, label=name)
axis.set_xticks(range(len(places)), ["stem", "stage1", "stage2", "stage3", "head\n(letter scores)"])
name_axes(axis, "Where to cut: 5 labels a class, mean ± spread of 3 draws", "", "accuracy on the rest of the pool, %")
axis.legend(frameon=False)
figure

# %% tags=["demo", "prose"]
depth = {p: sum(got) / len(got) for p, got in by_layer["pretrained on letters"].items()}
blind = {p: sum(got) / len(got) for p, got in by_layer["random features"].items()}
top = max(depth, key=depth.get)
lost = 100 * (depth[top] - depth["head"])
end = f"{lost:.1f} points less" if lost >= 0.3 else "just as much"
falls = "falls" if blind["body.stage3"] < blind["body.stem"] - 0.01 else "hardly rises"
Markdown(f"""In the pretrained network accuracy climbs from {depth["body.stem"]:.1%} after the stem to {depth[top]:.1%} after
**{top.removeprefix("body.")}**; the letter scores at the very end give {end}. With random weights it {falls} on the way
({blind["body.stem"]:.1%} after the stem, {blind["body.stage3"]:.1%} after stage3): depth helps only what has been taught.

On photos Yosinski et al. (2014) found that the last layers transfer the worse, the more the classes of source and target
differ: late layers grow *specific* to their task. Letters and digits are close, so there is little of that here.""")

# %% [markdown]
# ## When transfer does not help
#
# Now the opposite. We take one fixed shuffle of the pixel positions and apply it to every digit. To a linear classifier on
# pixels nothing has changed: it never knew which pixels are neighbours. What will the network do that learned letters?

# %% tags=["demo"]
shuffle = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
shuffled_pool, shuffled_test = (x.images.flatten(1)[:, shuffle].view(-1, 1, 32, 32) for x in (pool, test))
show_images(shuffled_pool[:13], pool.labels[:13], columns=13, title="The same digits, pixels shuffled")

# %% tags=["demo"]
quiz("shuffled")

# %% tags=["demo"]
described["shuffled: raw pixels"] = (shuffled_pool.flatten(1), shuffled_test.flatten(1))
for name, network in networks.items():
    described[f"shuffled: {name}"] = tuple(extract(network.body, x) for x in (shuffled_pool, shuffled_test))
best |= {f"shuffled: {name}": l2 for name, l2 in best.items()}
hurt = {}
for name in ("raw pixels", *networks):
    hurt[name] = results[name][10]
    hurt[f"shuffled: {name}"] = [probed(f"shuffled: {name}", 10, seed) for seed in draws[10]]

# %% tags=["demo"]
hurt = {name: torch.tensor(found) for name, found in hurt.items()}
bars(
    {name: float(found.mean()) for name, found in hurt.items()},
    spread={name: float(found.std()) for name, found in hurt.items()},
    title="Ten labels a class, before and after the shuffle",
    unit="accuracy on 800 test digits (mean ± spread of 5 draws)",
    percent=True,
    highlight="shuffled: pretrained on letters",
)

# %% tags=["demo", "prose"]
was, now = hurt["pretrained on letters"].mean(), hurt["shuffled: pretrained on letters"].mean()
plain, untrained = hurt["shuffled: raw pixels"].mean(), hurt["shuffled: random features"].mean()
word = "worse than no transfer at all" if now < plain else "no better than no transfer at all"
random_word = "even random features do better" if untrained > now else "random features fare no better"
Markdown(f"""Raw pixels do not care: {plain:.1%} as before. The pretrained features fall from {was:.1%} to **{now:.1%}**, {word};
{random_word} ({untrained:.1%}). What the network brings along is knowledge of strokes, and a shuffle leaves no strokes. Worse,
its convolutions mix neighbouring pixels, which after the shuffle have nothing to do with each other. This is **negative transfer**.

Transfer rests on what source and target have in common, and nothing in the network tells you how much that is. So put a
baseline that transfers nothing into every table.""")

# %% [markdown]
# ## Limits
#
# - The digits are small, clean and centred; the writers of both halves are the same people. Mail or exam sheets are harder.
# - A frozen body cannot learn a new stroke. With more labels it pays to let it learn too: lesson 02.
# - Better on the source is *usually* better on the target (Kornblith et al. 2019), but the nearer source can beat the better
#   network. Lesson 06 asks how to tell in advance.
# - Two to five draws show which differences are large. They do not settle differences of one point.

# %% [markdown]
# ## With real photos
#
# The same functions, another name: SqueezeNet (Iandola et al. 2016), trained on a million ImageNet photos, looks at 244
# photos of ants and bees, and a probe tells 153 others apart. This needs 47 MB of photos and 5 MB of weights, once. Where they are not on your machine the
# cells below say so and do nothing; set `download = True` where there is a network. It takes about half a minute.

# %% tags=["demo"]
from pathlib import Path

from tlkit.data import ants_and_bees
from tlkit.data.download import data_root

download = False
weights = Path(torch.hub.get_dir()) / "checkpoints" / "squeezenet1_0-b66bff10.pth"
missing = [path.name for path in (data_root() / "hymenoptera_data", weights) if not path.exists()]
with_photos = download or not missing
print("all files are here" if not missing else f"not on this machine: {', '.join(missing)}")

# %% tags=["demo"]
def photo_features(network: nn.Module, photos) -> Tensor:
    """Features [N, D] of photos on disk, opened 32 at a time."""
    rows = []
    for some in torch.arange(len(photos)).split(32):
        batch = torch.stack([network.transform(photos.open(int(i))) for i in some])
        rows.append(extract(network.body, batch))
    return torch.cat(rows)


# %% tags=["demo"]
if with_photos:
    squeezenet = load_backbone("squeezenet1_0")
    train_photos, val_photos = ants_and_bees()
    train_rows, val_rows = photo_features(squeezenet, train_photos), photo_features(squeezenet, val_photos)
    insects = linear_probe(train_rows, train_photos.labels, 2, l2=0.1)
    print(f"{insects.accuracy(val_rows, val_photos.labels):.1%} of {len(val_photos)} photos right")
else:
    print("Skipped. Everything above needed no download, and so do the next lessons.")

# %% tags=["demo"]
if with_photos:
    chosen = torch.arange(0, len(val_photos), 15)
    small = torch.stack([squeezenet.transform.at(96)(val_photos.open(int(i))) for i in chosen])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (squeezenet.transform.mean, squeezenet.transform.std))
    guess = insects.predict(val_rows)[chosen]
    display(show_images(small * std + mean, val_photos.labels[chosen], val_photos.classes, predictions=guess, columns=6,
                        title="Every fifteenth photo"))

# %% [markdown]
# ## References
#
# - J. Donahue et al., *DeCAF: a deep convolutional activation feature for generic visual recognition*, ICML 2014.
# - A. S. Razavian, H. Azizpour, J. Sullivan and S. Carlsson, *CNN features off-the-shelf: an astounding baseline for
#   recognition*, CVPR Workshops 2014.
# - J. Yosinski, J. Clune, Y. Bengio and H. Lipson, *How transferable are features in deep neural networks?*, NeurIPS 2014.
# - S. Ioffe and C. Szegedy, *Batch normalization: accelerating deep network training by reducing internal covariate shift*,
#   ICML 2015.
# - G. Alain and Y. Bengio, *Understanding intermediate layers using linear classifier probes*, ICLR Workshop 2017.
# - S. Kornblith, J. Shlens and Q. V. Le, *Do better ImageNet models transfer better?*, CVPR 2019.
# - F. N. Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size*,
#   arXiv:1602.07360, 2016.
# - E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI Machine Learning Repository, 1998.
#
# **Next:** lesson 02, *Fine-tuning*. The body may learn again, carefully.

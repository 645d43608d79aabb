# %% [markdown]
# # 04 · Knowledge distillation
#
# > **In this lesson you learn to**
# > - read what a network's answers hold beyond the winning class;
# > - write the loss that lets a small network learn from a large one, and know what each factor in it is for;
# > - teach without labels, and measure what is kept;
# > - pass on what a network sees on the way: hints and attention;
# > - report what compression really saves;
# > - recognise when a teacher hands down its mistakes.
# >
# > {lesson:points} points · about two hours · the whole notebook runs in about a minute

# %% [markdown]
# So far a network's *parameters* or *features* moved to a new task. Now only its **answers** move. A large network, the
# **teacher**, has learned the task; a small one, the **student**, is to do it on a telephone or in a sensor. Buciluă,
# Caruana and Niculescu-Mizil (2006) let big models label heaps of unlabelled data and trained small ones on them.
# Hinton, Vinyals and Dean (2015) found how to get more out of every answer, and gave the idea its name: *distillation*.

# %% tags=["setup"]
import time
from collections import OrderedDict
from itertools import product

import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import Tensor, nn
from tqdm.auto import tqdm

from tlkit import capture, check, evaluate, extract, fit, hint, linear_probe, load_backbone, quiz, set_seed
from tlkit.backbones.glyphnet import GlyphBody
from tlkit.data import digits_split
from tlkit.plots import PALETTE, bars, picture, show_images
from tlkit.system import one_thread
from tlkit.training import parallel_map
from tlkit.widgets import TemperatureDial

# %% [markdown]
# ## A teacher and its pupil
#
# The teacher is the network of lesson 01: glyphnet, pretrained on letters, with a linear classifier on its frozen
# features that was fitted on **ten labelled digits of each class**. (Its `transform` changes nothing, so we leave it out.)
# Who may see what:
#
# | part | size | used for |
# |---|---|---|
# | labelled digits | 100, drawn from `pool` | the teacher's head; the student of the baseline |
# | the rest of `pool` | 897, **labels set aside** | the teacher answers, the student learns; for *choices* 300 of them were held back, with labels |
# | `test` | 800 | numbers we report, after all choices are made; the exam of *Teach the student* |

# %% tags=["demo"]
pool, test = digits_split()


def draw(seed: int, per_class: int = 10) -> tuple[Tensor, Tensor]:
    """Positions in `pool`: `per_class` digits of each class that get a label, and all the others, in random order."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    labelled = torch.cat([order[pool.labels[order] == digit][:per_class] for digit in range(10)])
    return labelled, order[~torch.isin(order, labelled)]


# %% tags=["demo"]
teacher = load_backbone("glyphnet")
features, test_features = extract(teacher.body, pool.images), extract(teacher.body, test.images)
labelled, others = draw(seed=0)
probe = linear_probe(features[labelled], pool.labels[labelled], 10, l2=0.1)
teacher.head = probe.as_linear()
answers = extract(teacher, pool.images)  # [997, 10] logits
print(f"the teacher reads {probe.accuracy(test_features, test.labels):.1%} of the test digits")

# %% [markdown]
# The student is the same kind of network, four times thinner in every layer.


# %% tags=["demo"]
def small_network(widths: tuple[int, int, int] = (12, 24, 32), seed: int = 0) -> nn.Module:
    """An untrained student: a body like glyphnet's with other widths, and a head for ten digits."""
    set_seed(seed)
    body = GlyphBody(widths)
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(body.feature_dim, 10)))


sizes = [sum(p.numel() for p in network.parameters()) for network in (teacher, small_network())]
print(f"teacher {sizes[0]:,} parameters, student {sizes[1]:,}: one for {sizes[0] / sizes[1]:.0f}")

# %% [markdown]
# What can it learn by itself, from the same hundred labels? It is trained for 30 epochs, with a learning rate that
# falls from 0.005 to 0. (These, like all settings below, were tried out on 300 digits held back from the pool.)


# %% tags=["demo"]
def falling(step: int, total: int) -> float:
    """Factor on the learning rate: from 1 straight down to 0."""
    return 1 - step / total


def alone(student: nn.Module, labelled: Tensor, seed: int = 0) -> nn.Module:
    """A student trained on the labelled digits, without a teacher."""
    data = (pool.images[labelled], pool.labels[labelled])
    fit(student, data, epochs=30, lr=5e-3, batch_size=32, schedule=falling, seed=seed, progress=False)
    return student.eval()


# %% tags=["demo"]
loner = alone(small_network(), labelled)
print(f"a student on its own reads {evaluate(loner, test).accuracy:.1%} of the test digits")

# %% [markdown]
# Too small a network, or too few labels? Keep your guess for a while.
#
# ## Dark knowledge
#
# On some digits the teacher is in two minds. What it decides is a label; what it *weighs* is more than that.

# %% tags=["demo"]
quiz("what_is_in_the_answer")

# %% tags=["demo"]
margin = answers[others].topk(2).values.diff().abs().flatten()
doubtful = others[margin.argsort()[:40:5]]  # eight images: the teacher's first and second choice are close
heard = answers[doubtful].argmax(dim=1)
show_images(pool.images[doubtful], predictions=heard, columns=8, title="The teacher hesitates: what it reads")

# %% [markdown]
# On most images it hesitates little: one class has nine tenths and more, and what is left for the others weighs little
# in a loss. So Hinton et al. divide the **logits** (the scores before the softmax) by a **temperature** $T$:
#
# $$p_c = \frac{\exp(z_c / T)}{\sum_k \exp(z_k / T)}$$
#
# $T = 1$ is the softmax you know. The warmer, the softer: small differences between the losing classes come to light.
#
# ### Exercise · Soften
# {exercise:soften}
#
# Write `soften(logits, temperature)`: the probabilities of each row at that temperature. Large logits must do no harm,
# and gradients must pass, for a student is to learn through it.


# %% solution="soften"
def soften(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities at a temperature.

    Args:
        logits: scores, [B, C].
        temperature: T > 0; 1 is the ordinary softmax.

    Returns:
        Probabilities, [B, C]; each row adds up to 1.
    """
    ### BEGIN SOLUTION
    return torch.softmax(logits / temperature, dim=-1)
    ### END SOLUTION


# %% test="soften"

# %% [markdown]
# Turn the dial: which digits does the teacher think of, and at which temperature can you see it?

# %% tags=["demo"]
TemperatureDial(answers[doubtful], pool.images[doubtful], classes=pool.classes, labels=pool.labels[doubtful])

# %% [markdown]
# Averaged over all images that the teacher reads as a 0, as a 1, and so on, its softened answers draw a map of which
# digits are alike. Nobody has told it; it is a by-product of telling them apart. The winners are left out: the picture
# shows how the rest is shared out.

# %% tags=["demo"]
winner, soft = answers.argmax(dim=1), soften(answers, 2.0)
alike = torch.stack([soft[winner == digit].mean(dim=0) for digit in range(10)]).fill_diagonal_(0)
alike = alike / alike.sum(dim=1, keepdim=True)
figure, (axis,) = picture(5.2, 4.6)
axis.imshow(alike, cmap="Blues", vmin=0)
for row, column in enumerate(alike.argmax(dim=1).tolist()):
    ink = "white" if alike[row, column] > 0.6 * alike.max() else "black"
    axis.text(column, row, f"{alike[row, column]:.0%}", ha="center", va="center", color=ink, fontsize=8)
axis.set(xticks=range(10), yticks=range(10), xlabel="also a little like", ylabel="read by the teacher as")
axis.set_title("What the teacher thinks of besides (T = 2)", loc="left", fontweight="bold")
figure

# %% tags=["demo", "prose"]
top = alike.flatten().argsort(descending=True)[:4].tolist()
pairs = ", ".join(f"{p // 10} of {p % 10} ({alike.flatten()[p]:.0%} of the rest)" for p in top)
certain = soften(answers, 1.0).amax(dim=1)
Markdown(f"""What it reads as one digit reminds it most of another: {pairs}. At temperature 1 the winner gets
{certain.mean():.0%} on average, and more than 90 % for {(certain > 0.9).float().mean():.0%} of the images; at
temperature 2 it gets {soft.amax(dim=1).mean():.0%}, and the rest can be seen. That rest is what Hinton called
**dark knowledge**.""")

# %% [markdown]
# ## The loss
#
# The student shall say what the teacher says, softened, and also get the labels right where there are any. How far two
# distributions lie apart is measured by the Kullback–Leibler divergence, here from the teacher $p$ to the student $q$,
# both at temperature $T$:
#
# $$L = \alpha \, T^2 \, \mathrm{KL}(p \,\|\, q) + (1 - \alpha)\, \mathrm{CE}(\text{labels}, q_{T=1}), \qquad
# \mathrm{KL}(p \,\|\, q) = \sum_c p_c \,(\log p_c - \log q_c)$$
#
# Why $T^2$? Look at the size of the gradient that the divergence sends to a student, at several temperatures:

# %% tags=["demo"]
quiz("without_t_squared")


# %% tags=["demo"]
def pull(temperature: float) -> float:
    """Length of the gradient of KL(teacher, student) at a student's logits, mean over 300 images."""
    ours = extract(loner, pool.images[others[:300]]).requires_grad_()
    theirs = answers[others[:300]]
    p, log_q = (theirs / temperature).softmax(1), (ours / temperature).log_softmax(1)
    (p * (p.log() - log_q)).sum().backward()
    return float(ours.grad.norm(dim=1).mean())


# %% tags=["demo"]
heats = (1, 2, 4, 8, 16)
pulls = [pull(heat) for heat in heats]
balanced = [heat**2 * found for heat, found in zip(heats, pulls, strict=True)]
figure, (axis,) = picture(6.4, 3.6)
axis.plot(heats, pulls, color=PALETTE[0], marker="o", label="KL")
axis.plot(heats, balanced, color=PALETTE[1], marker="s", label="T² · KL")
axis.set(xscale="log", yscale="log", xlabel="temperature", ylabel="mean length of the gradient")
axis.minorticks_off()
axis.set_xticks(heats, [str(heat) for heat in heats])
axis.set_title("Without T² a warm teacher is not heard", loc="left", fontweight="bold")
axis.legend(frameon=False)
figure

# %% tags=["demo", "prose"]
Markdown(f"""From T = 1 to T = 16 the plain divergence's gradient falls by a factor of {pulls[0] / pulls[-1]:.0f};
with T² it stays within a factor of {max(balanced) / min(balanced):.1f}. The labels' part has no temperature, so
without T² the balance that alpha sets would shift with every turn of the dial.""")

# %% [markdown]
# ### Exercise · The distillation loss
# {exercise:distillation_loss}
#
# Write `distillation_loss(student_logits, teacher_logits, labels, temperature, alpha)`.
#
# - alpha weighs the teacher, 1 − alpha the labels. The divergence is a mean over the *batch* (a sum over the classes).
# - The teacher is a target: no gradient reaches its logits.
# - The labels' part is the ordinary cross-entropy, at temperature 1.


# %% solution="distillation_loss"
def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float, alpha: float
) -> Tensor:
    """alpha · T² · KL(teacher ‖ student) + (1 − alpha) · cross-entropy (Hinton et al. 2015).

    Args:
        student_logits: [B, C], these learn.
        teacher_logits: [B, C], a target.
        labels: int64 [B].
        temperature: T > 0, for both sides of the divergence.
        alpha: weight of the teacher, 0 to 1.

    Returns:
        The loss, a scalar.
    """
    ### BEGIN SOLUTION
    log_student = F.log_softmax(student_logits / temperature, dim=1)
    target = F.softmax(teacher_logits.detach() / temperature, dim=1)
    soft = F.kl_div(log_student, target, reduction="batchmean")
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
    ### END SOLUTION


# %% test="distillation_loss"

# %% [markdown]
# **Look it up each time.** Published code does not agree on this loss. `F.kl_div` averages over all *elements* by
# default, so its value is too small by the number of classes; PyTorch's own documentation asks for `batchmean`. Some
# implementations leave out $T^2$ (then alpha must be chosen anew for each temperature), some put another factor before
# it (the first code of Zagoruyko and Komodakis multiplied the element mean by $2\,\alpha\,T^2$; they corrected it in
# 2018), and in some alpha is the weight of the *labels*. With ten classes and T = 4 these choices differ by a factor of up to 160 in how loud the
# teacher speaks.
#
# ## Teaching without labels
#
# If alpha is 1 the loss does not look at the labels at all. So the student can learn from images that nobody has
# labelled: the teacher answers for them. That is 897 digits instead of 100.

# %% tags=["demo"]
quiz("who_wins")

# %% [markdown]
# ### Exercise · Teach the student
# {exercise:teach_student}
#
# Write `teach_student(teacher, student, unlabelled, images, labels)` and return the student, taught.
#
# - `unlabelled` are 897 digits without labels; `images` and `labels` are the hundred that the teacher's head was fitted on.
# - On 800 digits that neither has seen, the test digits, the student should lie at most **two points** behind its teacher
#   (the check allows half a point more, for the luck of 800 digits).
# - That can be enough. For more room, the teacher also answers for images that you make: the same digits moved by a pixel or two, say.
# - The teacher does not change, neither its weights nor its BatchNorm statistics.
# - In the check the student is smaller still than the one above, and built otherwise: three convolutions, then a head.
# - `fit(student, (inputs, targets), …, loss=…)` takes any targets: its loss is called with the student's output and the targets of the
#   same images. One or two seconds of training are enough.
# - Try settings on digits that you hold back. Whoever changes them until the check passes has chosen on the exam.


# %% solution="teach_student"
def teach_student(
    teacher: nn.Module, student: nn.Module, unlabelled: Tensor, images: Tensor, labels: Tensor
) -> nn.Module:
    """Teach a small network what a large one knows.

    Args:
        teacher: images [B, 1, 32, 32] -> logits [B, 10]; stays as it is.
        student: the same, small and untrained; an `nn.Sequential` of `body` and `head`.
        unlabelled: images without labels, [U, 1, 32, 32].
        images: the labelled ones, [N, 1, 32, 32].
        labels: their digits, int64 [N].

    Returns:
        The student.
    """
    ### BEGIN SOLUTION
    every = torch.cat([unlabelled, images])
    targets = extract(teacher, every)

    def loss(ours: Tensor, theirs: Tensor) -> Tensor:
        return distillation_loss(ours, theirs, theirs.argmax(dim=1), temperature=4.0, alpha=1.0)

    fit(
        student,
        (every, targets),
        epochs=3,
        lr=3e-2,
        batch_size=40,
        loss=loss,
        schedule=lambda step, total: min(1, 5 * (step + 1) / total) * (1 - step / total),
        progress=False,
    )
    # The best head for these features need not be reached in steps: lesson 01's probe finds it.
    body = student[0]
    student[1] = linear_probe(extract(body, every), targets.argmax(dim=1), 10, l2=0.01).as_linear()
    return student
    ### END SOLUTION


# %% test="teach_student"

# %% [markdown]
# From here on your function does the teaching. First the whole picture, over two draws of the hundred labels: teacher,
# student on its own, student taught.


# %% tags=["demo"]
def teacher_of(seed: int, labels: Tensor = pool.labels) -> nn.Module:
    """glyphnet with a head for the hundred digits of a draw, labelled as `labels` says."""
    network, (labelled, _) = load_backbone("glyphnet"), draw(seed)
    network.head = linear_probe(features[labelled], labels[labelled], 10, l2=0.1).as_linear()
    return network


def pupil_of(model: nn.Module, seed: int, widths=(12, 24, 32), labels: Tensor = pool.labels) -> nn.Module:
    """A student that `model` has taught, by your function, on the unlabelled digits of a draw."""
    labelled, others = draw(seed)
    known = pool.images[labelled], labels[labelled]
    return teach_student(model, small_network(widths, seed), pool.images[others], *known)


# %% tags=["demo"]
loners = [loner, alone(small_network(seed=1), draw(1)[0], seed=1)]
teachers = [teacher_of(seed) for seed in range(2)]
pupils = [pupil_of(teachers[seed], seed) for seed in tqdm(range(2), desc="draws", leave=False)]


# %% tags=["demo"]
networks = {"teacher": teachers, "student, labels only": loners, "student, taught": pupils}
scores = {who: torch.tensor([evaluate(one, test).accuracy for one in each]) for who, each in networks.items()}
bars(
    {name: float(found.mean()) for name, found in scores.items()},
    title="Who learned from whom, a hundred labels",
    unit="accuracy on 800 test digits (mean of 2 draws)",
    percent=True,
    highlight="student, taught",
)

# %% tags=["demo", "prose"]
behind = 100 * (scores["teacher"] - scores["student, taught"])
lost = 100 * (scores["teacher"] - scores["student, labels only"])
Markdown(f"""With a fifteenth of the parameters the taught student lies **{behind.mean():.1f} points** behind its
teacher ({behind[0]:.1f} and {behind[1]:.1f} in the two draws). On its own it lies
{lost.mean():.1f} points behind: the network was never too small, the labels were too few.""")

# %% [markdown]
# And the temperature? It is a choice, made on 300 digits held back from the teaching. Over five draws the means for T = 1,
# 2, 4, 8 and 16 lay within half a point of each other, and from draw to draw each moved by more: here the temperature
# hardly matters, and who takes the best of one draw chooses by luck. We take 4, a usual choice. (All such tables: `benchmarks/results/distillation.md`.)
#
# ## What the teacher sees on the way
#
# Answers are the end of a long way. A student can also be told what the teacher sees half-way. **FitNets** (Romero et
# al. 2015) compare the feature maps of a middle layer, the *hint*. The student's map has fewer channels, so a small
# layer, the **regressor** (a 1×1 convolution), translates it; afterwards it is thrown away. Before it is used, look at
# the shapes:

# %% tags=["demo"]
places = ["body.stage1", "body.stage3"]
maps = []
for network in (teacher, loner):
    with capture(network, places, detach=True) as outputs, torch.no_grad():
        network(pool.images[:8])
    maps.append(outputs)
theirs, ours = maps
{place: (list(theirs[place].shape), list(ours[place].shape)) for place in places}

# %% [markdown]
# ### Exercise · A hint
# {exercise:hint_loss}
#
# Write `hint_loss(student_map, teacher_map, regressor)`: the mean squared difference between the teacher's map and the
# student's, once that went through the regressor. The teacher is a target; student and regressor learn. (The paper
# writes ½ ‖·‖², a sum; we take the mean over all elements, so that one learning rate fits all layers.)


# %% solution="hint_loss"
def hint_loss(student_map: Tensor, teacher_map: Tensor, regressor: nn.Module) -> Tensor:
    """Mean squared error between a translated student's map and the teacher's (FitNets, Romero et al. 2015).

    Args:
        student_map: [B, C_s, H, W].
        teacher_map: [B, C_t, H, W], a target.
        regressor: C_s -> C_t channels, a 1x1 convolution.

    Returns:
        The loss, a scalar.
    """
    ### BEGIN SOLUTION
    return F.mse_loss(regressor(student_map), teacher_map.detach())
    ### END SOLUTION


# %% test="hint_loss"

# %% [markdown]
# Copying every channel is asking much. Zagoruyko and Komodakis (2017) ask less: **where** does the teacher look? Sum
# the squares over the channels, and one number is left for each place, large where the network answers strongly. Scaled
# to length 1, these maps can be compared between networks of any width.
#
# ### Exercise · Attention
# {exercise:attention_map}
#
# Write `attention_map(feature_map)`: squares, summed over channels, each image's map laid out as one row, each row of
# length 1.


# %% solution="attention_map"
def attention_map(feature_map: Tensor) -> Tensor:
    """Where a network looks (Zagoruyko and Komodakis 2017).

    Args:
        feature_map: activations, [B, C, H, W].

    Returns:
        [B, H·W], the sum over channels of squares; each row has Euclidean length 1.
    """
    ### BEGIN SOLUTION
    energy = feature_map.square().sum(dim=1)  # [B, H, W]
    return F.normalize(energy.flatten(1), dim=1)
    ### END SOLUTION


# %% test="attention_map"

# %% [markdown]
# ### Exercise · Look where the teacher looks
# {exercise:attention_transfer_loss}
#
# Write `attention_transfer_loss(student_maps, teacher_maps)`: for each pair of layers the squared distance between the
# attention maps, summed over the places, mean over the batch; then the sum over the layers. The teacher's maps are
# targets. (The paper's formula has the plain norm, the authors' code the mean of the squares over batch *and* places:
# three losses under one name, so say which.)


# %% solution="attention_transfer_loss"
def attention_transfer_loss(student_maps: list[Tensor], teacher_maps: list[Tensor]) -> Tensor:
    """Squared distance between attention maps, summed over layers.

    Args:
        student_maps: one [B, C, H, W] a layer.
        teacher_maps: the same layers of the teacher, with the same H and W; targets.

    Returns:
        The loss, a scalar.
    """
    ### BEGIN SOLUTION
    loss = torch.zeros(())
    for ours, theirs in zip(student_maps, teacher_maps, strict=True):
        difference = attention_map(ours) - attention_map(theirs.detach())
        loss = loss + difference.square().sum(dim=1).mean()
    return loss
    ### END SOLUTION


# %% test="attention_transfer_loss"

# %% [markdown]
# Where do teacher and student look? Both were made for the same digits; the student learned on its own.

# %% tags=["demo"]
rows = [pool.images[:8, 0]] + [attention_map(one["body.stage1"]).view(8, 8, 8) for one in maps]
figure, axes = picture(8.0, 3.5, 3, 8, pad=0.03)
for i, axis in enumerate(axes):
    axis.imshow(rows[i // 8][i % 8], cmap="Greys" if i < 8 else "viridis")
    axis.set(xticks=[], yticks=[])
for axis, name in zip(axes[::8], ("image", "teacher", "student"), strict=True):
    axis.set_ylabel(name)
title = "After stage 1: bright is where the network answers strongly"
figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
figure

# %% [markdown]
# Does it help? With hundreds of images the answers alone are nearly enough, so we make it hard: only **60** unlabelled images,
# three draws. And we ask what doubts are worth: the teacher's **hard** answers (its most probable digit, as if it were a
# label) against its **soft** ones. (FitNets are trained in two stages, the hint first and then the answers; with both at
# once the authors' deep, thin networks failed to learn. Ours are shallow, so we add the losses.) The weights, 1 for the
# hint and for attention, were tried out on digits held back. About ten seconds.


# %% tags=["demo"]
def before_teaching(where: Tensor, seed: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """A student with a regressor, untrained, and what the teacher sees of its images after stages 1 and 3."""
    student = small_network(seed=seed)
    student.regressor = nn.Conv2d(12, 48, 1)  # a part of the student, so that it learns too
    student.forward = lambda images: student.head(student.body(images))
    with capture(teacher, places, detach=True) as theirs, torch.no_grad():
        teacher(pool.images[where])
    return student, theirs


# %% tags=["demo"]
def without_doubt(logits: Tensor) -> Tensor:
    """Logits of a teacher that names the same digits and never hesitates."""
    return 20 * F.one_hot(logits.argmax(dim=1), 10).float()


told = [extract(teacher_of(seed).head, features) for seed in range(3)]  # logits of three teachers


def from_sixty(kind: str, seed: int, student: nn.Module, theirs: dict[str, Tensor]) -> float:
    """Test accuracy after 60 images: answers and, on top, hints or attention after stages 1 and 3."""
    where, heat = draw(seed)[1][:60], 1.0 if kind == "hard answers" else 4.0
    targets = (without_doubt(told[seed]) if kind == "hard answers" else told[seed])[where]
    with capture(student, places) as ours:

        def loss(logits: Tensor, index: Tensor) -> Tensor:
            answer = targets[index]
            value = distillation_loss(logits, answer, answer.argmax(dim=1), heat, alpha=1.0)
            if kind == "soft answers + hint":
                value = value + hint_loss(ours[places[0]], theirs[places[0]][index], student.regressor)
            if kind == "soft answers + attention":
                pairs = [(ours[place], theirs[place][index]) for place in places]
                value = value + attention_transfer_loss(*zip(*pairs, strict=True))
            return value

        data = (pool.images[where], torch.arange(len(where)))  # the "label" of an image is its number
        settings = {"epochs": 30, "lr": 5e-3, "batch_size": 30, "schedule": falling, "progress": False}
        fit(student, data, loss=loss, seed=seed, **settings)
    return evaluate(student, test).accuracy


# %% tags=["demo"]
kinds = ("hard answers", "soft answers", "soft answers + hint", "soft answers + attention")
jobs = [(kind, seed, *before_teaching(draw(seed)[1][:60], seed)) for kind, seed in product(kinds, range(3))]
found = parallel_map(from_sixty, jobs, "students")
few = dict(zip(kinds, torch.tensor(found).view(-1, 3), strict=True))
bars(
    {kind: float(found.mean()) for kind, found in few.items()},
    spread={kind: float(found.std()) for kind, found in few.items()},
    title="A teacher and sixty unlabelled images",
    unit="accuracy on 800 test digits (mean ± spread of 3 draws)",
    percent=True,
)

# %% tags=["demo", "prose"]
gain = {kind: 100 * (found - few["soft answers"]) for kind, found in few.items()}
doubts = -gain["hard answers"]
more = {kind: gain[f"soft answers + {kind}"] for kind in ("hint", "attention")}
said = ", ".join(f"{kind} {found.mean():+.1f} ± {found.std():.1f} points" for kind, found in more.items())
Markdown(f"""Here soft answers differ from hard ones by **{doubts.mean():+.1f} ± {doubts.std():.1f} points**: each of them
says more than one word, and there are few. What the teacher sees on the way, on top of soft answers:
{said}. Read this with its spread: three draws settle differences of several points, not of one.""")

# %% [markdown]
# On the digits held back, over five draws of 60 images, soft answers alone came to 81.7 %, with a hint of weight 0.1, 1 or
# 10 to 82.4, 82.9 and 82.0 %, with attention of weight 1 to 82.7 %; single draws lay up to eight points from these means.
# That proves no gain, nor any weight the best. Too much does harm: attention at weights 10 and 100 came to 70.5 and 44.9 %.
#
# ## What compression saves
#
# "A fifteenth of the size" was about parameters. A device may care about something else: bytes to store,
# multiplications to make, or seconds to wait.
#
# ### Exercise · A compression report
# {exercise:compression_report}
#
# Write `compression_report(teacher, student, example)`. It returns `{"teacher": {...}, "student": {...}}`, each with
#
# - `"parameters"`: how many, frozen ones included;
# - `"bytes"`: of all parameters and buffers;
# - `"multiply_adds"`: of all `nn.Conv2d` and `nn.Linear` layers, biases left out, for **one** image of the size of those in `example`;
# - `"seconds"`: for one pass of the whole batch `example`, the median of a few, after a first one to warm up.
#
# Measure in evaluation mode without a graph, and leave both networks as you found them, every layer in the mode it had.


# %% solution="compression_report"
def compression_report(
    teacher: nn.Module, student: nn.Module, example: Tensor
) -> dict[str, dict[str, float]]:
    """Four sizes of two networks.

    Args:
        teacher, student: networks that take `example`.
        example: a batch of images, [B, C, H, W].

    Returns:
        For "teacher" and "student": parameters, bytes, multiply_adds (one image), seconds (one pass of the batch).
    """

    ### BEGIN SOLUTION
    def measure(model: nn.Module) -> dict[str, float]:
        adds, times, modes = [], [], [(module, module.training) for module in model.modules()]

        def count(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
            adds.append(layer.weight.numel() * output[0].numel() // layer.weight.shape[0])

        layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        model.eval()
        with torch.no_grad():
            model(example)  # warms up, and counts
            for hook in hooks:
                hook.remove()
            for _ in range(7):
                start = time.perf_counter()
                model(example)
                times.append(time.perf_counter() - start)
        for module, mode in modes:
            module.training = mode
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "bytes": sum(v.numel() * v.element_size() for v in [*model.parameters(), *model.buffers()]),
            "multiply_adds": sum(adds),
            "seconds": sorted(times)[3],
        }

    return {"teacher": measure(teacher), "student": measure(student)}
    ### END SOLUTION


# %% test="compression_report"

# %% [markdown]
# With it we draw the frontier: thinner and thinner students, each on its own and each taught. The times are for 64
# images on one core. One run each, a few seconds.


# %% tags=["demo"]
def sizes_of(student: nn.Module) -> dict[str, dict[str, float]]:
    """Your report on teacher and student, on one core; the fastest of five, for other programs take time away."""
    with one_thread():
        reports = [compression_report(teacher, student, test.images[:64]) for _ in range(5)]
    return {who: min((report[who] for report in reports), key=lambda one: one["seconds"]) for who in reports[0]}


def on_the_frontier(pupil: nn.Module, single: nn.Module) -> dict[str, float]:
    """Sizes of a student, and the test accuracy of it, taught, and of `single`, which was not."""
    reads = {"taught": evaluate(pupil, test).accuracy, "alone": evaluate(single, test).accuracy}
    return sizes_of(pupil)["student"] | reads


# %% tags=["demo"]
both = sizes_of(loner)
big = both["teacher"] | {"taught": float(scores["teacher"][0])}
thinner = ((4, 8, 12), (8, 16, 24))
singles = parallel_map(alone, [(small_network(widths), labelled) for widths in thinner])
taught = [pupil_of(teacher, 0, widths) for widths in tqdm(thinner, desc="pupils", leave=False)]
frontier = [on_the_frontier(*pair) for pair in zip([*taught, pupils[0]], [*singles, loner], strict=True)]
ours = frontier[-1]


# %% tags=["demo"]
figure, (left, right) = picture(9.2, 3.9, 1, 2)
for axis, key, scale in ((left, "parameters", 1), (right, "seconds", 1000)):
    sizes = [scale * one[key] for one in frontier]
    for name, colour, marker in (("taught", PALETTE[1], "o"), ("alone", PALETTE[0], "s")):
        axis.plot(sizes, [one[name] for one in frontier], color=colour, marker=marker, label=name)
    axis.plot([scale * big[key]], [big["taught"]], "D", color="black", label="teacher")
    axis.set_ylabel("accuracy on 800 test digits")
    axis.set_title(f"Accuracy against {key}", loc="left", fontweight="bold")
    axis.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
left.legend(frameon=False, loc="lower right")
left.set(xscale="log", xlabel="parameters (log scale)")
right.set(xlim=(0, None), xlabel="milliseconds for 64 images, one core")
figure

# %% tags=["demo", "prose"]
saved = {key: big[key] / ours[key] for key in ("parameters", "bytes", "multiply_adds", "seconds")}
slower = frontier[0]["seconds"] > 1.1 * frontier[1]["seconds"]
odd = " (Thinner need not be faster: with four channels most of what a processor can do at once is idle.)" if slower else ""
Markdown(f"""The student of this lesson is {saved["parameters"]:.0f} times smaller in parameters and
{saved["bytes"]:.0f} times in bytes, needs {saved["multiply_adds"]:.0f} times fewer multiply-adds, and is
**{saved["seconds"]:.1f} times faster** on this machine: small layers do not use a processor well, and each layer
costs a little just for being called.{odd} The smallest one, with {frontier[0]["parameters"]:,} parameters, still reads
{frontier[0]["taught"]:.1%} when taught, and {frontier[0]["alone"]:.1%} on its own.""")

# %% [markdown]
# ## Students become teachers
#
# Furlanello et al. (2018) took teacher and student of the *same* size, let the student teach the next one, and so on:
# *born-again networks*. Ours begin with the loner, which knows a hundred labels; each generation teaches the next, by
# your function.

# %% tags=["demo"]
quiz("generations")


# %% tags=["demo"]
family, known = [loner], (pool.images[labelled], pool.labels[labelled])
for generation in tqdm((1, 2), desc="generations", leave=False):
    child = small_network(seed=generation)
    family.append(teach_student(family[-1], child, pool.images[others], *known))
line = [evaluate(network, test).accuracy for network in family]
print("from generation to generation: " + "  ->  ".join(f"{accuracy:.1%}" for accuracy in line))

# %% tags=["demo", "prose"]
change = 100 * torch.tensor(line).diff()
Markdown(f"""From one generation to the next accuracy changes by {" and ".join(f"{step:+.1f}" for step in change)} points.
No new fact about digits enters; a child sees {len(others)} images more, but all it hears about them is what its parent would have said. On these images the teacher of this lesson
lifted the same network to {ours["taught"]:.1%}; it knew something to pass on.""")

# %% [markdown]
# ## When the teacher is wrong
#
# Everything so far rested on a good teacher. Now someone made a mistake: in the teacher's hundred labels every **7** is
# called a **1**.

# %% tags=["demo"]
quiz("wrong_teacher")

# %% tags=["demo"]
faulty = torch.where(pool.labels == 7, 1, pool.labels)
misled = linear_probe(features[labelled], faulty[labelled], 10, l2=0.1)
heir = pupil_of(teacher_of(0, labels=faulty), 0, labels=faulty)
read = {"teacher": misled.predict(test_features), "student": extract(heir, test.images).argmax(dim=1)}
sevens = test.labels == 7
for name, digits in read.items():
    as_one, as_seven = ((digits[sevens] == digit).float().mean() for digit in (1, 7))
    rest_right = (digits == test.labels)[~sevens].float().mean()
    print(
        f"{name}: sevens read as 1: {as_one:.0%}, as 7: {as_seven:.0%}; other digits right: {rest_right:.1%}"
    )

# %% tags=["demo"]
sure = soften(misled.logits(test_features), 1.0).amax(dim=1)
figure, (axis,) = picture(7.0, 3.4)
for i, (name, digits) in enumerate(read.items()):
    shares = [(digits == test.labels)[test.labels == digit].float().mean() for digit in range(10)]
    places_at = [digit + 0.4 * i - 0.2 for digit in range(10)]
    axis.bar(places_at, shares, width=0.36, color=PALETTE[i], label=name, hatch=("", "//")[i])
axis.set(xticks=range(10), xlabel="digit", ylabel="share read right")
axis.set_title("A fault is inherited in full", loc="left", fontweight="bold")
axis.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
figure

# %% tags=["demo", "prose"]
agree = (read["teacher"] == read["student"]).float().mean()
Markdown(f"""The student agrees with its teacher on **{agree:.1%}** of the test digits, sevens included. And nothing
warns it: on sevens the teacher gives its wrong answer {sure[sevens].mean():.0%} on average, on the other digits
{sure[~sevens].mean():.0%}. Distillation passes on what a teacher *says*. Whether that is true can only be seen with
labels of one's own, class by class: a few dozen are enough to notice this fault.""")

# %% [markdown]
# ### Question · The sceptical colleague
# {exercise:why_soft}
#
# A colleague distils a large network into a small one on the *same, fully labelled* training images that the teacher
# was trained on. The teacher is right, and more than 99.9 % certain, on every one of them. With T = 1 and alpha = 0.9
# the student gets no better than with labels alone. "So there is no dark knowledge," the colleague says, raises T to
# 10, forgets T², and again sees no difference.
#
# In about six sentences: why did the first experiment show nothing, why did the second, and which two changes would you
# propose? Name one case where even then the teacher cannot help.

# %% [markdown] written="why_soft" points=4
# **Model answer.** At T = 1 a teacher that is 99.9 % certain says almost exactly what the label says: its soft answers
# are the labels again, and what it thinks of the other classes has hardly any weight in the divergence or its gradient.
# Raising T brings those ratios to light, but gradients of the divergence shrink about as 1/T², here to a hundredth;
# beside 0.1 times the labels' loss the soft part is not heard, whatever alpha says. So: put T² before the divergence
# (and T at 2 to 10, chosen on validation data), and let the teacher answer on images where it has something to say
# beyond the labels: unlabelled, held out or strongly augmented ones, where it is less certain and the student has no
# label. It cannot help where it is wrong itself, or where the student lacks nothing: labels are plenty and the small
# network already reaches the teacher.
#
# **Mark scheme (4 points).**
# - 1: at T = 1 a certain teacher's answer equals the label, nothing is added.
# - 1: without T² the gradient of the soft part falls as 1/T², so the labels' part drowns it.
# - 1: two sound changes: the factor T², and either a suitable temperature or other images (unlabelled, augmented, held out).
# - 1: a case where it does not help: a wrong or overconfident teacher, or a student with labels enough.
#
# Accept any order and wording. "Use a larger student" or "train longer" alone earns nothing.

# %% [markdown]
# ## Limits
#
# - Ten classes leave little to be said between them. With a thousand classes soft answers hold more, and temperature matters more.
# - Our unlabelled images come from the same writers. If they came from elsewhere, the teacher's answers would be worse just where they are needed:
#   lesson 03.
# - A teacher trained with label smoothing is more accurate, and may teach *worse*: smoothing erases what tells the wrong classes apart
#   (Müller et al. 2019).
# - We trained for seconds. Beyer et al. (2022) found that teacher and student should see the *same* crop of each image, strongly augmented, and for
#   very long: "patient and consistent" teaching.
# - Two or three draws show which differences are large, not those of a point.

# %% [markdown]
# ## With real photos
#
# The same functions: SqueezeNet, trained on ImageNet, gets a head for ants and bees (244 photos) and answers for them;
# a small network that has never seen a photo learns at 64 pixels from the labels, or from the teacher's softened
# answers on the photos and their mirror images. It needs 47 MB of photos and 5 MB of weights. Where they are not on
# your machine the cells say so and do nothing.

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
def rows_of(network: nn.Module, photos) -> Tensor:
    """Features [N, D] of photos on disk, opened 32 at a time."""
    lots = torch.arange(len(photos)).split(32)
    look = network.transform
    return torch.cat(
        [extract(network.body, torch.stack([look(photos.open(int(i))) for i in lot])) for lot in lots]
    )


# %% tags=["demo"]
if with_photos:
    squeezenet = load_backbone("squeezenet1_0")
    train_photos, val_photos = ants_and_bees()
    train_rows, val_rows = rows_of(squeezenet, train_photos), rows_of(squeezenet, val_photos)
    insects = linear_probe(train_rows, train_photos.labels, 2, l2=0.1)
    print(f"teacher: {insects.accuracy(val_rows, val_photos.labels):.1%} of {len(val_photos)} photos right")
else:
    print("Skipped. Everything above needed no download.")


# %% tags=["demo"]
def thin(seed: int) -> nn.Module:
    """A small network for photos of 64 pixels, untrained."""
    set_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 16, 5, 4, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1))
    return nn.Sequential(
        body, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3), nn.Linear(512, 2)
    )


def from_answers(ours: Tensor, theirs: Tensor) -> Tensor:
    unused = torch.zeros(len(ours), dtype=torch.int64)  # alpha is 1: labels do not count
    return distillation_loss(ours, theirs, unused, temperature=4.0, alpha=1.0)


# %% tags=["demo"]
if with_photos:
    small = [photos.tensor(squeezenet.transform.at(64)) for photos in (train_photos, val_photos)]
    seen = torch.cat([small[0], small[0].flip(3)])
    told = {"labels": (train_photos.labels, None), "answers": (insects.logits(train_rows), from_answers)}
    for name, (targets, loss) in told.items():
        right = []
        for seed in range(3):
            pupil, data = thin(seed), (seen, torch.cat([targets, targets]))
            fit(pupil, data, epochs=20, lr=2e-3, loss=loss, schedule=falling, seed=seed, progress=False)
            right.append(evaluate(pupil, (small[1], val_photos.labels)).accuracy)
        print(f"small network from {name}: " + ", ".join(f"{share:.1%}" for share in right))

# %% [markdown]
# ## References
#
# - C. Buciluă, R. Caruana and A. Niculescu-Mizil, *Model compression*, KDD 2006.
# - G. Hinton, O. Vinyals and J. Dean, *Distilling the knowledge in a neural network*, NIPS Deep Learning and Representation Learning Workshop 2014,
#   arXiv:1503.02531, 2015.
# - A. Romero, N. Ballas, S. E. Kahou, A. Chassang, C. Gatta and Y. Bengio, *FitNets: hints for thin deep nets*, ICLR 2015.
# - S. Zagoruyko and N. Komodakis, *Paying more attention to attention: improving the performance of convolutional neural networks via attention
#   transfer*, ICLR 2017.
# - T. Furlanello, Z. C. Lipton, M. Tschannen, L. Itti and A. Anandkumar, *Born again neural networks*, ICML 2018.
# - R. Müller, S. Kornblith and G. Hinton, *When does label smoothing help?*, NeurIPS 2019.
# - L. Beyer, X. Zhai, A. Royer, L. Markeeva, R. Anil and A. Kolesnikov, *Knowledge distillation: a good teacher is patient and consistent*,
#   CVPR 2022.
#
# **Next:** part II of the course asks which source, and which model, to transfer from.

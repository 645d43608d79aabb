"""Other right answers and known wrong ones for lesson 04. Never released."""

import math
import time
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import accept, alternative, misconception, right

# --- soften -----------------------------------------------------------------------------------------------


@alternative("soften", "through log_softmax")
def _(logits, temperature):
    return F.log_softmax(logits.div(temperature), dim=-1).exp()


@alternative("soften", "by hand, the largest logit subtracted")
def _(logits, temperature):
    scaled = (logits - logits.max(dim=-1, keepdim=True).values) / temperature
    powers = scaled.exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@misconception(
    "soften",
    "multiplies",
    hint="You multiply by the temperature, so heat *sharpens*. Dividing brings the logits closer together, and that is "
    "what softens.",
)
def _(logits, temperature):
    return torch.softmax(logits * temperature, dim=-1)


@misconception(
    "soften",
    "after_softmax",
    hint="The temperature came too late: you divide probabilities, which then no longer add up to 1. It has to divide "
    "the logits, before the softmax.",
)
def _(logits, temperature):
    return torch.softmax(logits, dim=-1) / temperature


@misconception(
    "soften",
    "probabilities_again",
    hint="You take the softmax of probabilities. They lie between 0 and 1, so a second softmax makes them all nearly "
    "equal, at any temperature; start from the logits.",
)
def _(logits, temperature):
    return torch.softmax(torch.softmax(logits, dim=-1) / temperature, dim=-1)


@misconception(
    "soften",
    "over_the_batch",
    hint="Your columns add up to 1, not your rows: the softmax went over the images of the batch. It belongs over the "
    "classes, the last dimension.",
)
def _(logits, temperature):
    return torch.softmax(logits / temperature, dim=0)


@misconception(
    "soften",
    "ignores_temperature",
    hint="The temperature changes nothing: what you return is the ordinary softmax, whatever T is. It divides the logits.",
)
def _(logits, temperature):
    return torch.softmax(logits, dim=-1)


@misconception(
    "soften",
    "log_probabilities",
    hint="These are *log*-probabilities: negative, and not adding up to 1. They will be handy in the next exercise; here "
    "probabilities are asked for.",
)
def _(logits, temperature):
    return torch.log_softmax(logits / temperature, dim=-1)


@misconception(
    "soften",
    "overflow",
    hint="exp of a large logit is infinite, and infinity divided by infinity is NaN. Subtract the largest logit of each "
    "row first, or let `torch.softmax` do it.",
)
def _(logits, temperature):
    powers = (logits / temperature).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


# --- distillation_loss ------------------------------------------------------------------------------------


def _kl(student, teacher, temperature, reduction="batchmean"):
    soft = F.softmax(teacher.detach() / temperature, dim=1)
    return F.kl_div(F.log_softmax(student / temperature, dim=1), soft, reduction=reduction)


@alternative("distillation_loss", "the divergence written out, the labels' loss by gather")
def _(student_logits, teacher_logits, labels, temperature, alpha):
    log_p = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_q = F.log_softmax(student_logits / temperature, dim=1)
    soft = (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()
    hard = -F.log_softmax(student_logits, dim=1).gather(1, labels[:, None]).mean()
    return alpha * temperature**2 * soft + (1 - alpha) * hard


@alternative("distillation_loss", "cross-entropy with soft targets, less the teacher's entropy")
def _(student_logits, teacher_logits, labels, temperature, alpha):
    with torch.no_grad():
        target = torch.softmax(teacher_logits / temperature, dim=1)
        entropy = torch.special.entr(target).sum(dim=1).mean()
    soft = F.cross_entropy(student_logits / temperature, target) - entropy
    return (1 - alpha) * F.cross_entropy(student_logits, labels) + alpha * soft * temperature * temperature


@alternative("distillation_loss", "torch.distributions")
def _(student_logits, teacher_logits, labels, temperature, alpha):
    from torch.distributions import Categorical, kl_divergence

    teacher = Categorical(logits=teacher_logits.detach() / temperature)
    apart = kl_divergence(teacher, Categorical(logits=student_logits / temperature)).mean()
    hard = F.nll_loss(F.log_softmax(student_logits, dim=1), labels)
    return torch.lerp(hard, temperature**2 * apart, alpha)


accept("distillation_loss", rtol=1e-4, atol=1e-5)


@misconception(
    "distillation_loss",
    "no_t_squared",
    hint="The factor T² is missing. Gradients of the soft part shrink about as 1/T²; without it a warmer teacher is "
    "simply a teacher nobody hears beside the labels.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    hard = F.cross_entropy(student_logits, labels)
    return alpha * _kl(student_logits, teacher_logits, temperature) + (1 - alpha) * hard


@misconception(
    "distillation_loss",
    "t_once",
    hint="You multiply by T, but the gradient shrinks as 1/T²: one factor from dividing the student's logits, another "
    "because the two warm distributions move closer together. It takes T².",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature * _kl(student_logits, teacher_logits, temperature) + (1 - alpha) * hard


@misconception(
    "distillation_loss",
    "t_squared_on_both",
    hint="T² multiplies the whole sum. It makes up for the temperature of the soft part; the labels' loss has no "
    "temperature, and needs no making up.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    hard = F.cross_entropy(student_logits, labels)
    return temperature**2 * (alpha * _kl(student_logits, teacher_logits, temperature) + (1 - alpha) * hard)


@misconception(
    "distillation_loss",
    "kl_reversed",
    hint="Your divergence runs from student to teacher, KL(student ‖ teacher). We want KL(teacher ‖ student): the "
    "teacher's probabilities weigh the differences. In `F.kl_div` the target is the second argument.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    soft = F.kl_div(teacher, F.softmax(student_logits / temperature, dim=1), reduction="batchmean")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "softmax_as_input",
    hint="`F.kl_div` wants *log*-probabilities as its first argument and does not notice when it gets probabilities; the "
    "result is no divergence (see: it is not 0 when both agree). Use `F.log_softmax` for the student.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    student = F.softmax(student_logits / temperature, dim=1)
    soft = F.kl_div(student, F.softmax(teacher_logits.detach() / temperature, dim=1), reduction="batchmean")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "mean_over_elements",
    hint="Your soft part is a mean over all elements (images times classes), which is too small by the number of "
    "classes. It is `F.kl_div`'s default; a divergence sums over classes: `reduction='batchmean'`.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = _kl(student_logits, teacher_logits, temperature, "none").mean()
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "sum_over_batch",
    hint="Your soft part grows with the batch: it is a sum over the images. Take the mean, so that the loss, and with it "
    "the learning rate, does not depend on the batch size.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = _kl(student_logits, teacher_logits, temperature, "sum")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "alpha_swapped",
    hint="alpha and 1 − alpha have changed places: here alpha is the weight of the *teacher*. Papers and libraries do not "
    "agree on this, so look it up each time.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = temperature**2 * _kl(student_logits, teacher_logits, temperature)
    return (1 - alpha) * soft + alpha * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "only_teacher_warm",
    hint="Only the teacher's logits are divided by T. The student then tries to *say* a softened answer at temperature 1; "
    "both have to be looked at through the same temperature.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = _kl(student_logits * temperature, teacher_logits, temperature)
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "only_student_warm",
    hint="Only the student's logits are divided by T, the teacher stays at temperature 1: its doubts, the very thing to be "
    "learned, are not softened out. Divide both.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = _kl(student_logits, teacher_logits * temperature, temperature)
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "warm_labels",
    hint="The labels' part is computed on softened logits. It is the ordinary cross-entropy, at temperature 1: that is how "
    "the student will be used.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = temperature**2 * _kl(student_logits, teacher_logits, temperature)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits / temperature, labels)


@misconception(
    "distillation_loss",
    "softmax_into_cross_entropy",
    hint="`F.cross_entropy` gets probabilities here, and takes the softmax a second time. It wants logits, as they come "
    "out of the network.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = temperature**2 * _kl(student_logits, teacher_logits, temperature)
    return alpha * soft + (1 - alpha) * F.cross_entropy(F.softmax(student_logits, dim=1), labels)


@misconception(
    "distillation_loss",
    "soft_cross_entropy",
    hint="This is the cross-entropy with the teacher's probabilities. It differs from the divergence by the teacher's "
    "entropy: the same gradients, but a student who agrees fully does not get 0. Asked for is KL.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    target = F.softmax(teacher_logits.detach() / temperature, dim=1)
    soft = temperature**2 * F.cross_entropy(student_logits / temperature, target)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "squared_logits",
    hint="You compare logits by their squared difference. For very high T that is where distillation tends to (Hinton et "
    "al., section 2.1), but here the divergence of the softened answers is asked for.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = F.mse_loss(student_logits, teacher_logits.detach())
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "teacher_not_detached",
    hint="The value is right, but the teacher gets gradients too: it would be pulled towards its student. Cut its logits off "
    "with `.detach()`.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    target = F.softmax(teacher_logits / temperature, dim=1)
    soft = F.kl_div(F.log_softmax(student_logits / temperature, dim=1), target, reduction="batchmean")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


@misconception(
    "distillation_loss",
    "student_detached",
    hint="No gradient of the soft part reaches the student: you detached its logits as well, or computed the divergence "
    "under `no_grad`. Only the teacher is a fixed target.",
)
def _(student_logits, teacher_logits, labels, temperature, alpha):
    soft = temperature**2 * _kl(student_logits.detach(), teacher_logits, temperature)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


# --- hint_loss --------------------------------------------------------------------------------------------


@alternative("hint_loss", "written out")
def _(student_map, teacher_map, regressor):
    difference = regressor(student_map) - teacher_map.detach()
    return difference.pow(2).mean()


@alternative("hint_loss", "the teacher's map taken under no_grad, sum over count")
def _(student_map, teacher_map, regressor):
    with torch.no_grad():
        target = teacher_map.clone()
    return nn.MSELoss(reduction="sum")(regressor(student_map), target) / target.numel()


@misconception(
    "hint_loss",
    "teacher_not_detached",
    hint="The teacher's map gets a gradient: teacher and student would meet halfway, and the teacher forget what it knows. "
    "It is a target; detach it.",
)
def _(student_map, teacher_map, regressor):
    return F.mse_loss(regressor(student_map), teacher_map)


@misconception(
    "hint_loss",
    "wrong_one_detached",
    hint="You detached the student's map, so nothing below it can learn; only the regressor does. The one to detach is the "
    "teacher's.",
)
def _(student_map, teacher_map, regressor):
    return F.mse_loss(regressor(student_map.detach()), teacher_map.detach())


@misconception(
    "hint_loss",
    "regressor_detached",
    hint="The regressor gets no gradient: its weights are held fixed, or another layer was used in its place. Student and "
    "regressor learn together.",
)
def _(student_map, teacher_map, regressor):
    translated = F.conv2d(student_map, regressor.weight.detach(), regressor.bias.detach())
    return F.mse_loss(translated, teacher_map.detach())


@misconception(
    "hint_loss",
    "nothing_learns",
    hint="The value is computed, but no gradient arrives anywhere: the graph is cut, by `no_grad`, `detach` or `item`. Only "
    "the teacher's map is cut off.",
)
def _(student_map, teacher_map, regressor):
    with torch.no_grad():
        return F.mse_loss(regressor(student_map), teacher_map)


@misconception(
    "hint_loss",
    "summed",
    hint="You sum the squares instead of taking their mean, so the loss grows with the batch and the size of the map. "
    "(The paper sums, with a factor ½; the mean keeps one learning rate usable for all layers.)",
)
def _(student_map, teacher_map, regressor):
    return F.mse_loss(regressor(student_map), teacher_map.detach(), reduction="sum")


@misconception(
    "hint_loss",
    "half",
    hint="There is a factor ½ too many. The paper's formula (its equation 3) has one, for a nicer derivative; here it is "
    "the plain mean squared error.",
)
def _(student_map, teacher_map, regressor):
    return 0.5 * F.mse_loss(regressor(student_map), teacher_map.detach())


@misconception(
    "hint_loss",
    "absolute",
    hint="That is the mean *absolute* difference. Squares are asked for: they make large errors urgent and small ones "
    "unimportant.",
)
def _(student_map, teacher_map, regressor):
    return F.l1_loss(regressor(student_map), teacher_map.detach())


@misconception(
    "hint_loss",
    "root",
    hint="You took the square root of the mean squared error. Without the root the gradient shrinks as the student comes "
    "near; with it the loss has no gradient at all at 0.",
)
def _(student_map, teacher_map, regressor):
    return F.mse_loss(regressor(student_map), teacher_map.detach()).sqrt()


@misconception(
    "hint_loss",
    "pooled",
    hint="You average over the places of the map before comparing. Then the student may see things in the wrong place; "
    "compare the maps position by position.",
)
def _(student_map, teacher_map, regressor):
    return F.mse_loss(regressor(student_map).mean(dim=(2, 3)), teacher_map.detach().mean(dim=(2, 3)))


# --- attention_map ----------------------------------------------------------------------------------------


@alternative("attention_map", "by the mean over channels, each row divided by its norm")
def _(feature_map):
    rows = feature_map.pow(2).mean(1).reshape(len(feature_map), -1)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-12)


@alternative("attention_map", "with einsum")
def _(feature_map):
    energy = torch.einsum("bchw,bchw->bhw", feature_map, feature_map)
    return F.normalize(energy.flatten(start_dim=1), p=2.0, dim=-1)


@misconception(
    "attention_map",
    "absolute",
    hint="You sum absolute values, which the paper tries too (p = 1); here squares are asked for (p = 2). Squares put more "
    "weight on places where one channel answers strongly.",
)
def _(feature_map):
    return F.normalize(feature_map.abs().sum(dim=1).flatten(1), dim=1)


@misconception(
    "attention_map",
    "square_of_sum",
    hint="You add the channels first and square afterwards. Positive and negative answers cancel that way, and a busy place "
    "can look empty: square each channel, then add.",
)
def _(feature_map):
    return F.normalize(feature_map.sum(dim=1).square().flatten(1), dim=1)


@misconception(
    "attention_map",
    "over_the_batch",
    hint="You normalise over the images of the batch: each *place* has length 1, not each image. The map of an image must "
    "not depend on its neighbours; normalise over dimension 1 of the rows.",
)
def _(feature_map):
    return F.normalize(feature_map.square().sum(dim=1).flatten(1), dim=0)


@misconception(
    "attention_map",
    "whole_batch_norm",
    hint="You divide by one norm for the whole batch, so bright images count more than faint ones. Each image's row has a "
    "norm of its own.",
)
def _(feature_map):
    rows = feature_map.square().sum(dim=1).flatten(1)
    return rows / rows.norm()


@misconception(
    "attention_map",
    "sums_to_one",
    hint="Your rows *sum* to 1. Asked for is length 1, the square root of the sum of squares (p = 2 in `F.normalize`).",
)
def _(feature_map):
    rows = feature_map.square().sum(dim=1).flatten(1)
    return rows / rows.sum(dim=1, keepdim=True)


@misconception(
    "attention_map",
    "not_normalised",
    hint="The rows are not normalised. A teacher with larger activations would then differ from its student everywhere, "
    "whatever they look at.",
)
def _(feature_map):
    return feature_map.square().sum(dim=1).flatten(1)


@misconception(
    "attention_map",
    "over_places",
    hint="You sum over the places and keep the channels. That says *what* the network sees; attention asks *where*: sum over "
    "the channels, dimension 1.",
)
def _(feature_map):
    return F.normalize(feature_map.square().sum(dim=(2, 3)), dim=1)


@misconception(
    "attention_map",
    "softmax",
    hint="A softmax over the places is another kind of attention, the one of transformers. Here the map is only scaled to "
    "length 1.",
)
def _(feature_map):
    return feature_map.square().sum(dim=1).flatten(1).softmax(dim=1)


@misconception(
    "attention_map",
    "not_flat",
    hint="The values are right, the shape is not: lay each image's map out as one row, [B, H·W], as the docstring says.",
)
def _(feature_map):
    rows = F.normalize(feature_map.square().sum(dim=1).flatten(1), dim=1)
    return rows.view(len(feature_map), *feature_map.shape[2:])


@misconception(
    "attention_map",
    "rows_of_the_picture",
    hint="You normalise along the last dimension of the map before it is flat: every row of *pixels* has length 1, and "
    "empty rows shout as loud as full ones. Flatten first.",
)
def _(feature_map):
    return F.normalize(feature_map.square().sum(dim=1), dim=-1).flatten(1)


# --- attention_transfer_loss ------------------------------------------------------------------------------


@alternative("attention_transfer_loss", "through 2 - 2 cos, as the maps have length 1")
def _(student_maps, teacher_maps):
    total = torch.zeros(())
    for ours, theirs in zip(student_maps, teacher_maps, strict=True):
        cosine = (right("attention_map")(ours) * right("attention_map")(theirs).detach()).sum(dim=1)
        total = total + (2 - 2 * cosine).mean()
    return total


@alternative("attention_transfer_loss", "mse_loss with sums, divided by the batch")
def _(student_maps, teacher_maps):
    losses = []
    for i in range(len(student_maps)):
        with torch.no_grad():
            target = right("attention_map")(teacher_maps[i])
        losses.append(
            F.mse_loss(right("attention_map")(student_maps[i]), target, reduction="sum") / len(target)
        )
    return torch.stack(losses).sum()


accept("attention_transfer_loss", rtol=1e-4, atol=1e-5)


def _pairs(student_maps, teacher_maps):
    attend = right("attention_map")
    return [(attend(s), attend(t.detach())) for s, t in zip(student_maps, teacher_maps, strict=True)]


@misconception(
    "attention_transfer_loss",
    "teacher_not_detached",
    hint="The teacher's layers get gradients: it would learn to look where its student looks. Detach its maps.",
)
def _(student_maps, teacher_maps):
    attend = right("attention_map")
    pairs = zip(student_maps, teacher_maps, strict=True)
    return sum((attend(s) - attend(t)).square().sum(dim=1).mean() for s, t in pairs)


@misconception(
    "attention_transfer_loss",
    "mean_over_places",
    hint="You take the mean over the places as well, so a large map counts for less than a small one. The authors' own code "
    "does that; their formula, and this exercise, sum over the places.",
)
def _(student_maps, teacher_maps):
    return sum(F.mse_loss(s, t) for s, t in _pairs(student_maps, teacher_maps))


@misconception(
    "attention_transfer_loss",
    "summed_over_batch",
    hint="Your loss grows with the number of images: take the mean over the batch, and the sum only over places and layers.",
)
def _(student_maps, teacher_maps):
    return sum((s - t).square().sum() for s, t in _pairs(student_maps, teacher_maps))


@misconception(
    "attention_transfer_loss",
    "norm",
    hint="You take the distance, not its square. (The paper's formula has the plain norm.) Squared, the pull fades as the "
    "student comes near; the plain norm pulls just as hard at the end, and has no gradient at 0.",
)
def _(student_maps, teacher_maps):
    return sum((s - t).norm(dim=1).mean() for s, t in _pairs(student_maps, teacher_maps))


@misconception(
    "attention_transfer_loss",
    "half",
    hint="Your loss is half of what is asked for: a factor ½, or 1 − cosine. Rows of length 1 have the squared distance "
    "2 − 2 cosine.",
)
def _(student_maps, teacher_maps):
    return sum((1 - F.cosine_similarity(s, t)).mean() for s, t in _pairs(student_maps, teacher_maps))


@misconception(
    "attention_transfer_loss",
    "mean_over_layers",
    hint="You average over the layers. Asked for is their sum: each layer pulls with its own full weight, however many "
    "there are.",
)
def _(student_maps, teacher_maps):
    losses = [(s - t).square().sum(dim=1).mean() for s, t in _pairs(student_maps, teacher_maps)]
    return torch.stack(losses).mean()


@misconception(
    "attention_transfer_loss",
    "last_layer_only",
    hint="Only the last layer counts: the loss of each pass through the loop replaces the one before. Add them up.",
)
def _(student_maps, teacher_maps):
    for s, t in _pairs(student_maps, teacher_maps):
        loss = (s - t).square().sum(dim=1).mean()
    return loss


@misconception(
    "attention_transfer_loss",
    "first_layer_only",
    hint="Only the first layer counts: the `return` stands inside the loop, or the loop was left out. Add the layers up.",
)
def _(student_maps, teacher_maps):
    for s, t in _pairs(student_maps, teacher_maps):
        return (s - t).square().sum(dim=1).mean()


@misconception(
    "attention_transfer_loss",
    "not_normalised",
    hint="You compare raw sums of squares. A student whose maps are the teacher's, but louder, looks at the same places and "
    "should cost nothing: compare `attention_map`s.",
)
def _(student_maps, teacher_maps):
    pairs = [
        (s.square().sum(1), t.detach().square().sum(1))
        for s, t in zip(student_maps, teacher_maps, strict=True)
    ]
    return sum((s - t).square().flatten(1).sum(dim=1).mean() for s, t in pairs)


# --- compression_report -----------------------------------------------------------------------------------

SECONDS = "seconds for the teacher, which needs 0.004 for each of 3 images"
# less is one image; more is several passes together, or the cold one among them
accept("compression_report", SECONDS, at_least=0.012, at_most=0.03)
accept("compression_report", "seconds for the student", at_least=1e-6, at_most=0.2)


def _stored(model):
    return sum(value.numel() * value.element_size() for value in [*model.parameters(), *model.buffers()])


@contextmanager
def _measured(model):
    """Evaluation mode, and no graph; afterwards every module is in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        yield
    for module, mode in modes:
        module.training = mode


def _passes(model, example, count=5, warm=1):
    """Seconds of `count` passes after `warm` others."""
    times = []
    with _measured(model):
        for _ in range(warm + count):
            start = time.perf_counter()
            model(example)
            times.append(time.perf_counter() - start)
    return times[warm:]


def _places(layer, output):
    return output[0].numel() // layer.weight.shape[0]


def _adds(
    model, example, cost=lambda layer, output: layer.weight.numel() * _places(layer, output), kinds=None
):
    kinds, total = kinds or (nn.Conv2d, nn.Linear), [0]
    layers = [layer for layer in model.modules() if isinstance(layer, kinds)]
    hooks = [
        layer.register_forward_hook(lambda one, _, out: total.append(cost(one, out))) for layer in layers
    ]
    with _measured(model):
        model(example)
    for hook in hooks:
        hook.remove()
    return sum(total)


def _report(teacher, student, example, **other):
    """The right report, with some entries replaced by functions of (model, example)."""
    measures = {
        "parameters": lambda model, x: sum(p.numel() for p in model.parameters()),
        "bytes": lambda model, x: _stored(model),
        "multiply_adds": lambda model, x: _adds(model, x),
        "seconds": lambda model, x: sorted(_passes(model, x))[2],
    } | other
    networks = {"teacher": teacher, "student": student}
    return {who: {key: f(model, example) for key, f in measures.items()} for who, model in networks.items()}


@alternative(
    "compression_report", "bytes from the state dict, convolutions counted by their formula, the fastest pass"
)
def _(teacher, student, example):
    def cost(layer, output):
        if isinstance(layer, nn.Linear):
            return layer.in_features * layer.out_features
        height, width = layer.kernel_size
        return (
            output.shape[2]
            * output.shape[3]
            * output.shape[1]
            * layer.in_channels
            // layer.groups
            * height
            * width
        )

    return _report(
        teacher,
        student,
        example,
        bytes=lambda model, x: sum(v.nbytes for v in model.state_dict().values()),
        multiply_adds=lambda model, x: _adds(model, x[:1], cost),
        seconds=lambda model, x: min(_passes(model, x)),
    )


@alternative("compression_report", "on copies of the networks, with capture")
def _(teacher, student, example):
    import copy

    from tlkit import capture

    def adds(model, x):
        names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        with capture(model, names, detach=True) as outputs, torch.no_grad():
            model(x)
        weights = {name: model.get_submodule(name).weight for name in names}
        return sum(weights[n].numel() // len(weights[n]) * outputs[n].numel() // len(x) for n in names)

    teacher, student = (copy.deepcopy(model).eval() for model in (teacher, student))
    return _report(teacher, student, example, multiply_adds=adds)


@misconception(
    "compression_report",
    "trainable_only",
    hint="You count only parameters with `requires_grad`. A frozen layer must be stored and computed like any other; what "
    "learns and what is there are two questions.",
)
def _(teacher, student, example):
    def count(model, x):
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    return _report(teacher, student, example, parameters=count)


@misconception(
    "compression_report",
    "buffers_are_parameters",
    hint="Among your parameters are BatchNorm's running statistics. They are buffers: stored, so they count as bytes, but "
    "not learned by gradient, so not as parameters.",
)
def _(teacher, student, example):
    def count(model, x):
        return sum(v.numel() for v in model.state_dict().values())

    return _report(teacher, student, example, parameters=count)


@misconception(
    "compression_report",
    "four_bytes_each",
    hint="You take four bytes for each parameter. BatchNorm's statistics are stored too, and not every number has four "
    "bytes: ask each tensor for `element_size()`, buffers included.",
)
def _(teacher, student, example):
    return _report(
        teacher, student, example, bytes=lambda model, x: 4 * sum(p.numel() for p in model.parameters())
    )


@misconception(
    "compression_report",
    "no_buffers",
    hint="The buffers are missing from your bytes: BatchNorm's running statistics have to be stored with the network, or "
    "it cannot be used.",
)
def _(teacher, student, example):
    def size(model, x):
        return sum(p.numel() * p.element_size() for p in model.parameters())

    return _report(teacher, student, example, bytes=size)


@misconception(
    "compression_report",
    "whole_batch",
    hint="Your multiply-adds are those of the whole example batch. Count them for *one* image: `output[0]` is what belongs "
    "to the first.",
)
def _(teacher, student, example):
    def whole(layer, output):
        return layer.weight.numel() * output.numel() // len(layer.weight)

    return _report(teacher, student, example, multiply_adds=lambda model, x: _adds(model, x, whole))


@misconception(
    "compression_report",
    "weights_once",
    hint="You count each weight once. A convolution uses its filters again at every place of its output: that is why few "
    "parameters can cost much time.",
)
def _(teacher, student, example):
    def once(layer, output):
        return layer.weight.numel()

    return _report(teacher, student, example, multiply_adds=lambda model, x: _adds(model, x, once))


@misconception(
    "compression_report",
    "flops",
    hint="Your number is twice as large: you count multiplications and additions apart (FLOPs). Papers differ in this, so "
    "say which; here one multiply-add counts as one.",
)
def _(teacher, student, example):
    return _report(teacher, student, example, multiply_adds=lambda model, x: 2 * _adds(model, x))


@misconception(
    "compression_report",
    "groups_ignored",
    hint="You multiply by all input channels. With groups each filter sees only its own share of them; "
    "the shape of `layer.weight` already says so.",
)
def _(teacher, student, example):
    def cost(layer, output):
        groups = getattr(layer, "groups", 1)
        return layer.weight.numel() * groups * _places(layer, output)

    return _report(teacher, student, example, multiply_adds=lambda model, x: _adds(model, x, cost))


@misconception(
    "compression_report",
    "convolutions_only",
    hint="The linear layers are missing from your multiply-adds. Here they are few, but in a VGG or a transformer most of "
    "the weights are there.",
)
def _(teacher, student, example):
    return _report(
        teacher, student, example, multiply_adds=lambda model, x: _adds(model, x, kinds=(nn.Conv2d,))
    )


@misconception(
    "compression_report",
    "in_train_mode",
    hint="Your measuring passes ran in training mode: each of them moved BatchNorm's running statistics, so the network you "
    "report on is no longer the one you were given. Put it in `eval()` first, and back afterwards.",
)
def _(teacher, student, example):
    report = _report(teacher, student, example)
    with torch.no_grad():
        teacher(example)
        student(example)
    return report


@misconception(
    "compression_report",
    "left_in_eval",
    hint="Both networks are in evaluation mode afterwards. A function that measures should leave no trace: remember "
    "`model.training` and restore it.",
)
def _(teacher, student, example):
    return _report(teacher.eval(), student.eval(), example)


@misconception(
    "compression_report",
    "one_mode_for_all",
    hint="One layer was held in evaluation mode, and now it is not: `model.train(...)` puts *every* module into one mode. Note "
    "the mode of each before you measure, and put each back.",
)
def _(teacher, student, example):
    report = _report(teacher, student, example)
    for model in (teacher, student):
        model.train(model.training)
    return report


@misconception(
    "compression_report",
    "not_one_warm_pass",
    hint="The seconds are not those of one warm pass of the whole batch. Is the first pass among them, which is much slower? "
    "Are several added up? Or was a single image timed?",
)
def _(teacher, student, example):
    cold = {model: sum(_passes(model, example, warm=0)) / 5 for model in (teacher, student)}
    return _report(teacher, student, example, seconds=lambda model, x: cold[model])


@misconception(
    "compression_report",
    "with_a_graph",
    hint="Passes were made while gradients could flow: a graph was built, which takes time and memory that a network in use "
    "does not need. Measure under `torch.no_grad()`.",
)
def _(teacher, student, example):
    for model in (teacher, student):
        modes = [(module, module.training) for module in model.modules()]
        model.eval()(example)
        for module, mode in modes:
            module.training = mode
    return _report(teacher, student, example)


# --- teach_student ----------------------------------------------------------------------------------------

accept("teach_student", "digits as the student reads them", agreement_with="true digits", at_least=0.6)
# two points, and half a point for luck: the difference of two accuracies on 800 digits varies by about 0.6
accept("teach_student", "points that the student lies behind its teacher", at_least=-15.0, at_most=2.5)
accept("teach_student", "images the teacher was asked about", at_least=1)


def _train(student, images, targets, loss, epochs=8, batch=32, lr=5e-3):
    """Plain training with Adam; the rate falls linearly to 0."""
    adam = torch.optim.AdamW(student.parameters(), lr=lr)
    steps = epochs * math.ceil(len(images) / batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: max(0.0, 1 - step / steps))
    student.train()
    for _ in range(epochs):
        for index in torch.randperm(len(images)).split(batch):
            value = loss(student(images[index]), targets[index])
            adam.zero_grad()
            value.backward()
            adam.step()
            schedule.step()
    return student.eval()


def _answers(teacher, images):
    teacher.eval()
    with torch.no_grad():
        return torch.cat([teacher(some) for some in images.split(100)])


def _soft(ours, theirs, temperature=4.0):
    return temperature**2 * _kl(ours, theirs, temperature)


def _with_moved(images):
    """The images, and each once more, moved by up to two pixels."""
    steps = torch.randint(-2, 3, (len(images), 2)).tolist()
    moved = [image.roll(step, dims=(1, 2)) for image, step in zip(images, steps, strict=True)]
    return torch.cat([images, torch.stack(moved)])


@alternative("teach_student", "a loop of one's own, on unlabelled images and moved ones alone")
def _(teacher, student, unlabelled, images, labels):
    many = _with_moved(unlabelled)
    return _train(student, many, _answers(teacher, many), _soft, epochs=4, batch=32, lr=7e-3)


@alternative("teach_student", "the images as they are, twice as often, at T = 2")
def _(teacher, student, unlabelled, images, labels):
    every = torch.cat([unlabelled, images])
    answers = _answers(teacher, every)
    return _train(student, every, answers, lambda *pair: _soft(*pair, 2.0), epochs=8)


@misconception(
    "teach_student",
    "labels_only",
    hint="The teacher was never asked, and the student stays far behind. The other images have no label, but the teacher has "
    "an answer for each.",
)
def _(teacher, student, unlabelled, images, labels):
    return _train(student, images, labels, F.cross_entropy, epochs=20)


@misconception(
    "teach_student",
    "answers_out_of_step",
    hint="The teacher was asked, yet its answers did not arrive: the student does not come near it. Either images and answers "
    "got out of step (shuffle both by the same index), or there were too few steps to learn them.",
)
def _(teacher, student, unlabelled, images, labels):
    answers = _answers(teacher, unlabelled)
    return _train(student, unlabelled[torch.randperm(len(unlabelled))], answers, _soft, epochs=2)


@misconception(
    "teach_student",
    "returns_the_teacher",
    hint="You return the teacher. It reads well, but it is not the small network that was to be taught.",
)
def _(teacher, student, unlabelled, images, labels):
    _answers(teacher, unlabelled)
    return teacher


@misconception(
    "teach_student",
    "teacher_in_train_mode",
    hint="The teacher answered in training mode: its BatchNorm statistics moved with every batch, so it changed while it "
    "taught. Ask it in `eval()`; `no_grad` alone does not hold them.",
)
def _(teacher, student, unlabelled, images, labels):
    answers = _answers(teacher, unlabelled)  # good ones: what the mistake does to them is another matter
    teacher.train()
    with torch.no_grad():
        teacher(unlabelled[:100])
    teacher.eval()
    return _train(student, unlabelled, answers, _soft)


@misconception(
    "teach_student",
    "teacher_learns_too",
    hint="The teacher's weights changed: it was in the optimizer, or in what you trained. A teacher who gives in to the "
    "student teaches nothing; only the student's parameters learn.",
)
def _(teacher, student, unlabelled, images, labels):
    answers = _answers(teacher, unlabelled)
    mover = torch.optim.SGD(teacher.parameters(), lr=1e-3)
    for index in torch.arange(64).split(32):
        apart = _soft(student(unlabelled[index]).detach(), teacher(unlabelled[index])) + F.mse_loss(
            teacher(unlabelled[index]), student(unlabelled[index]).detach()
        )
        mover.zero_grad()
        apart.backward()
        mover.step()
    return _train(student, unlabelled, answers, _soft)

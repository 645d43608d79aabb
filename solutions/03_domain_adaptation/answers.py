"""Other right answers and known wrong ones for lesson 03. Never released."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import accept, alternative, misconception, right

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

# --- proxy_a_distance -------------------------------------------------------------------------------------


@alternative("proxy_a_distance", "from the accuracy")
def _(domain_error):
    accuracy = 1 - domain_error
    return 4 * (accuracy - 0.5)


@alternative("proxy_a_distance", "multiplied out, as a float")
def _(domain_error):
    return float(2 - 4 * domain_error)


@misconception(
    "proxy_a_distance",
    "without_factor",
    hint="You left out the factor 2 in front: the scale goes from 0 (a coin) to 2 (never wrong). It comes from the distance "
    "between distributions that this stands for, which has the same range.",
)
def _(domain_error):
    return 1 - 2 * domain_error


@misconception(
    "proxy_a_distance",
    "two_minus_two",
    hint="Your line reaches 0 only at an error of 1. A judge that tosses a coin errs in *half* the cases, and that is where "
    "the distance must be 0: the error counts twice within the bracket.",
)
def _(domain_error):
    return 2 * (1 - domain_error)


@misconception(
    "proxy_a_distance",
    "accuracy_taken_for_error",
    hint="The sign is the wrong way round: you treat the error as if it were an accuracy. A *small* error means that the "
    "domains are easy to tell apart, so a large distance.",
)
def _(domain_error):
    return 2 * (2 * domain_error - 1)


@misconception(
    "proxy_a_distance",
    "clipped",
    hint="You cut off what is below 0. A negative value says that the judge did worse than a coin on images that it had not "
    "seen: chance, or a mistake. Both are worth seeing.",
)
def _(domain_error):
    return max(0.0, 2 * (1 - 2 * domain_error))


@misconception(
    "proxy_a_distance",
    "absolute_value",
    hint="With the absolute value a judge that is always wrong looks as good as one that is always right. On unseen images "
    "an error above one half is chance, not skill; do not turn it into distance.",
)
def _(domain_error):
    return abs(2 * (1 - 2 * domain_error))


# --- adapt_batchnorm --------------------------------------------------------------------------------------

# a target in a few large batches, averaged, is as good as a single batch: statistics may differ a little
accept("adapt_batchnorm", rtol=5e-3, atol=5e-3)


@alternative("adapt_batchnorm", "reset, and a cumulative average (momentum None) over one batch")
def _(model, target_images):
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, NORMS)]
    kept = [m.momentum for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
        m.train()
    with torch.no_grad():
        model(target_images)
    for m, momentum in zip(norms, kept, strict=True):
        m.momentum = momentum
    return model.eval()


@alternative("adapt_batchnorm", "layer after layer, with hooks that write mean and variance")
def _(model, target_images):
    def measure(layer, inputs):
        x = inputs[0]
        over = [d for d in range(x.ndim) if d != 1]
        layer.running_mean.copy_(x.mean(over))
        layer.running_var.copy_(x.var(over))

    model.eval()
    hooks = [m.register_forward_pre_hook(measure) for m in model.modules() if isinstance(m, NORMS)]
    with torch.no_grad():
        model(target_images)
    for hook in hooks:
        hook.remove()
    return model


@alternative("adapt_batchnorm", "in training mode with the dropout layers held back, in a copy, many passes")
def _(model, target_images):
    import copy

    model = copy.deepcopy(model)
    model.train()
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.eval()
    with torch.no_grad():
        for _ in range(150):  # 0.9 ** 150 of the old statistics is left
            model(target_images)
    return model.eval()


def _norms_only(model, target_images, momentum=1.0, kinds=NORMS, back=True):
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, kinds)]
    kept = [m.momentum for m in norms]
    for m in norms:
        m.train()
        m.momentum = momentum if momentum is not None else m.momentum
    with torch.no_grad():
        model(target_images)
    if back:
        for m, old in zip(norms, kept, strict=True):
            m.momentum = old
    return model.eval()


@misconception(
    "adapt_batchnorm",
    "one_step_of_momentum",
    hint="The running statistics went only part of the way: one pass moves them by `momentum`, usually a tenth. What you have is "
    "mostly print, with a little handwriting in it. They must forget the source.",
)
def _(model, target_images):
    return _norms_only(model, target_images, momentum=None)


@misconception(
    "adapt_batchnorm",
    "left_in_training_mode",
    hint="The model comes back with BatchNorm in training mode. Then an answer depends on which other images are asked at the "
    "same time, a single image cannot be asked at all, and every question moves the statistics. End with `model.eval()`.",
)
def _(model, target_images):
    _norms_only(model, target_images)
    for m in model.modules():
        if isinstance(m, NORMS):
            m.train()
    return model


@misconception(
    "adapt_batchnorm",
    "momentum_left_at_one",
    hint="Momentum stays at 1: when this model is trained again, its running statistics will be "
    "those of the last batch alone. Put the old momentum back.",
)
def _(model, target_images):
    return _norms_only(model, target_images, back=False)


@misconception(
    "adapt_batchnorm",
    "only_batchnorm2d",
    hint="You adapt the BatchNorm layers behind convolutions (`BatchNorm2d`) and overlook those behind linear layers "
    "(`BatchNorm1d`). What reaches the head is still normalised with the printed digits.",
)
def _(model, target_images):
    return _norms_only(model, target_images, kinds=nn.BatchNorm2d)


@misconception(
    "adapt_batchnorm",
    "layers_reset",
    hint="`reset_parameters()` forgets the statistics, but also BatchNorm's scale and shift, which were learned together with all "
    "other weights. `reset_running_stats()` would forget the statistics alone.",
)
def _(model, target_images):
    for m in model.modules():
        if isinstance(m, NORMS):
            m.reset_parameters()
    return _norms_only(model, target_images)


@misconception(
    "adapt_batchnorm",
    "nothing_moved",
    hint="The running statistics have not moved at all. Were the layers in training mode, nested ones too (`modules()`, not "
    "`children()`)? And is momentum the share of the *new* batch, as PyTorch means it? With 0 everything stays old.",
)
def _(model, target_images):
    model.eval()
    with torch.no_grad():
        model((target_images - target_images.mean()) / target_images.std())
    return model


@misconception(
    "adapt_batchnorm",
    "momentum_put_back_as_a_tenth",
    hint="You put 0.1 back, whatever the layer had. That is only PyTorch's default, and one of these layers had another: note each layer's "
    "`momentum` before you change it.",
)
def _(model, target_images):
    _norms_only(model, target_images)
    for m in model.modules():
        if isinstance(m, NORMS):
            m.momentum = 0.1
    return model


@misconception(
    "adapt_batchnorm",
    "graph_built",
    hint="A graph was built while the target went through: every layer's output is kept for a backward pass that never comes, and with many images "
    "that is a lot of memory. `with torch.no_grad():` spares it.",
)
def _(model, target_images):
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, NORMS)]
    kept = [m.momentum for m in norms]
    for m in norms:
        m.train()
        m.momentum = 1.0
    model(target_images)
    for m, old in zip(norms, kept, strict=True):
        m.momentum = old
    return model.eval()


def _whole_model_in_train(model, target_images):
    norms = [m for m in model.train().modules() if isinstance(m, NORMS)]
    kept = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model(target_images)
    for m, old in zip(norms, kept, strict=True):
        m.momentum = old
    return model.eval()


@misconception(
    "adapt_batchnorm",
    "dropout_awake",
    hint="Dropout was awake while the target went through: the layers behind it measured features with holes, other ones each time. `model.train()` "
    "wakes everything; only the BatchNorm layers belong in training mode.",
)
def _(model, target_images):
    return _whole_model_in_train(model, target_images)


@misconception(
    "adapt_batchnorm",
    "dropout_left_silenced",
    hint="Dropout comes back with another `p` than it had: trained again, this model would drop nothing. There is no need to touch `p`: in evaluation "
    "mode a dropout layer lets everything through.",
)
def _(model, target_images):
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.p = 0.0
    return _whole_model_in_train(model, target_images)


@misconception(
    "adapt_batchnorm",
    "all_from_the_first_pass",
    hint="The layers further up have the statistics of inputs that no longer occur: you measured every layer while the ones "
    "below still used the source's statistics. Each layer must see what the *adapted* layers below it send up.",
)
def _(model, target_images):
    seen = []
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, NORMS)]
    hooks = [m.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0])) for m in norms]
    with torch.no_grad():
        model(target_images)
    for hook in hooks:
        hook.remove()
    for m, x in zip(norms, seen, strict=True):
        over = [d for d in range(x.ndim) if d != 1]
        m.running_mean.copy_(x.mean(over))
        m.running_var.copy_(x.var(over))
    return model


@misconception(
    "adapt_batchnorm",
    "no_memory",
    hint="You took the running statistics away, so that BatchNorm always uses the batch at hand. Then an image's answer hangs on "
    "its neighbours, and a single image gets none. Measure the target once, and keep what you measured.",
)
def _(model, target_images):
    for m in model.modules():
        if isinstance(m, NORMS):
            m.track_running_stats, m.running_mean, m.running_var = False, None, None
    return model.eval()


# --- coral_loss -------------------------------------------------------------------------------------------


@alternative("coral_loss", "by hand")
def _(source, target):
    def covariance(x):
        centred = x - x.mean(dim=0)
        return centred.T @ centred / (len(x) - 1)

    return torch.norm(covariance(source) - covariance(target)) ** 2 / (4 * source.shape[1] ** 2)


@alternative("coral_loss", "the paper's formula, with a row of ones, and the mean over all entries")
def _(source, target):
    def covariance(x):
        ones = torch.ones(1, len(x))
        return (x.T @ x - (ones @ x).T @ (ones @ x) / len(x)) / (len(x) - 1)

    return F.mse_loss(covariance(source), covariance(target)) / 4


def _coral(source, target, covariance=lambda x: torch.cov(x.T), factor=0.25):
    return factor * (covariance(source) - covariance(target)).square().mean()


@misconception(
    "coral_loss",
    "divides_by_n",
    hint="You divide by n. A covariance estimated from a sample divides by n − 1, because the mean was estimated from the same "
    "sample; in small batches one sees the difference.",
)
def _(source, target):
    return _coral(source, target, lambda x: torch.cov(x.T, correction=0))


@misconception(
    "coral_loss",
    "without_four",
    hint="Your loss is four times too large: you divide by D², as much published code does, and the paper by 4 D². A weight that was "
    "tuned for one is wrong for the other.",
)
def _(source, target):
    return _coral(source, target, factor=1.0)


@misconception(
    "coral_loss",
    "not_divided",
    hint="You sum over all D² entries and do not divide by 4 D². Then the loss grows with the width of the network, and its weight "
    "would have to be chosen anew for each.",
)
def _(source, target):
    return _coral(source, target, factor=float(source.shape[1]) ** 2)


@misconception(
    "coral_loss",
    "not_centred",
    hint="You compare second moments, not covariances: the mean was not subtracted. So a mere shift, which says nothing about how "
    "features vary together, already costs.",
)
def _(source, target):
    return _coral(source, target, lambda x: x.T @ x / (len(x) - 1))


@misconception(
    "coral_loss",
    "correlation",
    hint="You compare correlations: each feature was divided by its spread. Then a domain that is twice as wide costs nothing, "
    "though a classifier would notice.",
)
def _(source, target):
    return _coral(source, target, lambda x: torch.corrcoef(x.T))


@misconception(
    "coral_loss",
    "between_images",
    hint="You have the covariance between *images*: a matrix as large as the batch. `torch.cov` takes one row a variable, and the "
    "variables here are the features: transpose first.",
)
def _(source, target):
    return (torch.cov(source) - torch.cov(target)).square().sum() / (4 * source.shape[1] ** 2)


@misconception(
    "coral_loss",
    "variances_only",
    hint="You compare only the diagonals, the variances. How features vary *together*, the rest of the matrix, is the larger part of "
    "what CORAL aligns.",
)
def _(source, target):
    return (source.var(dim=0) - target.var(dim=0)).square().sum() / (4 * source.shape[1] ** 2)


@misconception(
    "coral_loss",
    "not_squared",
    hint="That is the Frobenius norm; the loss is its *square*, the sum of the squared entries. The square fades out smoothly "
    "where the domains agree.",
)
def _(source, target):
    return torch.linalg.matrix_norm(torch.cov(source.T) - torch.cov(target.T)) / (4 * source.shape[1] ** 2)


@misconception(
    "coral_loss",
    "with_means",
    hint="You added the distance of the means. Some libraries do, but that is not CORAL: CORAL leaves the means to others (BatchNorm, "
    "for one), and compares covariances alone.",
)
def _(source, target):
    return _coral(source, target) + (source.mean(dim=0) - target.mean(dim=0)).square().mean()


@misconception(
    "coral_loss",
    "not_summed",
    hint="You return a whole matrix, the squared difference entry by entry. The norm adds these entries up, and a loss is a single number: the sum is "
    "missing.",
)
def _(source, target):
    return (torch.cov(source.T) - torch.cov(target.T)).square() / (4 * source.shape[1] ** 2)


@misconception(
    "coral_loss",
    "target_detached",
    hint="No gradient reaches the target, so only the source's features are pulled. Both go through the same network, and both "
    "should come to meet each other.",
)
def _(source, target):
    return _coral(source, target.detach())


@misconception(
    "coral_loss",
    "source_detached",
    hint="No gradient reaches the source, so only the target's features are pulled. Both go through the same network, and both "
    "should come to meet each other.",
)
def _(source, target):
    return _coral(source.detach(), target)


@misconception(
    "coral_loss",
    "no_gradient",
    hint="No gradient reaches either domain: as a loss this changes nothing. `torch.no_grad()`, `.detach()` and the way "
    "through NumPy cut the graph; leave them out.",
)
def _(source, target):
    return _coral(source.detach(), target.detach())


@misconception(
    "coral_loss",
    "features_changed",
    hint="You change the features that you were given (`-=` works in place). They belong to the network's graph, which still needs them: in "
    "training, PyTorch stops with an error. Make new tensors: `x = x - x.mean(dim=0)`.",
)
def _(source, target):
    with torch.no_grad():
        source -= source.mean(dim=0)
        target -= target.mean(dim=0)
    return _coral(source, target, lambda x: x.T @ x / (len(x) - 1))


# --- mmd2 -------------------------------------------------------------------------------------------------


def _squared(x, y):
    return (x[:, None] - y[None]).square().sum(dim=-1)


def _mmd(source, target, kernel, means=(1.0, 1.0, -2.0)):
    pairs = ((source, source), (target, target), (source, target))
    return sum(w * kernel(_squared(x, y)).mean() for w, (x, y) in zip(means, pairs, strict=True))


def _gaussians(bandwidths):
    return lambda squared: sum(torch.exp(-squared / (2 * sigma**2)) for sigma in bandwidths)


@alternative("mmd2", "all pairs of both domains in one matrix")
def _(source, target, bandwidths):
    both, n = torch.cat([source, target]), len(source)
    kernel = _gaussians(bandwidths)(_squared(both, both))
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


@alternative("mmd2", "with ‖x‖² + ‖y‖² − 2xy, bandwidth by bandwidth")
def _(source, target, bandwidths):
    def squared(x, y):
        return (x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T).clamp_min(0)

    total = torch.zeros(())
    for sigma in bandwidths:
        within = [torch.exp(-squared(x, x) / (2 * sigma**2)).mean() for x in (source, target)]
        total = total + sum(within) - 2 * torch.exp(-squared(source, target) / (2 * sigma**2)).mean()
    return total


@misconception(
    "mmd2",
    "unbiased",
    hint="You left out the pairs of a point with itself. That is the *unbiased* estimate (U-statistic): right on average, but it "
    "can be negative, and two equal batches do not give 0. Asked for is the biased one, with all pairs.",
)
def _(source, target, bandwidths):
    kernel, n, m = _gaussians(bandwidths), len(source), len(target)
    same, other = kernel(_squared(source, source)), kernel(_squared(target, target))
    within = (same.sum() - same.diagonal().sum()) / (n * (n - 1))
    within = within + (other.sum() - other.diagonal().sum()) / (m * (m - 1))
    return within - 2 * kernel(_squared(source, target)).mean()


@misconception(
    "mmd2",
    "without_two_in_exponent",
    hint="The exponent is −‖x−y‖² / (2σ²); your 2 is missing. Some libraries do it that way, so a bandwidth copied from there means "
    "another width here.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, lambda d: sum(torch.exp(-d / s**2) for s in bandwidths))


@misconception(
    "mmd2",
    "bandwidth_not_squared",
    hint="The bandwidth σ is a length, as the distance is. You divide by 2σ and not by 2σ², as if you had been given a variance.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, lambda d: sum(torch.exp(-d / (2 * s)) for s in bandwidths))


@misconception(
    "mmd2",
    "gamma",
    hint="You use the bandwidth as the γ of exp(−γ‖x−y‖²), scikit-learn's convention: there a large number makes a *narrow* kernel. "
    "Here γ = 1 / (2σ²).",
)
def _(source, target, bandwidths):
    return _mmd(source, target, lambda d: sum(torch.exp(-d * s) for s in bandwidths))


@misconception(
    "mmd2",
    "distance_not_squared",
    hint="The distance stands in the exponent without its square. That is another kernel (Laplace's), with a kink where "
    "points meet; the Gaussian has ‖x − y‖².",
)
def _(source, target, bandwidths):
    def kernel(squared):
        distance = (squared + 1e-12).sqrt()
        return sum(torch.exp(-distance / (2 * s**2)) for s in bandwidths)

    return _mmd(source, target, kernel)


@misconception(
    "mmd2",
    "gradient_is_nan",
    hint="The gradient is NaN: a square root has no slope at 0, and every point has distance 0 to itself. "
    "You need squared distances; never take the root.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, lambda d: sum(torch.exp(-d.sqrt().square() / (2 * s**2)) for s in bandwidths))


@misconception(
    "mmd2",
    "mean_over_bandwidths",
    hint="You average over the bandwidths; here the kernels are added. Either is a kernel, but the sizes differ by the number of "
    "bandwidths, and so does the weight that this loss needs.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, _gaussians(bandwidths)) / len(bandwidths)


@misconception(
    "mmd2",
    "cross_once",
    hint="The mean between the domains is subtracted *twice*, for ‖a − b‖² = ‖a‖² + ‖b‖² − 2ab. With one, two equal clouds are not at "
    "distance 0.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, _gaussians(bandwidths), means=(1.0, 1.0, -1.0))


@misconception(
    "mmd2",
    "sums_not_means",
    hint="You add up the kernels over all pairs and do not divide by the number of pairs. With batches of different size the three "
    "parts then do not balance.",
)
def _(source, target, bandwidths):
    kernel = _gaussians(bandwidths)
    within = kernel(_squared(source, source)).sum() + kernel(_squared(target, target)).sum()
    return within - 2 * kernel(_squared(source, target)).sum()


@misconception(
    "mmd2",
    "root",
    hint="You took the root: that is the MMD itself, and its slope grows without bound where the domains agree. The loss "
    "is the square.",
)
def _(source, target, bandwidths):
    return _mmd(source, target, _gaussians(bandwidths)).clamp_min(1e-12).sqrt()


@misconception(
    "mmd2",
    "means_only",
    hint="You compare the means of the features. That is the MMD of a *linear* kernel, and it is blind to everything but the mean; the "
    "Gaussian kernel sees the shape of the clouds.",
)
def _(source, target, bandwidths):
    return (source.mean(dim=0) - target.mean(dim=0)).square().sum()


@misconception(
    "mmd2",
    "target_detached",
    hint="No gradient reaches the target. Both domains go through the same network, and the target's features are the ones that most "
    "need to move.",
)
def _(source, target, bandwidths):
    return _mmd(source, target.detach(), _gaussians(bandwidths))


@misconception(
    "mmd2",
    "source_detached",
    hint="No gradient reaches the source. Both domains go through the same network, and both should come to meet each other.",
)
def _(source, target, bandwidths):
    return _mmd(source.detach(), target, _gaussians(bandwidths))


@misconception(
    "mmd2",
    "no_gradient",
    hint="No gradient reaches either domain: as a loss this changes nothing. `torch.no_grad()`, `.detach()` and the way "
    "through NumPy cut the graph; leave them out.",
)
def _(source, target, bandwidths):
    return _mmd(source.detach(), target.detach(), _gaussians(bandwidths))


@misconception(
    "mmd2",
    "features_changed",
    hint="You change the features that you were given (`-=`, `/=` work in place). They belong to the network's graph, which still needs them. "
    "Make new tensors: `x = x - y`.",
)
def _(source, target, bandwidths):
    with torch.no_grad():
        middle = target.mean(dim=0)
        source -= middle
        target -= middle
    return _mmd(source, target, _gaussians(bandwidths))


# --- GradientReversal -------------------------------------------------------------------------------------


@alternative("GradientReversal", "a tensor saved, an in-place product")
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.save_for_backward(torch.tensor(float(strength)))
        return features.clone()

    @staticmethod
    def backward(ctx, *grads):
        (strength,) = ctx.saved_tensors
        return grads[0].neg().mul_(strength), None


@alternative("GradientReversal", "with setup_context")
class _(torch.autograd.Function):
    @staticmethod
    def forward(features, strength):
        return features * 1.0

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = -inputs[1]

    @staticmethod
    def backward(ctx, grad_output):
        return ctx.factor * grad_output, None


@misconception(
    "GradientReversal",
    "not_reversed",
    hint="The gradient comes through with its own sign: the body would then *help* the judge to tell the domains apart. One minus "
    "sign makes all the difference.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        return ctx.strength * grad_output, None


@misconception(
    "GradientReversal",
    "strength_ignored",
    hint="The gradient is reversed, but always at full strength. The strength is what keeps the body from listening to a judge that "
    "knows nothing yet.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        return -grad_output, None


@misconception(
    "GradientReversal",
    "reversed_forward",
    hint="You turn the *features* round on the way forward. The judge would judge mirror images, and the sign of the gradient "
    "follows from that by the chain rule: nothing adversarial is left. Forward must change nothing.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.strength = strength
        return -strength * features

    @staticmethod
    def backward(ctx, grad_output):
        return -ctx.strength * grad_output, None


@misconception(
    "GradientReversal",
    "one_gradient_short",
    hint="`forward` has two inputs, so `backward` returns a tuple of two: the gradient for the features, and `None` for the strength, which "
    "needs none. PyTorch counted one: a list counts as one thing, and so does a missing `return`.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        return -ctx.strength * grad_output


def _backward_returns(two):
    """A reversal whose backward returns two(ctx, grad_output)."""

    class Reversal(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features, strength):
            ctx.strength = strength
            return features.view_as(features)

        @staticmethod
        def backward(ctx, grad_output):
            return two(ctx, grad_output)

    return Reversal


misconception(
    "GradientReversal",
    "gradient_for_the_strength",
    hint="Position 2 of what `backward` returns belongs to the strength. That is a plain number, no tensor, and takes no gradient: first comes the "
    "features' gradient, then `None`.",
)(_backward_returns(lambda ctx, grad_output: (-ctx.strength * grad_output, grad_output)))

misconception(
    "GradientReversal",
    "number_as_gradient",
    hint="A plain number stands where `backward` returns the features' gradient. PyTorch wants a tensor of their shape there: `grad_output` times a "
    "factor.",
)(_backward_returns(lambda ctx, grad_output: (-ctx.strength, None)))

misconception(
    "GradientReversal",
    "gradient_of_another_shape",
    hint="The gradient for the features must have the features' shape: one number for each of theirs. Nothing is summed or averaged here.",
)(_backward_returns(lambda ctx, grad_output: (-ctx.strength * grad_output.sum(), None)))


@misconception(
    "GradientReversal",
    "self_too",
    hint="There is one argument too many: `forward` and `backward` are static methods, which know no `self`. PyTorch passes `ctx` first.",
)
class GradientReversal(torch.autograd.Function):  # the message that students get names their class
    @staticmethod
    def forward(self, ctx, features, strength):
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(self, ctx, grad_output):
        return -ctx.strength * grad_output, None


@misconception(
    "GradientReversal",
    "number_saved_as_tensor",
    hint="`ctx.save_for_backward` keeps tensors, and the strength is a plain number. Set it on the notepad itself: `ctx.strength = strength`.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.save_for_backward(strength)
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        (strength,) = ctx.saved_tensors
        return -strength * grad_output, None


@misconception(
    "GradientReversal",
    "strength_handed_on",
    hint="`forward` returns a tuple. What it returns is what the judge gets to see: the features alone. The strength is noted on `ctx`, for `backward`.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.strength = strength
        return features.view_as(features), strength

    @staticmethod
    def backward(ctx, grad_output, *_):
        return -ctx.strength * grad_output, None


@misconception(
    "GradientReversal",
    "strength_on_the_class",
    hint="You keep the strength on the class, so every use shares it, and backward sees the one that came last. What belongs to a "
    "single call goes into `ctx`.",
)
class _(torch.autograd.Function):
    strength = 1.0

    @classmethod
    def _keep(cls, strength):
        _KEPT["strength"] = strength

    @staticmethod
    def forward(ctx, features, strength):
        _KEPT["strength"] = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        return -_KEPT["strength"] * grad_output, None


_KEPT: dict[str, float] = {}


@misconception(
    "GradientReversal",
    "detached",
    hint="No gradient arrives at the features: they are cut off, or `backward` hands on zeros or nothing. The judge learns, and the body never "
    "hears of it.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.shape = features.shape
        return features.clone()

    @staticmethod
    def backward(ctx, grad_output):
        return torch.zeros_like(grad_output), None


@misconception(
    "GradientReversal",
    "own_features_as_gradient",
    hint="You return the features times −strength, not the *gradient* times −strength. What has to be handed on is `grad_output`, "
    "which tells what the loss wants.",
)
class _(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, strength):
        ctx.save_for_backward(features)
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad_output):
        return -ctx.strength * ctx.saved_tensors[0], None


# --- dann_lambda ------------------------------------------------------------------------------------------


@alternative("dann_lambda", "as a hyperbolic tangent")
def _(progress):
    return math.tanh(5 * progress)


@alternative("dann_lambda", "a sigmoid, stretched, in PyTorch")
def _(progress):
    return 2 * torch.sigmoid(torch.tensor(10.0 * progress)).item() - 1


@misconception(
    "dann_lambda",
    "linear",
    hint="That is a straight line. The schedule of the paper rises fast and then stays near 1: after a fifth of the training it "
    "has already passed three quarters.",
)
def _(progress):
    return progress


@misconception(
    "dann_lambda",
    "without_minus_one",
    hint="Your strength starts at 1 and goes to 2: the −1 is missing. At the start it must be 0, for the judge has not "
    "learned anything.",
)
def _(progress):
    return 2 / (1 + math.exp(-10 * progress))


@misconception(
    "dann_lambda",
    "plain_sigmoid",
    hint="A plain sigmoid starts at one half. Stretched to twice its height and lowered by 1 it starts at 0, as it must: at "
    "the start the judge knows nothing.",
)
def _(progress):
    return 1 / (1 + math.exp(-10 * progress))


@misconception(
    "dann_lambda",
    "wrong_sign",
    hint="The exponent has lost its minus: your strength goes from 0 to −1. A negative strength reverses the reversal, and the body "
    "helps the judge.",
)
def _(progress):
    return 2 / (1 + math.exp(10 * progress)) - 1


@misconception(
    "dann_lambda",
    "without_ten",
    hint="The 10 in the exponent is missing: without it the strength has not even reached one half when the training ends.",
)
def _(progress):
    return 2 / (1 + math.exp(-progress)) - 1


# --- dann_domain_loss -------------------------------------------------------------------------------------


@alternative("dann_domain_loss", "softplus, by hand")
def _(logits_source, logits_target):
    total = F.softplus(-logits_source).sum() + F.softplus(logits_target).sum()
    return total / (logits_source.numel() + logits_target.numel())


@alternative("dann_domain_loss", "as a weighted mean of two losses")
def _(logits_source, logits_target):
    n, m = len(logits_source), len(logits_target)
    loss = nn.BCEWithLogitsLoss()
    of_source = loss(logits_source, torch.ones_like(logits_source))
    of_target = loss(logits_target, torch.zeros_like(logits_target))
    return (n * of_source + m * of_target) / (n + m)


def _domain(logits_source, logits_target, source=1.0, target=0.0):
    logits = torch.cat([logits_source, logits_target])
    labels = torch.cat([torch.full_like(logits_source, source), torch.full_like(logits_target, target)])
    return logits, labels


@misconception(
    "dann_domain_loss",
    "labels_swapped",
    hint="Source is 1 and target 0; you have it the other way round. For the training it makes no difference, but everybody who "
    "reads your judge's scores will.",
)
def _(logits_source, logits_target):
    return F.binary_cross_entropy_with_logits(*_domain(logits_source, logits_target, 0.0, 1.0))


@misconception(
    "dann_domain_loss",
    "sum_of_two_means",
    hint="You add the two domains' means, so the loss is twice as large, and λ counts double. Asked for is one mean over all images.",
)
def _(logits_source, logits_target):
    ones, zeros = torch.ones_like(logits_source), torch.zeros_like(logits_target)
    loss = F.binary_cross_entropy_with_logits
    return loss(logits_source, ones) + loss(logits_target, zeros)


@misconception(
    "dann_domain_loss",
    "mean_of_two_means",
    hint="Each domain weighs one half, however many images it has. That is the same for batches of one size, but not here: every "
    "*image* counts the same.",
)
def _(logits_source, logits_target):
    ones, zeros = torch.ones_like(logits_source), torch.zeros_like(logits_target)
    loss = F.binary_cross_entropy_with_logits
    return (loss(logits_source, ones) + loss(logits_target, zeros)) / 2


@misconception(
    "dann_domain_loss",
    "sum",
    hint="You sum over the images. Then the loss, and with it λ, depends on the size of the batch; take the mean.",
)
def _(logits_source, logits_target):
    logits, labels = _domain(logits_source, logits_target)
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")


@misconception(
    "dann_domain_loss",
    "sigmoid_first",
    hint="With a sigmoid first, a judge that is very sure rounds to exactly 0 or 1. The logarithm then has to be cut off, and its "
    "gradient is gone just where the mistake is worst. Use the function that takes logits.",
)
def _(logits_source, logits_target):
    logits, labels = _domain(logits_source, logits_target)
    return F.binary_cross_entropy(torch.sigmoid(logits), labels)


@misconception(
    "dann_domain_loss",
    "sigmoid_twice",
    hint="You apply a sigmoid, and `..._with_logits` applies another. Then even the surest judge is only a little sure, and "
    "hardly any gradient comes back.",
)
def _(logits_source, logits_target):
    logits, labels = _domain(logits_source, logits_target)
    return F.binary_cross_entropy_with_logits(torch.sigmoid(logits), labels)


@misconception(
    "dann_domain_loss",
    "reversed_here",
    hint="You put the minus sign of the adversary into the loss. Then the judge itself learns to be wrong. The judge plays fair; the "
    "reversal below it, and only that, turns the body's gradient round.",
)
def _(logits_source, logits_target):
    return -F.binary_cross_entropy_with_logits(*_domain(logits_source, logits_target))


@misconception(
    "dann_domain_loss",
    "target_only",
    hint="Only the target's images enter. A judge that sees one domain alone says *target* to everything, and is always right.",
)
def _(logits_source, logits_target):
    return F.binary_cross_entropy_with_logits(logits_target, torch.zeros_like(logits_target))


# --- pseudo_labels ----------------------------------------------------------------------------------------


@alternative("pseudo_labels", "with where and argmax")
def _(logits, threshold):
    probabilities = torch.exp(torch.log_softmax(logits, dim=-1))
    (indices,) = torch.where(probabilities.amax(dim=-1) >= threshold)
    return indices, logits[indices].argmax(dim=-1)


@alternative("pseudo_labels", "in a loop")
def _(logits, threshold):
    chosen = [i for i, row in enumerate(F.softmax(logits, dim=1)) if float(row.max()) >= threshold]
    labels = [int(logits[i].argmax()) for i in chosen]
    return torch.tensor(chosen, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)


def _sure(logits, threshold):
    sure, labels = logits.softmax(dim=1).max(dim=1)
    return sure >= threshold, sure, labels


@misconception(
    "pseudo_labels",
    "all_labels",
    hint="You return a label for *every* image, also for those that were not chosen. Position k and label k "
    "no longer belong together: index the labels too.",
)
def _(logits, threshold):
    chosen, _, labels = _sure(logits, threshold)
    return chosen.nonzero().flatten(), labels


@misconception(
    "pseudo_labels",
    "mask",
    hint="You return a mask, one True or False for each image. Asked for are positions: `mask.nonzero().flatten()`.",
)
def _(logits, threshold):
    chosen, _, labels = _sure(logits, threshold)
    return chosen, labels[chosen]


@misconception(
    "pseudo_labels",
    "logits_against_threshold",
    hint="You compare the logits with the threshold. A logit of 4 can go with any probability, for it depends on the other classes; "
    "sureness is the largest *probability*, after the softmax.",
)
def _(logits, threshold):
    best, labels = logits.max(dim=1)
    indices = (best >= threshold).nonzero().flatten()
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "sigmoid",
    hint="A sigmoid looks at each class by itself, so several can be near 1 at once. An image is exactly one digit: the softmax makes the "
    "classes compete.",
)
def _(logits, threshold):
    best, labels = torch.sigmoid(logits).max(dim=1)
    indices = (best >= threshold).nonzero().flatten()
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "over_the_batch",
    hint="Your softmax goes down the columns: it shares each class out among the *images*. One row is one image, so its classes "
    "compete along `dim=1`.",
)
def _(logits, threshold):
    best, labels = logits.softmax(dim=0).max(dim=1)
    indices = (best >= threshold).nonzero().flatten()
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "probabilities_as_labels",
    hint="You return how sure the model is, not of what. `.max(dim=1)` gives two things: the largest probability and the class it "
    "belongs to.",
)
def _(logits, threshold):
    chosen, sure, _ = _sure(logits, threshold)
    return chosen.nonzero().flatten(), sure[chosen]


@misconception(
    "pseudo_labels",
    "the_unsure",
    hint="You chose the images *below* the threshold, those that the model is least sure of. Its guesses there are the ones most often "
    "wrong.",
)
def _(logits, threshold):
    chosen, _, labels = _sure(logits, threshold)
    return (~chosen).nonzero().flatten(), labels[~chosen]


@misconception(
    "pseudo_labels",
    "sorted_by_sureness",
    hint="The images are right but sorted by how sure the model is. Keep them in their own order, as the documentation asks: other code "
    "walks through positions from low to high.",
)
def _(logits, threshold):
    chosen, sure, labels = _sure(logits, threshold)
    indices = chosen.nonzero().flatten()
    indices = indices[sure[indices].argsort(descending=True)]
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "strictly_above",
    hint="An image whose probability is exactly the threshold is left out: you compare with `>`. *At least* is `>=`.",
)
def _(logits, threshold):
    _, sure, labels = _sure(logits, threshold)
    indices = (sure > threshold).nonzero().flatten()
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "squeezed",
    hint="When one image alone is sure, your result loses its only dimension: `squeeze()` takes away every dimension of size 1. `flatten()` always leaves "
    "a list of positions, `[k]`.",
)
def _(logits, threshold):
    chosen, _, labels = _sure(logits, threshold)
    indices = chosen.nonzero().squeeze()
    return indices, labels[indices]


@misconception(
    "pseudo_labels",
    "no_longer_integers_when_empty",
    hint="When nobody is sure, yours are not integers: `torch.tensor([])` is float32, and cannot be used as positions. Say "
    "`dtype=torch.int64`.",
)
def _(logits, threshold):
    chosen, _, labels = _sure(logits, threshold)
    indices = [i for i, sure in enumerate(chosen.tolist()) if sure]
    return torch.tensor(indices), torch.tensor([int(labels[i]) for i in indices])


@misconception(
    "pseudo_labels",
    "logits_changed",
    hint="You change the logits that you were given (`-=` works in place). Whoever called still needs them, for a loss for example: work on new "
    "tensors.",
)
def _(logits, threshold):
    logits -= logits.max(dim=1, keepdim=True).values
    chosen, _, labels = _sure(logits, threshold)
    indices = chosen.nonzero().flatten()
    return indices, labels[indices]


# --- adapt_without_labels ---------------------------------------------------------------------------------

READ = "digits as the network reads them, one image at a time"
# 80 %, and two points for luck: with 247 digits the share of right ones varies by about as much
accept("adapt_without_labels", READ, agreement_with="true digits", at_least=0.78)
accept("adapt_without_labels", "what changed in the network", clue=True)
accept("adapt_without_labels", "better than guessing", clue=True)


def _statistics(model, target_images):
    return right("adapt_batchnorm")(model, target_images)


def _batches(size, steps):
    """Always the same ones: what a misconception measures must not hang on chance."""
    generator = torch.Generator().manual_seed(0)
    rounds = range(1 + 64 * steps // (size - size % 64))
    return torch.cat([torch.randperm(size, generator=generator) for _ in rounds])[: 64 * steps].split(64)


def _descend(optimizer, loss):
    torch.autograd.backward(loss)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _named(model, source, target_images, names, steps=100):
    """Learn names of the target's images beside print, in a loop of its own."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    bent = right("jiggle")
    model.train()
    for ours, theirs in zip(_batches(len(source), steps), _batches(len(target_images), steps), strict=True):
        loss = F.cross_entropy(model(bent(source.images[ours])), source.labels[ours])
        _descend(optimizer, loss + F.cross_entropy(model(bent(target_images[theirs])), names[theirs]))
        schedule.step()
    return _statistics(model, target_images)


def _corrected(model, target_images):
    """What the network says of the target, spread along links and made even."""
    with torch.no_grad():
        said = _statistics(model, target_images)(target_images).softmax(dim=1)
    links = right("neighbours")(target_images)
    return right("spread")(right("even")(right("spread")(said, links)), links)


@alternative("adapt_without_labels", "MMD with other kernels, then two longer rounds")
def _(model, source, target_images):
    def closer(batch):
        near = torch.cat([batch.source, batch.target]).detach()
        middle = (near[:, None] - near[None]).square().sum(dim=-1).median().sqrt().item()
        return right("dann_lambda")(batch.progress) * right("mmd2")(
            batch.source, batch.target, [middle / 3, middle / 2, middle, 2 * middle]
        )

    change = right("jiggle")
    model = right("train")(model, source, target_images, closer, steps=150, change=change)
    for _ in range(2):
        model = _named(model, source, target_images, _corrected(model, target_images))
    return model


@alternative("adapt_without_labels", "MMD at full strength from the first step, then names instead of shares in three short rounds")
def _(model, source, target_images):
    def closer(batch):
        middle = torch.cdist(batch.source.detach(), batch.target.detach()).median().item()
        return right("mmd2")(batch.source, batch.target, [middle / 2, middle, 2 * middle])

    model = right("train")(model, source, target_images, closer, steps=150, change=right("jiggle"))
    for _ in range(3):
        names = _corrected(model, target_images).argmax(dim=1)
        model = _named(model, source, target_images, names, steps=80)
    return model


@misconception(
    "adapt_without_labels",
    "unchanged",
    hint="You return the network as it came: it reads print, and too little of the handwriting. The target's images have to enter "
    "somewhere, at least into BatchNorm's statistics.",
)
def _(model, source, target_images):
    return model


@misconception(
    "adapt_without_labels",
    "adabn_alone",
    hint="You replaced BatchNorm's statistics and stopped there. A good first step, a few points for nothing; but no weight has learned "
    "from the target yet. Go on: train on jiggled images, and on names that neighbours and frequencies have corrected.",
)
def _(model, source, target_images):
    return _statistics(model, target_images)


@misconception(
    "adapt_without_labels",
    "print_alone",
    hint="You trained on, on jiggled print, but on print alone. Bending helps a little; yet nothing in print says what handwriting looks like. "
    "The extra loss has to see `target_images`.",
)
def _(model, source, target_images):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # what a misconception measures must not hang on chance
        for some in _batches(len(source), 100):
            bent = right("jiggle")(source.images[some])
            _descend(optimizer, F.cross_entropy(model(bent), source.labels[some]))
    return _statistics(model, target_images)


@misconception(
    "adapt_without_labels",
    "network_destroyed",
    hint="It reads less than three digits in ten: something has ruined the network. A learning rate far too large? Handwriting trained with the labels "
    "of other images? Label 5 of print says nothing of image 5 of the handwriting.",
)
def _(model, source, target_images):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for some in _batches(len(target_images), 60):
        _descend(optimizer, F.cross_entropy(model(target_images[some]), source.labels[some]))
    return _statistics(model, target_images)


@misconception(
    "adapt_without_labels",
    "returns_body",
    hint="What you return answers with 64 numbers, the features: it is the network's `body`. What reads digits is body and head together: return the whole "
    "network.",
)
def _(model, source, target_images):
    return _statistics(model, target_images).body


@misconception(
    "adapt_without_labels",
    "left_in_training_mode",
    hint="The network comes back in training mode: BatchNorm wants a whole batch then, and a single image cannot be read. End with "
    "`adapt_batchnorm(model, target_images)`, which also leaves it in `eval()`.",
)
def _(model, source, target_images):
    return _statistics(model, target_images).train()


@misconception(
    "adapt_without_labels",
    "returns_digits",
    hint="You return what the network reads on `target_images`. It will be examined on *other* handwriting: return the network.",
)
def _(model, source, target_images):
    return _statistics(model, target_images)(target_images).argmax(dim=1)

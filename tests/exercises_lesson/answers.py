"""Other right answers and known wrong ones of the small lesson."""

import torch

from tlkit.exercises import accept, alternative, misconception, right


@alternative("center", "a matrix product with the centring matrix")
def _(x):
    n = len(x)
    return (torch.eye(n) - torch.ones(n, n) / n) @ x


@misconception(
    "center", "rows", hint="You subtracted the mean of each row; a feature is a column: use dim=0."
)
def _(x):
    return x - x.mean(dim=1, keepdim=True)


@misconception(
    "center", "one_mean", hint="You subtracted one mean over all values; each feature has its own."
)
def _(x):
    return x - x.mean()


@misconception(
    "center", "in_place", hint="You changed the input itself: -= writes into the tensor you were given."
)
def _(x):
    x -= x.mean(dim=0)
    return x


@misconception("center", "noise", hint="You added noise.")
def _(x):
    return right("center")(x) + torch.randn_like(x)


@alternative("freeze", "by name")
def _(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("head"))
    return model


@misconception("freeze", "head_too", hint="You froze the head as well: nothing is left to learn.")
def _(model):
    for parameter in model.parameters():
        parameter.requires_grad = False


@misconception("freeze", "nothing", hint="`parameter.require_grad = False` sets an attribute nobody reads.")
def _(model):
    for parameter in model.body.parameters():
        parameter.require_grad = False


@alternative("Scaler", "statistics kept apart")
class _:
    def fit(self, x):
        self.x = x.clone()

    def transform(self, x):
        return (x - self.x.mean(0)) / self.x.std(0)


@misconception("Scaler", "test_statistics", hint="You standardised with the test set's own statistics.")
class _:
    def fit(self, x):
        return self

    def transform(self, x):
        return (x - x.mean(dim=0)) / x.std(dim=0)


@misconception("Scaler", "biased", hint="You divided by n: torch.std divides by n - 1 unless told otherwise.")
class _:
    def fit(self, x):
        self.mean, self.std = x.mean(dim=0), x.std(dim=0, correction=0)

    def transform(self, x):
        return (x - self.mean) / self.std


accept("center", rtol=1e-4, atol=1e-5)

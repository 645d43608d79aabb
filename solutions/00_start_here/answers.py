"""Other right answers and known wrong ones for lesson 00. Never released."""

import torch

from tlkit.exercises import alternative, misconception


@alternative("accuracy", "a Python number, counted in a loop")
def _(logits, labels):
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        right += row.index(max(row)) == label
    return right / len(labels)


@alternative("accuracy", "a tensor without dimensions")
def _(logits, labels):
    return (logits.argmax(1) == labels).float().mean()


@alternative("accuracy", "through probabilities and NumPy")
def _(logits, labels):
    import numpy as np

    probabilities = torch.softmax(logits, dim=1).numpy()
    return np.mean(probabilities.argmax(axis=1) == labels.numpy())


@alternative("accuracy", "True or False counted in NumPy, from the position of the largest in a sorted row")
def _(logits, labels):
    import numpy as np

    return np.count_nonzero(np.argsort(logits.numpy(), axis=1)[:, -1] == labels.numpy()) / len(labels)


@alternative("accuracy", "the logit at the label is the largest of its row")
def _(logits, labels):
    return (logits.gather(1, labels[:, None])[:, 0] == logits.amax(dim=1)).double().mean()


@misconception(
    "accuracy",
    "percent",
    hint="Your number is a hundred times too large: it is in percent. An accuracy lies between 0 and 1, so that it "
    "can be compared with a probability without asking which of the two was meant.",
)
def _(logits, labels):
    return 100 * (logits.argmax(dim=1) == labels).float().mean().item()


@misconception(
    "accuracy",
    "count",
    hint="You count the right answers. Counts from sets of different size cannot be compared; divide by the "
    "number of images.",
)
def _(logits, labels):
    return (logits.argmax(dim=1) == labels).sum().item()


@misconception(
    "accuracy",
    "over_images",
    hint="`argmax(dim=0)` goes down the columns: for each class it finds the *image* with the largest logit. "
    "You want one class for each image: the largest entry of a row, `dim=1`. "
    "On a square table the mistake raises no error.",
)
def _(logits, labels):
    return (logits.argmax(dim=0) == labels).float().mean().item()


@misconception(
    "accuracy",
    "over_everything",
    hint="Without `dim`, `argmax` looks for the largest entry of the whole table and returns one position for all "
    "images. Give it `dim=1`, so that every row gets its own answer.",
)
def _(logits, labels):
    return (logits.argmax() == labels).float().mean().item()


@misconception(
    "accuracy",
    "all_or_nothing",
    hint="You get 1 where every answer is right and 0 everywhere else. `torch.equal` does that (it asks whether *all* "
    "are right), and so does `//`, which drops what comes after the decimal point. You want the share: `==`, then mean.",
)
def _(logits, labels):
    return float(torch.equal(logits.argmax(dim=1), labels))


@misconception(
    "accuracy",
    "error_rate",
    hint="This is the share of *wrong* answers, the error rate. The accuracy is one minus that.",
)
def _(logits, labels):
    return (logits.argmax(dim=1) != labels).float().mean().item()


@misconception(
    "accuracy",
    "confidence",
    hint="You average how *sure* the network is, and the labels never enter. A network can be sure and wrong; "
    "accuracy asks only whether the largest logit stands at the label.",
)
def _(logits, labels):
    return torch.softmax(logits, dim=1).amax(dim=1).mean().item()


@misconception(
    "accuracy",
    "probability_of_label",
    hint="This is the mean probability given to the right class. It rises and falls with the accuracy, but it "
    "is another number: accuracy counts an answer as right or wrong, whatever its margin.",
)
def _(logits, labels):
    return torch.softmax(logits, dim=1).gather(1, labels[:, None]).mean().item()


@misconception(
    "accuracy",
    "scores_for_classes",
    hint="By your count no answer is right, not even where all of them are. Are they class numbers that you compare "
    "with the labels, by `==`? `max(dim=1)` finds the largest *scores*; the class is where it stands: `argmax(dim=1)`.",
)
def _(logits, labels):
    return (logits.max(dim=1).values == labels).float().mean().item()


@misconception(
    "accuracy",
    "two_things",
    hint="`max(dim=1)` returns two things at once, the largest scores and where they stand. Compared with a tensor, "
    "the pair is plainly `False`. Take the second, or use `argmax(dim=1)`.",
)
def _(logits, labels):
    return (logits.max(dim=1) == labels).float().mean().item()


@misconception(
    "accuracy",
    "mean_of_bools",
    hint="PyTorch takes no mean of True and False. Make numbers of them first, `.float()`: True counts as 1.",
)
def _(logits, labels):
    return (logits.argmax(dim=1) == labels).mean().item()


@misconception(
    "accuracy",
    "each_with_each",
    hint="Answers as a column, `[N, 1]`, compared with labels `[N]` make a table `[N, N]`: each answer meets the labels "
    "of all images. Both should be `[N]`: leave out `keepdim=True`, or `.squeeze(1)`.",
)
def _(logits, labels):
    return (logits.argmax(dim=1, keepdim=True) == labels).float().mean().item()


@misconception(
    "accuracy",
    "by_classes",
    hint="You divide by the number of classes, the columns of the table. The share is taken over the images, which are "
    "its rows.",
)
def _(logits, labels):
    return (logits.argmax(dim=1) == labels).sum().item() / logits.shape[1]


@misconception(
    "accuracy",
    "in_place",
    hint="The number may be right, but your function changes the logits it was given, and whoever uses them next has "
    "others. `-=` and methods that end in `_` work in place; write `x = x - ...`.",
)
def _(logits, labels):
    logits -= logits.amax(dim=1, keepdim=True)
    return (logits.argmax(dim=1) == labels).float().mean().item()

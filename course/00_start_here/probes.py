"""What is measured of the exercise in lesson 00, and its question. Values only: no solution is in here."""

from tlkit.exercises import exercise, probe, question, tensor

exercise(
    "accuracy",
    difficulty=1,
    minutes=5,
    why="Every comparison in this course ends in this one number, and now you know exactly what it counts.",
    hints=(
        "The network's answer for an image is the class with the largest logit. Turn logits into answers first, "
        "then compare them with the labels.",
        "`logits.argmax(dim=1)` gives one class an image. `predicted == labels` gives one True or False an image.",
        "The share of True in a tensor of bools is its mean, once it holds numbers: "
        "`(predicted == labels).float().mean()`. `.item()` makes a Python number of it.",
    ),
)


def answers(rng, images, classes):
    """Logits ``[images, classes]`` and labels ``[images]``, about two thirds of which the logits get right.

    The largest logit of all is one of the first image's: its place in the whole table is a class, too.
    """
    logits = tensor(rng, images, classes)
    logits = logits.roll(-int(logits.amax(dim=1).argmax()), dims=0)
    labels = logits.argmax(dim=1)
    wrong = rng.permutation(images)[: int(rng.integers(images // 4, images // 2))]
    for i in wrong:
        labels[i] = (labels[i] + int(rng.integers(1, classes))) % classes
    return logits, labels


@probe("accuracy", points=1)
def _(accuracy, rng):
    """Many images, a few classes."""
    images, classes = int(rng.integers(20, 40)), int(rng.integers(3, 7))
    logits, labels = answers(rng, images, classes)
    best, worst = logits.argmax(dim=1), logits.argmin(dim=1)
    return {
        "the accuracy of answers partly right": accuracy(logits, labels),
        "the accuracy where every answer is right": accuracy(logits, best),
        "the accuracy where every answer is wrong": accuracy(logits, worst),
    }


@probe("accuracy", points=1)
def _(accuracy, rng):
    """As many images as classes.

    Here rows and columns can be mistaken for each other without an error message.
    """
    size = int(rng.integers(9, 14))
    logits, labels = answers(rng, size, size)
    return {
        "the accuracy on a square table of logits": accuracy(logits, labels),
        "the logits, after your function has seen them": logits,
    }


question(
    "first_result",
    prompt="A network has read nothing but printed letters. We show it ten examples of each handwritten digit. "
    "How many of 800 digits it never saw will it then read correctly?",
    choices={
        "About one in ten": "That is guessing: ten digits, one is right. A network that knows how strokes, corners "
        "and loops look does not start from nothing.",
        "About half": "A sensible guess for a network that has to learn everything from a hundred images. "
        "This one only has to learn which of the shapes that it already tells apart are called 3.",
        "About three in four": "Too careful: even a network with random weights does better than that, as lesson 01 "
        "shows. And what was learned on letters is worth a good deal more.",
        "More than nine in ten": "Yes. Letters and digits are made of the same strokes, so what tells letters apart "
        "tells digits apart as well. That is transfer.",
    },
    answer="More than nine in ten",
)

question(
    "is_it_transfer",
    prompt="Three of these are transfer learning. Which one is not?",
    choices={
        "A network trained on photos from the web is adjusted to X-ray images": "This is transfer: the images "
        "differ (another domain), and so does what is asked (another task). It is lesson 02.",
        "Spam rules learned on one person's mail are used for a colleague, whose mail has no labels": "This is "
        "transfer: the question is the same, the mail is distributed differently. It is called domain "
        "adaptation, and it is lesson 03.",
        "A small network learns to give the answers of a large one": "This is transfer, from network to network: "
        "distillation. It is lesson 04.",
        "A network is trained on half of a shuffled data set and tested on the other half": "Right: source and "
        "target are the same domain and the same task. That is ordinary generalisation. Transfer begins "
        "where one of them changes.",
    },
    answer="A network is trained on half of a shuffled data set and tested on the other half",
)

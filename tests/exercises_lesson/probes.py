"""A small lesson for the tests of tlkit.exercises: two functions and a class."""

from tlkit.exercises import exercise, probe, question, small_backbone, tensor

exercise(
    "center",
    difficulty=1,
    minutes=5,
    why="Centred features make a linear probe independent of the origin.",
    hints=("What is the mean of each column?", "x.mean(dim=0) has shape [D].", "Return x - x.mean(dim=0)."),
)


@probe("center", points=2)
def _(center, rng):
    """Every feature is centred on its own mean."""
    x = tensor(rng, 8, 3) + 5.0
    return {"centred features": center(x), "features far from zero": center(x * 10.0)}


@probe("center", points=1)
def _(center, rng):
    """The input stays as it was."""
    x = tensor(rng, 4, 2) + 2.0
    centred = center(x)
    return {"the input after the call": x, "the result": centred}


exercise(
    "freeze",
    difficulty=2,
    minutes=5,
    why="A frozen backbone keeps what it learned from the source.",
    hints=("Which parameters belong to the head?",),
)


@probe("freeze", points=2)
def _(freeze, rng):
    """Only the head learns."""
    model = small_backbone(rng)
    freeze(model)
    images = tensor(rng, 4, 1, 8, 8)
    loss = model(images).square().sum()
    if loss.requires_grad:
        loss.backward()
    gradients = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    return {"gradient norms": gradients}


exercise(
    "Scaler", difficulty=1, minutes=3, why="State is what a class is for.", hints=("Keep the mean in fit.",)
)


@probe("Scaler", points=2)
def _(Scaler, rng):
    """Statistics come from the data given to fit."""
    train, test = tensor(rng, 16, 3) * 2 + 1, tensor(rng, 5, 3)
    scaler = Scaler()
    scaler.fit(train)
    return {"test features": scaler.transform(test)}


question(
    "which_mean",
    prompt="Which mean is subtracted?",
    choices={"of each column": "Yes: a feature is a column.", "of each row": "No: a row is one example."},
    answer="of each column",
)

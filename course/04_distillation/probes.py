"""What is measured of each exercise in lesson 04, and its questions. Values only: no solution is in here."""

import time
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from tlkit.exercises import exercise, fill, gradient_at, probe, question, small_backbone, tensor

# --- soften -----------------------------------------------------------------------------------------------

exercise(
    "soften",
    difficulty=1,
    minutes=5,
    why="One number turns an answer into a lesson: the warmer, the more of the teacher's doubts become visible.",
    hints=(
        "A temperature of 1 is the ordinary softmax. What has to happen to the logits before it?",
        "Divide the logits by the temperature. Then softmax over the classes, the last dimension.",
        "`torch.softmax(logits / temperature, dim=-1)`. PyTorch subtracts the largest logit itself, so that large "
        "logits do no harm.",
    ),
)


@probe("soften", points=1)
def _(soften, rng):
    """Each row becomes probabilities, softer where it is warmer."""
    logits, warm = 3 * tensor(rng, 4, 5), float(rng.uniform(2, 6))
    return {
        "probabilities at temperature 1": soften(logits, 1.0),
        "probabilities at a higher temperature": soften(logits, warm),
        "probabilities at a temperature below 1": soften(logits, float(rng.uniform(0.3, 0.7))),
    }


@probe("soften", points=1)
def _(soften, rng):
    """Large logits do no harm, and gradients pass."""
    logits = (100 + 30 * tensor(rng, 3, 4)).requires_grad_()
    weight, temperature = tensor(rng, 3, 4), float(rng.uniform(8, 15))
    soft = soften(logits, temperature)
    if soft.requires_grad:
        (soft * weight).sum().backward()
    with torch.no_grad():
        cold = soften(logits.detach(), 0.25)
    return {"probabilities": soft, "gradient of the logits": gradient_at(logits), "class that keeps all when it is cold": cold.argmax(-1),
            "its probability": cold.amax(-1)}  # fmt: skip


# --- distillation_loss ------------------------------------------------------------------------------------

exercise(
    "distillation_loss",
    difficulty=3,
    minutes=15,
    why="The factor T² keeps the teacher's pull as strong as before when you turn the temperature, so alpha means the "
    "same at every T.",
    hints=(
        "Two losses are mixed. One compares two softened distributions, the other is the cross-entropy you know, "
        "with the logits as they came.",
        "`F.kl_div(input, target)` computes KL(target ‖ input); it wants *log*-probabilities as input and asks how to "
        "average: `reduction='batchmean'`. Teacher is the target, and it must not receive gradients.",
        "`soft = F.kl_div(F.log_softmax(student_logits / T, dim=1), F.softmax(teacher_logits.detach() / T, dim=1), "
        "reduction='batchmean')`; the result is `alpha * T**2 * soft + (1 - alpha) * hard`.",
    ),
)


def lesson_for(rng, count=6, classes=5):
    """Logits of a student and a teacher, labels, a temperature and an alpha."""
    student, teacher = 2 * tensor(rng, count, classes), 3 * tensor(rng, count, classes)
    labels = torch.from_numpy(rng.integers(0, classes, count))
    return student, teacher, labels, float(rng.uniform(2, 5)), float(rng.uniform(0.6, 0.9))


@probe("distillation_loss", points=1)
def _(distillation_loss, rng):
    """With alpha = 0 only the labels count, at their own temperature."""
    student, teacher, labels, temperature, _ = lesson_for(rng)
    agreeing = teacher.clone()
    return {
        "loss with alpha 0": distillation_loss(student, teacher, labels, temperature, 0.0),
        "loss with alpha 0, the student's logits equal to the teacher's": distillation_loss(
            agreeing, teacher, labels, temperature, 0.0
        ),
    }


@probe("distillation_loss", points=2)
def _(distillation_loss, rng):
    """With alpha = 1 only the teacher counts: T² times the divergence, as a mean over the batch."""
    student, teacher, labels, temperature, _ = lesson_for(rng)
    agreed = distillation_loss(teacher.clone(), teacher, labels, temperature, 1.0)
    if isinstance(agreed, torch.Tensor):
        agreed = agreed.round(decimals=5) + 0.0  # nobody should have to read -2e-07, or -0, where 0 is meant
    return {
        "loss with alpha 1, T = 1": distillation_loss(student, teacher, labels, 1.0, 1.0),
        "loss with alpha 1, warmer": distillation_loss(student, teacher, labels, temperature, 1.0),
        "the same, every image twice in the batch": distillation_loss(
            *(torch.cat([x, x]) for x in (student, teacher, labels)), temperature, 1.0
        ),
        "loss of a student who says what the teacher says": agreed,
    }


@probe("distillation_loss", points=2)
def _(distillation_loss, rng):
    """Mixed, it teaches the student and leaves the teacher alone."""
    student, teacher, labels, temperature, alpha = lesson_for(rng)
    student.requires_grad_()
    teacher.requires_grad_()
    loss = distillation_loss(student, teacher, labels, temperature, alpha)
    if loss.requires_grad:
        loss.backward()
    return {
        "loss": loss,
        "gradient that the student gets": gradient_at(student),
        "largest gradient that the teacher gets": float(gradient_at(teacher).abs().max()),
    }


# --- hint_loss --------------------------------------------------------------------------------------------

exercise(
    "hint_loss",
    difficulty=2,
    minutes=8,
    why="A hint shows the student not only what to answer but what to see on the way. The regressor is thrown away "
    "afterwards.",
    hints=(
        "Student and teacher have maps of different width. Which of the two has to be translated into the other's "
        "channels, and which one must stay as it is?",
        "The regressor goes on the *student's* map. The teacher's is a target: cut it off from the graph.",
        "`F.mse_loss(regressor(student_map), teacher_map.detach())`.",
    ),
)


def maps_and_regressor(rng, width=3, wide=5):
    """A student's map [4, width, 6, 6], a teacher's [4, wide, 6, 6], and a 1x1 convolution between them."""
    return tensor(rng, 4, width, 6, 6), tensor(rng, 4, wide, 6, 6), fill(nn.Conv2d(width, wide, 1), rng)


@probe("hint_loss", points=1)
def _(hint_loss, rng):
    """The mean squared difference, after the student's map went through the regressor."""
    student, teacher, regressor = maps_and_regressor(rng)
    _, same_width, square = maps_and_regressor(rng, 5, 5)
    with torch.no_grad():
        reached = regressor(student)
    return {
        "loss": hint_loss(student, teacher, regressor),
        "loss where both have the same width": hint_loss(teacher, same_width, square),
        "loss of a student who has got there": hint_loss(student, reached, regressor),
    }


@probe("hint_loss", points=2)
def _(hint_loss, rng):
    """Student and regressor learn; the teacher gets no gradient."""
    student, teacher, regressor = maps_and_regressor(rng)
    student.requires_grad_()
    teacher.requires_grad_()
    loss = hint_loss(student, teacher, regressor)
    if loss.requires_grad:
        loss.backward()
    return {
        "gradient of the student's map": gradient_at(student),
        "gradient of the regressor's weight": gradient_at(regressor.weight),
        "largest gradient of the teacher's map": float(gradient_at(teacher).abs().max()),
    }


# --- attention_map ----------------------------------------------------------------------------------------

exercise(
    "attention_map",
    difficulty=2,
    minutes=8,
    why="Channels are gone: a map of where the network looks can be compared between networks of any width.",
    hints=(
        "For each place of the map, one number says how strongly it answers: add up over the channels, which are "
        "dimension 1. Channels may be negative.",
        "Square, sum over channels, then lay each image's map out as one row. Normalise each *row* to length 1.",
        "`F.normalize(feature_map.square().sum(dim=1).flatten(1), dim=1)`.",
    ),
)


@probe("attention_map", points=1)
def _(attention_map, rng):
    """One row an image: the squares, summed over the channels, of length 1."""
    maps = tensor(rng, 3, 4, 5, 2)
    found = attention_map(maps)
    return {
        "attention": found,
        "length of each row": found.reshape(len(found), -1).norm(dim=1),
        "attention of a map with a single channel": attention_map(maps[:, :1]),
    }


@probe("attention_map", points=1)
def _(attention_map, rng):
    """Each image by itself: neither its brightness nor its neighbours in the batch matter."""
    maps = tensor(rng, 3, 4, 3, 3)
    louder = maps * torch.tensor([1.0, 3.0, 0.2]).view(3, 1, 1, 1)
    found = maps.clone().requires_grad_()
    weight = tensor(rng, 9)
    row = attention_map(found)[0].flatten()
    if row.requires_grad:
        (row * weight).sum().backward()
    return {
        "attention of louder and quieter images": attention_map(louder),
        "attention of one image alone": attention_map(maps[1:2]),
        "gradient of the map": gradient_at(found),
    }


# --- attention_transfer_loss ------------------------------------------------------------------------------

exercise(
    "attention_transfer_loss",
    difficulty=2,
    minutes=8,
    why="No regressor, no matching widths: the student is told where to look, and is free in what it sees there.",
    hints=(
        "Maps come in pairs, one pair a layer. For each pair: how far apart are the two attention maps of each image?",
        "Squared distance of two rows: square the difference, *sum* over the places. Then the mean over the batch, and "
        "the sum over the layers. The teacher is a target.",
        "`(attention_map(s) - attention_map(t.detach())).square().sum(dim=1).mean()` for a pair `s, t` out of "
        "`zip(student_maps, teacher_maps)`; add these up.",
    ),
)


def three_layers(rng):
    """Maps of three layers of a student and of a teacher that is twice as wide."""
    sizes = ((6, 6), (4, 4), (3, 3))
    return [tensor(rng, 4, 2, *s) for s in sizes], [tensor(rng, 4, 4, *s) for s in sizes]


@probe("attention_transfer_loss", points=1)
def _(attention_transfer_loss, rng):
    """Squared distances, mean over the batch, sum over the layers."""
    student, teacher = three_layers(rng)
    return {
        "loss over three layers": attention_transfer_loss(student, teacher),
        "loss of the first layer alone": attention_transfer_loss(student[:1], teacher[:1]),
        "loss of a student whose maps are the teacher's, but louder": attention_transfer_loss(
            [3 * t for t in teacher], teacher
        ),
    }


@probe("attention_transfer_loss", points=1)
def _(attention_transfer_loss, rng):
    """The student's layers get gradients, the teacher's none."""
    student, teacher = three_layers(rng)
    for layer in (*student, *teacher):
        layer.requires_grad_()
    loss = attention_transfer_loss(student, teacher)
    if loss.requires_grad:
        loss.backward()
    return {
        "gradient of the student's first layer": gradient_at(student[0]),
        "gradient of the student's last layer": gradient_at(student[-1]),
        "layers of the teacher that got a gradient": [
            i for i, layer in enumerate(teacher) if bool(gradient_at(layer).abs().max() > 0)
        ],
    }


# --- compression_report -----------------------------------------------------------------------------------

exercise(
    "compression_report",
    difficulty=3,
    minutes=15,
    seeds=2,
    why="Four sizes, and they do not shrink together: a network with a tenth of the parameters need not be ten "
    "times as fast. Report what your device is short of.",
    hints=(
        "Parameters and bytes can be read off the model. Multiply-adds need a forward pass: a hook on each `nn.Conv2d` "
        "and `nn.Linear` sees the output, and knows the layer.",
        "Every number of a layer's output for one image costs as many multiply-adds as its filter has weights. So a "
        "layer costs `weight.numel()` times the number of places it is applied at: `output[0].numel() / channels out`.",
        "In the hook: `count += layer.weight.numel() * output[0].numel() // layer.weight.shape[0]`. Bytes: sum "
        "`value.numel() * value.element_size()` over `[*model.parameters(), *model.buffers()]`. Seconds: a few timed "
        "passes under `no_grad`, the median. Note `training` of *each* module beforehand, put it back, and remove the hooks.",
    ),
)


class Slow(nn.Module):
    """Passes images on, each in its time: the first batch takes much longer, as with real networks on a cold start."""

    def __init__(self, first: float, each: float) -> None:
        super().__init__()
        self.first, self.each, self.graph = first, each, False

    def forward(self, images):
        time.sleep(self.first + self.each * len(images))
        self.first = 0.0
        self.graph |= torch.is_grad_enabled()
        return images


def pair_of_networks(rng):
    """A teacher with grouped and strided convolutions, a small student, and an example batch of two or three."""
    a, b = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    teacher = nn.Sequential(
        nn.Conv2d(1, 2 * a, 3, padding=1),
        nn.BatchNorm2d(2 * a),
        nn.ReLU(),
        nn.Conv2d(2 * a, 4 * a, 3, stride=2, padding=1, groups=2, bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * a, b),
    )
    teacher[0].requires_grad_(False)  # a frozen layer has to be stored and computed like any other
    student = nn.Sequential(
        nn.Conv2d(1, a, 5, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, b)
    )
    return fill(teacher, rng), fill(student, rng), tensor(rng, int(rng.integers(2, 4)), 1, 12, 12)


@probe("compression_report", points=1)
def _(compression_report, rng):
    """Parameters and bytes of both networks."""
    teacher, student, example = pair_of_networks(rng)
    report = compression_report(teacher, student, example)
    precise = compression_report(
        small_backbone(rng).double(), student.double(), tensor(rng, 2, 1, 12, 12).double()
    )
    return {
        "parameters": {who: report[who]["parameters"] for who in ("teacher", "student")},
        "bytes": {who: report[who]["bytes"] for who in ("teacher", "student")},
        "bytes of two networks in double precision": {who: precise[who]["bytes"] for who in report},
    }


@probe("compression_report", points=1)
def _(compression_report, rng):
    """Multiply-adds for one image."""
    teacher, student, example = pair_of_networks(rng)
    report = compression_report(teacher, student, example)
    larger = compression_report(teacher, student, tensor(rng, 5, 1, 16, 16))
    return {
        "multiply-adds": {who: report[who]["multiply_adds"] for who in ("teacher", "student")},
        "multiply-adds for larger images": {
            who: larger[who]["multiply_adds"] for who in ("teacher", "student")
        },
    }


@probe("compression_report", points=1)
def _(compression_report, rng):
    """Seconds for one pass, measured warm, and both networks left as they were."""
    teacher, student, _ = pair_of_networks(rng)
    norm, held = fill(nn.BatchNorm2d(1), rng), teacher[1]
    teacher = nn.Sequential(Slow(0.25, 0.004), norm, teacher).train()
    held.eval()  # as in lesson 02, while the network around it may learn
    student = nn.Sequential(Slow(0.0, 0.0), student).eval()
    report = compression_report(teacher, student, tensor(rng, 3, 1, 12, 12))
    return {
        "seconds for the teacher, which needs 0.004 for each of 3 images": report["teacher"]["seconds"],
        "seconds for the student": report["student"]["seconds"],
        "a graph was built": teacher[0].graph,
        "in training mode afterwards": {
            "teacher": teacher.training,
            "the teacher's second BatchNorm, which was held": held.training,
            "student": student.training,
        },
        "the teacher's running mean afterwards": norm.running_mean,
        "hooks left behind": sum(len(m._forward_hooks) for net in (teacher, student) for m in net.modules()),
    }


# --- teach_student ----------------------------------------------------------------------------------------

exercise(
    "teach_student",
    difficulty=4,
    minutes=20,
    seconds=120,
    seeds=1,
    why="One parameter for every 29 of its teacher's, no label but the same hundred, and nearly all of the skill: this small "
    "network lacked not capacity, but answers to learn from.",
    hints=(
        "Which images can the student learn from without knowing their labels, and who can answer for them? Ask the "
        "teacher about all of them, once, before the training.",
        "With the teacher's logits in place of labels, `fit(student, (unlabelled, answers), …, loss=…)` does the rest: "
        "its loss is called with the student's logits and the teacher's for the same images.",
        "`answers = extract(teacher, unlabelled)`; a loss `lambda ours, theirs: distillation_loss(ours, theirs, "
        "theirs.argmax(dim=1), 4.0, 1.0)`; fit for 8 epochs with a learning rate of 5e-3 that falls to 0. Or for 3 at 3e-2, "
        "rising over the first steps, and then a `linear_probe` on the student's own features, with what the teacher names as "
        "labels, for its head.",
    ),
)


def small_network(rng):
    """An untrained student of three convolutions, 15,530 parameters; the teacher has 29 times as many."""
    body = nn.Sequential(
        *(nn.Conv2d(1, 16, 4, stride=4, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
    )
    network = nn.Sequential(OrderedDict(body=body, head=nn.Linear(128, 10)))  # the names it has in the lesson
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.copy_(tensor(rng, *layer.weight.shape) * (2 / fan) ** 0.5)
                if layer.bias is not None:
                    layer.bias.zero_()
    return network


def teacher_of_ten(rng):
    """glyphnet with a head fitted on ten labels a class; those digits, the others without labels, and the test digits."""
    from tlkit import extract, linear_probe, load_backbone
    from tlkit.data import digits_split

    pool, exam = digits_split()
    order = torch.from_numpy(rng.permutation(len(pool)))
    rank = F.one_hot(pool.labels[order], 10).cumsum(dim=0).gather(1, pool.labels[order, None])[:, 0]
    labelled, others = pool.subset(order[rank <= 10]), pool.subset(order[rank > 10])
    teacher = load_backbone("glyphnet")
    teacher.head = linear_probe(
        extract(teacher.body, labelled.images), labelled.labels, 10, l2=0.1
    ).as_linear()
    return teacher, labelled, others, exam


@probe("teach_student", points=3)
def _(teach_student, rng):
    """A student a thirtieth of the size, within two points of its teacher on digits that neither has seen."""
    teacher, labelled, unlabelled, exam = teacher_of_ten(rng)
    student, asked = small_network(rng), []
    exam = exam.subset(torch.from_numpy(rng.permutation(len(exam))))  # else answers of one case would fit another
    theirs = (read(teacher, exam.images) == exam.labels).double().mean()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    watch = teacher.body.register_forward_hook(lambda body, images, features: asked.append(len(features)))
    taught = teach_student(teacher, student, unlabelled.images, labelled.images, labelled.labels)
    watch.remove()
    moved = [name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])]
    ours = read(taught, exam.images)
    return {
        "digits as the student reads them": ours,
        "true digits": exam.labels,
        "points that the student lies behind its teacher": 100
        * float(theirs - (ours == exam.labels).double().mean()),
        "parameters of the network you return": sum(p.numel() for p in taught.parameters()),
        "weights of the teacher that changed": [
            name for name in moved if name in dict(teacher.named_parameters())
        ],
        "running statistics of the teacher that changed": [
            name for name in moved if name.endswith("running_mean")
        ],
        "images the teacher was asked about": sum(asked),
    }


def read(network, images):
    """The digits that a network reads, [N], in evaluation mode."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        digits = torch.cat([network(some).argmax(dim=1) for some in images.split(256)])
    network.train(was_training)
    return digits


# --- why_soft ---------------------------------------------------------------------------------------------

question(
    "what_is_in_the_answer",
    prompt="The teacher reads a four that looks a little like a nine. Its label says *four*. What does the teacher's answer "
    "tell that the label does not?",
    choices={
        "Nothing: both say four": "Their largest entries agree. But the teacher gives a number to each of the other nine "
        "digits too, and these numbers are not all alike.",
        "How sure the teacher is": "That too. But there is more: not only *how much* is left over, but how it is shared "
        "out among the other digits.",
        "Which other digits the image resembles, and how much": "Yes. Nine gets more than zero or one, and that holds for "
        "this very image. Hinton calls it dark knowledge: a hundred labels hold a hundred facts, soft answers many more.",
        "Whether the label is right": "A teacher may well notice a wrong label, but it may also be wrong itself. Its "
        "answer is an opinion, and that will matter at the end of this lesson.",
    },
    answer="Which other digits the image resembles, and how much",
)

question(
    "without_t_squared",
    prompt="You train with alpha = 0.9, and raise the temperature from 1 to 8, but forget the factor T². What happens?",
    choices={
        "Nothing: a constant factor does not move the minimum": "True if it were the only term. Here it is mixed with "
        "the labels' loss, whose size does not change.",
        "The student listens almost only to the labels": "Yes. The gradient of the soft part shrinks about as 1/T², to a "
        "few hundredths, and 0.9 of almost nothing is almost nothing. T² undoes that.",
        "The student listens almost only to the teacher": "The other way round: warm distributions are all nearly "
        "uniform, so their divergence, and its gradient, become tiny.",
        "Training diverges": "Gradients get smaller without T², not larger.",
    },
    answer="The student listens almost only to the labels",
)

question(
    "who_wins",
    prompt="The small student never sees a label beyond the hundred that the teacher had. The teacher answers for 897 "
    "other digits. Where will the student end?",
    choices={
        "With the small network trained on the hundred labels: it has no other": "It has something else: 897 images with "
        "an opinion on each, right far more often than not.",
        "Halfway: a fifteenth of the size has to cost something": "It costs little here. To read ten digits, this size is "
        "nearly enough; the larger network was needed to *find* the answers from a hundred labels.",
        "Close to its teacher": "Yes; the exercise below measures how close. Learning from few examples is hard, learning "
        "from many answers much less so.",
        "Above its teacher, on every draw": "It can happen: averaging over many images smooths out some of the teacher's "
        "slips. But nothing makes it happen every time.",
    },
    answer="Close to its teacher",
)

question(
    "generations",
    prompt="Now teacher and student have the *same* size. The student becomes the teacher of the next one, and so on. What "
    "do you expect?",
    choices={
        "Each generation is clearly better": "Furlanello et al. did see gains, even from answers alone, but they faded "
        "after a few generations. And their first teacher had labels for all the images; ours has a hundred.",
        "A little better at first if at all, then no more": "Yes. What can be gained is smoothing; no new fact about digits "
        "enters, and mistakes that are passed on become harder to lose.",
        "Each is clearly worse, as with a photocopy of a photocopy": "A fair guess. But a copy of answers on the same "
        "images is easy to make, so little gets lost on the way.",
    },
    answer="A little better at first if at all, then no more",
)

question(
    "wrong_teacher",
    prompt="A teacher was trained with a fault: every 7 in its few labels was called a 1. It teaches a student on unlabelled "
    "digits. What does the student do with sevens?",
    choices={
        "It reads most of them right: 897 clean images correct the fault": "The images are clean, but they come without "
        "labels. All the student hears about a seven is what the teacher says.",
        "It calls them 1, as its teacher does": "Yes. A student inherits faults with the same ease as skill. And the "
        "teacher is *confident*: no warning comes with it.",
        "It learns nothing at all": "For the other eight digits it learns as well as ever; that is what makes the fault "
        "so easy to overlook in one overall number.",
    },
    answer="It calls them 1, as its teacher does",
)

# %% [markdown]
# # 00 · Start here
#
# > **In this lesson you**
# > - see knowledge move from printed letters to handwritten digits, in three short cells;
# > - place the lessons of this course on one map;
# > - make sure that your machine is fit;
# > - solve a first exercise, and learn what `check` and `hint` do for you;
# > - freeze a part of a network with a click.
# >
# > {lesson:points} points to practise with · about 25 minutes · no GPU, no download

# %% [markdown]
# A child who can read letters does not learn digits from nothing. It already knows lines, corners and loops; it only
# has to learn which of them are called *three*. **Transfer learning** lets networks do the same: what was learned on
# one task, the *source*, is put to work on another, the *target*, where labels are few.
#
# Run each cell with Shift + Enter, from top to bottom.

# %% tags=["setup"]
import torch
from tlkit import LayerBoard, check, extract, hint, linear_probe, load_backbone, quiz
from tlkit.data import digits_split, few_shot, printed_letters
from tlkit.plots import show_images

# %% [markdown]
# ## A result first
#
# `glyphnet` is a small network that comes with this course. It has learned to tell apart printed letters of many
# scripts, and has never been shown a digit. This is what it was trained on:

# %% tags=["demo"]
backbone = load_backbone("glyphnet")
some = backbone.classes[:60:6] + backbone.classes[60::24][:10]
letters = printed_letters(per_class=1, seed=1, characters="".join(some))
show_images(letters.images, letters.labels, letters.classes, columns=10, title="Printed letters: the source")

# %% [markdown]
# And this is where we want to use it: digits that people wrote by hand, scanned long ago and kept at eight by eight
# pixels (Alpaydin and Kaynak 1998). Some of them, the *pool*, we may learn from; 800 others are for the final test
# only. From the pool we draw **ten examples of each digit**, a hundred labels in all.

# %% tags=["demo"]
pool, test = digits_split()
few = few_shot(pool, per_class=10, seed=0)
show_images(few.images[::5], few.labels[::5], few.classes, columns=10, title="Handwritten digits: the target")

# %% [markdown]
# Before you run on, commit yourself. A prediction that turns out wrong teaches more than a result that is merely read.

# %% tags=["demo"]
quiz("first_result")

# %% [markdown]
# Now the three cells. First the network looks at every image once and describes it by a row of numbers, its
# **features**. Nothing is trained here.

# %% tags=["demo"]
few_features = extract(backbone.body, backbone.transform(few.images))
test_features = extract(backbone.body, backbone.transform(test.images))
few_features.shape

# %% [markdown]
# Second, the plainest of all classifiers, a linear one, learns from the hundred labelled rows.

# %% tags=["demo"]
probe = linear_probe(few_features, few.labels, num_classes=10)

# %% [markdown]
# Third, it reads the 800 digits that neither it nor the network has ever seen.

# %% tags=["demo"]
share = probe.accuracy(test_features, test.labels)
print(f"{share:.1%} of {len(test)} digits read correctly, after {len(few)} labelled examples")

# %% [markdown]
# That is the subject of this course: not a cleverer classifier, but knowledge that was already there. Here are digits it
# reads, and some that it gets wrong. Look at the wrong ones: would you have read all of them?

# %% tags=["demo"]
predicted = probe.predict(test_features)
mistakes = (predicted != test.labels).nonzero().flatten()[:10]
some = torch.cat([torch.arange(10), mistakes])
show_images(test.images[some], test.labels[some], predictions=predicted[some], title="Ten in order, then mistakes only")

# %% [markdown]
# ## The map
#
# There are many ways to transfer, and three questions put them in order. **What** is carried over: parameters, features,
# instances, relations, or only a network's answers? **Which labels** are there: in the target, only in the source, or
# nowhere? And **how** is it done? Rows and columns follow the classic survey by Pan and Yang (2010); the row *answers*
# is younger. (A more recent survey is Zhuang et al. 2021.) Each box names the lesson that teaches it.

# %% tags=["demo"]
from tlkit.plots.transfer_map import transfer_map

transfer_map()

# %% [markdown]
# What you just did sits in the row *features*, in the column with target labels: feature extraction, which lesson 01
# builds from its parts. Filled boxes are lessons that you have; dashed ones are still to come.
#
# One question, to sharpen the word:

# %% tags=["demo"]
quiz("is_it_transfer")

# %% [markdown]
# ## Is your machine fit?
#
# Everything in this course runs on two slow cores with two gigabytes of memory. The next cell looks at your Python, its
# packages, the memory, and how many processors you really have. A line that is not in order says what to do. In a
# terminal the same check is `tlkit doctor`.

# %% tags=["demo"]
from tlkit.doctor import findings

findings()

# %% [markdown]
# ## How exercises work
#
# Each exercise asks you to write one small function. Below it stands a cell with `check`, which runs your function on
# fresh inputs and compares what it does with what a right answer does. It tells you which part holds and which does
# not; and where it recognises a common mistake, it says which one. You may check as often as you like.
#
# Your first function counts how often a classifier is right. A classifier answers with **logits**, a score for each
# class; the largest one is its answer:

# %% tags=["demo"]
logits = probe.logits(test_features[2:6])
print("class:  " + "".join(f"{digit:6}" for digit in range(10)))
for scores, label in zip(logits, test.labels[2:6], strict=True):
    print("logits: " + "".join(f"{score:6.1f}" for score in scores), "   label:", int(label))

# %% [markdown]
# ### Exercise · Count what is right
# {exercise:accuracy}
#
# Write `accuracy(logits, labels)`: the share of images whose largest logit stands at their label.
#
# - `logits` has a row for each image and a column for each class, `[N, C]`; `labels` holds the right classes, `[N]`.
# - The result is one number between 0 and 1; logits and labels stay as they are.
#
# Replace the line with `raise` by your code, run the cell, then run the `check` below. Stuck? `hint("accuracy")` in a
# new cell gives a gentle hint, a second call a clearer one.

# %% solution="accuracy"
def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of right answers.

    Args:
        logits: scores, one row an image and one column a class, [N, C].
        labels: the right classes, int64 [N].

    Returns:
        A number between 0 and 1.
    """
    ### BEGIN SOLUTION
    return (logits.argmax(dim=1) == labels).float().mean().item()
    ### END SOLUTION


# %% test="accuracy"

# %% [markdown]
# Try a mistake on purpose as well: return the *number* of right answers, or write `dim=0`, and see what `check` makes of
# it. Points count when your instructor grades the notebook, with other inputs than here; alone, they are simply for
# you. Nothing you try in between is held against you.
#
# Some lessons also have one question to answer in words, which a person reads.

# %% [markdown]
# ## Pictures that answer back
#
# This is the network that did the work, as a **LayerBoard**. Each block is a group of layers, wider where there are more
# parameters. Click a block to freeze it: it turns cold and striped, and no training will change it. Shift-click
# takes a range, arrow keys and the space bar do the same without a mouse, and *copy as PyTorch code* shows what
# the click means.

# %% tags=["demo"]
board = LayerBoard(backbone)
board

# %% [markdown]
# A click changes the real network, not only the picture. Freeze some blocks above, then run this cell and see which
# parameters may still learn. In lesson 01 you write such a freezing yourself, and find out why many a frozen
# network is not frozen at all.

# %% tags=["demo"]
learning = sum(p.numel() for p in backbone.parameters() if p.requires_grad)
total = sum(p.numel() for p in backbone.parameters())
print(f"{learning:,} of {total:,} parameters can learn")

# %% [markdown]
# ## Limits
#
# One number on one draw of a hundred examples proves little: with other examples it would have been another number. From
# lesson 01 on every comparison is made over several draws, against a network that starts from nothing, and with cases
# where transfer does not help. Knowledge moves well between letters and digits because they are made of the
# same strokes; it would not move so well to the sound of a voice.

# %% [markdown]
# ## References
#
# - S. J. Pan and Q. Yang, *A survey on transfer learning*, IEEE Transactions on Knowledge and Data Engineering
#   22(10), 2010. The map's rows and columns.
# - F. Zhuang et al., *A comprehensive survey on transfer learning*, Proceedings of the IEEE 109(1), 2021.
# - E. Alpaydin and C. Kaynak, *Optical recognition of handwritten digits*, UCI Machine Learning Repository, 1998. The
#   digits of this course.
#
# **Next:** lesson 01, *Feature extraction*. You build what you have just used.

"""LayerBoard without a page: freezing while training, rewinding, its text, its answers to misuse."""

from __future__ import annotations

import copy
import gc
import threading
import time
import weakref
from pathlib import Path

import nbclient
import nbformat
import pytest
import torch
from torch import Tensor, nn

from tlkit.training import Step
from tlkit.widgets import LayerBoard, layerfacts
from tlkit.widgets.layerview import LayerView


def convnet() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    model.add_module("stage", nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    model.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    model.add_module("head", nn.Linear(8, 3))
    return model


def data(count: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, 8, 8, generator=generator), torch.arange(count) % 3


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody could click: training runs in the background."""
    monkeypatch.setenv("TLKIT_HEADLESS", "0")


# ---------------------------------------------------------------- freezing
def test_blocks_layers_and_short_names_are_understood() -> None:
    """A block by its name, a layer by its path, a block inside a body by its last part."""
    model = nn.ModuleDict({"body": convnet(), "head": nn.Linear(3, 2)})
    board = LayerBoard(model)
    board.freeze("stem")
    assert not model["body"].stem[0].weight.requires_grad
    board.freeze("body.stage.0")
    assert not model["body"].stage[0].weight.requires_grad
    assert model["body"].stage[1].weight.requires_grad
    with pytest.raises(ValueError, match=r"no layer 'stam': the blocks are body\.stem"):
        board.freeze("stam")


def test_freeze_all_but_the_head_then_unfreeze_from_the_stage_up() -> None:
    """The two usual ways: feature extraction, then fine-tuning from a block to the output."""
    model = convnet()
    board = LayerBoard(model)
    board.freeze_all_but_head()
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    board.unfreeze_from("stage")
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"}


def test_the_text_tells_only_the_applied_truth() -> None:
    """Counts by hand: 40 + 8 in the stem, 296 + 16 in the stage, 27 in the head; 4 + 8 + … learn or not."""
    board = LayerBoard(convnet(), data()[0])
    assert "387 of 387 parameters learn (100 %), in 3 of 3 blocks" in board.text()
    board.freeze("stage")
    assert "75 of 387 parameters learn (19.4 %), in 2 of 3 blocks" in board.text()
    assert "⚠ not held" in board.text()
    board.hold_batchnorm()
    assert "running statistics (held)" in board.text()


# ---------------------------------------------------------------- training
def test_a_block_frozen_while_training_stands_still_from_the_next_step() -> None:
    """Frozen after step 3: its weights are those of step 3 to the end, the run goes on, the ghost remains."""
    model = convnet()
    board = LayerBoard(model, data()[0])
    seen: dict[int, Tensor] = {}

    def act(step: Step) -> None:
        seen[step.index] = model.stage[0].weight.detach().clone()
        if step.index == 3:
            board.freeze("stage")
        if step.index == 9:
            board.unfreeze("stage")

    board.fit(data(), epochs=4, batch_size=8, on_step=[act])
    assert board.wait().steps == 16
    assert not torch.equal(seen[2], seen[3])
    assert all(torch.equal(seen[3], seen[i]) for i in range(4, 10))
    assert not torch.equal(seen[9], seen[10])


def test_the_ghost_is_the_last_gradient_before_freezing() -> None:
    """After freezing there is no gradient; the board remembers the last one."""
    board = LayerBoard(convnet(), data()[0])
    board.vitals.share = 1e9  # measure after every step
    norms: list[float] = []

    def act(step: Step) -> None:
        gradient = board.model.stage[0].weight.grad
        if gradient is not None:
            every = [p.grad.flatten() for p in board.model.stage.parameters()]
            norms.append(float(torch.cat(every).norm()))
        if step.index == 2:
            board.vitals._due["cheap"] = 0.0
        if step.index == 3:
            board.freeze("stage")

    board.fit(data(), epochs=2, batch_size=8, on_step=[act])
    assert board.vitals.gradient["stage"] is None
    assert board.vitals.ghost["stage"] in [pytest.approx(norm) for norm in norms]


def test_trap_shows_as_drift_without_moved_weights() -> None:
    """Moving statistics make frozen features drift though no weight moved; held, they do not."""
    x, y = data()
    drifts = {}
    for hold in (False, True):
        board = LayerBoard(convnet(), x)
        board.freeze_all_but_head()
        board.hold_batchnorm(hold)
        board.fit((3 * x + 1, y), epochs=3, batch_size=8)
        assert board.vitals.change["stage"] == 0.0
        drifts[hold] = board.vitals.drift["stage"]
    assert drifts[True] == pytest.approx(0.0, abs=1e-6)
    assert drifts[False] is not None
    assert drifts[False] > 0.01


def test_rewind_compares_two_freezings_from_the_same_start() -> None:
    """Weights and statistics are those of the start, bit for bit; what is frozen stays; a rerun repeats."""
    model = convnet()
    start = copy.deepcopy(model.state_dict())
    board = LayerBoard(model)
    losses = []
    for _ in range(2):
        losses.append(board.fit(data(), epochs=2, batch_size=8).wait().step_loss)
        board.freeze("stem")
        board.rewind()
        assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
        assert not model.stem[0].weight.requires_grad
    assert losses[0][0] == losses[1][0]
    assert losses[0][-1] != losses[1][-1]
    assert [run["learned at its end"] for run in board.runs] == ["stem, stage, head", "stage, head"]


def test_learning_rates_by_block_reach_the_optimizer() -> None:
    """A block at rate 0 does not move, the others do; a rate set while training counts from the next step."""
    model = convnet()
    board = LayerBoard(model)
    board.set_lr({"stem": 0.0, "stage": 1e-2})
    seen: list[dict[str, float]] = []

    def act(step: Step) -> None:
        seen.append({group["name"]: group["lr"] for group in step.optimizer.param_groups})
        if step.index == 1:
            board.set_lr({"head": 0.5})

    board.fit(data(), epochs=1, batch_size=8, on_step=[act])
    assert seen[0] == {"stem": 0.0, "stage": 1e-2, "head": 1e-3}
    assert seen[2]["head"] == 0.5
    assert torch.equal(board.start["stem.0.weight"], model.stem[0].weight)
    with pytest.raises(ValueError, match="no block 'neck'"):
        board.set_lr({"neck": 1.0})
    with pytest.raises(ValueError, match="not negative"):
        board.set_lr(-1.0)


@pytest.mark.usefixtures("watched")
def test_pause_freeze_resume_stop() -> None:
    """Paused, no step is done, but freezing is; resumed, it goes on; stopped, what was learned stays."""
    model = convnet()
    board = LayerBoard(model)
    steps: list[int] = []
    third = threading.Event()

    def act(step: Step) -> None:
        steps.append(step.index)
        if step.index == 2:
            board.pause()
            third.set()

    board.fit(data(), epochs=100_000, batch_size=8, on_step=[act])
    assert third.wait(120)
    with pytest.raises(RuntimeError, match="paused"):
        board.wait()
    with pytest.raises(RuntimeError, match="still training"):
        board.fit(data(), epochs=1)
    board.freeze("stem")
    _until(lambda: not board.freezing.waiting)
    assert not model.stem[0].weight.requires_grad
    assert steps == [0, 1, 2]
    board.resume()
    _until(lambda: len(steps) > 5)
    board.stop()
    assert board.wait().stopped == "stopped"
    assert not torch.equal(board.start["stage.0.weight"], model.stage[0].weight)


def _until(true: object) -> None:
    """Wait for something that can be seen, bounded."""
    for _ in range(6000):
        if true():  # type: ignore[operator]
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited a minute in vain")


@pytest.mark.usefixtures("watched")
def test_an_error_in_the_background_is_told_and_raised_by_wait() -> None:
    """Labels that do not fit the head end the run; the board says why and wait() raises it."""
    board = LayerBoard(convnet())
    x, y = data()
    board.fit((x, y + 1), epochs=1)
    with pytest.raises(ValueError, match="does not fit 3 outputs"):
        board.wait()
    assert "does not fit 3 outputs" in board.note
    assert board.fit((x, y), epochs=1).wait().epochs == 1


# ---------------------------------------------------------------- misuse gets an answer
def test_two_boards_on_one_model_agree() -> None:
    """What one applies the other shows; the memory of the start is shared while nothing has moved."""
    model = convnet()
    first, second = LayerBoard(model), LayerBoard(model)
    first.freeze("stem")
    assert "75" not in second.text()
    assert "339 of 387" in second.text()
    second.undo()
    assert "387 of 387" in first.text()
    assert first.start is second.start


@pytest.mark.usefixtures("watched")
def test_a_board_waits_for_the_other_ones_training_step() -> None:
    """A second board on a model in training changes it only between two steps of the first."""
    model = convnet()
    first, second = LayerBoard(model), LayerBoard(model)
    inside = threading.Event()
    applied_by: set[str] = set()

    def act(step: Step) -> None:
        inside.set()
        if not model.stem[0].weight.requires_grad:
            applied_by.add(threading.current_thread().name)

    first.fit(data(), epochs=100_000, batch_size=8, on_step=[act])
    assert inside.wait(120)
    first.pause()
    first.resume()
    second.freeze("stem")
    _until(lambda: bool(applied_by))
    first.stop()
    assert "339 of 387" in second.text()


class Watched(nn.Module):
    """A layer of two blocks that tells who runs it, and can be held inside a measurement."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        self.learned: list[tuple[bool, bool]] = []  # in the training thread?, does the stem learn?
        self.measuring, self.go_on = threading.Event(), threading.Event()

    def forward(self, x: Tensor) -> Tensor:
        beside = threading.current_thread().name == "tlkit training"
        self.learned.append((beside, self.stem.weight.requires_grad))
        if beside and not self.training:
            self.measuring.set()
            self.go_on.wait(60)
        return self.head(self.stem(x))


@pytest.mark.usefixtures("watched")
def test_in_training_the_model_keeps_its_own_parameters() -> None:
    """Drift needs the features of the start; they are taken before training, when nobody else can look."""
    model = Watched()
    model.go_on.set()
    board = LayerBoard(model)
    board.fit((torch.randn(16, 4), torch.arange(16) % 3), epochs=2, batch_size=8)
    assert board.wait().epochs == 2
    assert board.vitals.drift["stem"] is not None
    assert (True, False) not in model.learned
    assert (False, False) in model.learned  # the start's weights, which learn nothing


@pytest.mark.usefixtures("watched")
def test_nobody_looks_at_a_model_while_it_is_measured() -> None:
    """A second board waits while the first one's measurement has the model in evaluation mode."""
    model = Watched()
    first, second = LayerBoard(model), LayerBoard(model)
    first.fit((torch.randn(16, 4), torch.arange(16) % 3), epochs=100_000, batch_size=8)
    assert model.measuring.wait(60)
    click = threading.Thread(target=lambda: second.freeze("stem"))
    click.start()
    click.join(0.3)
    assert click.is_alive()
    model.go_on.set()
    click.join(60)
    _until(lambda: not model.stem.weight.requires_grad)
    assert model.head.weight.requires_grad
    with pytest.raises(RuntimeError, match="another board is still training this model"):
        second.fit((torch.randn(16, 4), torch.arange(16) % 3), epochs=1)
    first.stop()


def test_an_exchanged_head_is_noticed() -> None:
    """After `model.head = …` the board shows and trains the new head, and rewinds to it."""
    model = convnet()
    board = LayerBoard(model)
    model.head = nn.Linear(8, 5)
    board.refresh()
    assert "405" in board.text()
    assert "exchanged" in board.note
    before = model.head.weight.detach().clone()
    board.fit(data(), epochs=1)
    assert not torch.equal(model.head.weight, before)
    board.rewind()
    assert torch.equal(model.head.weight, before)


def test_frozen_by_hand_is_noticed_on_refresh() -> None:
    """The board says which layers were changed behind its back."""
    model = convnet()
    board = LayerBoard(model)
    model.stem.requires_grad_(False)
    board.refresh()
    assert "339 of 387" in board.text()
    assert "stem.0" in board.note
    board.undo()
    assert model.stem[0].weight.requires_grad


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        ("resnet18", TypeError, "not a str"),
        (nn.LazyLinear(3), ValueError, "no shape yet"),
        (nn.Linear(2, 2, device="meta"), ValueError, "no values"),
    ],
)
def test_what_is_no_model_yet_is_refused(model: object, error: type[Exception], says: str) -> None:
    """A name, a lazy layer, a model without values: each gets its own answer."""
    with pytest.raises(error, match=says):
        LayerBoard(model)  # type: ignore[arg-type]


def test_nothing_to_train_is_said() -> None:
    """A model without parameters draws; all frozen, fit explains what to do."""
    assert "no parameters" in LayerBoard(nn.Flatten()).text()
    board = LayerBoard(convnet())
    board.freeze("stem", "stage", "head")
    with pytest.raises(ValueError, match="trainable"):
        board.fit(data(), epochs=1)


def test_a_forgotten_board_lets_go_of_its_model() -> None:
    """The list of boards on a model holds neither boards nor models alive."""
    board = LayerBoard(convnet())
    gone = weakref.ref(board.model)
    del board
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- without a page
def test_snapshot_is_a_picture_and_a_text(tmp_path: Path) -> None:
    """A PNG of the board as it is, with a text that says the same; both for a notebook."""
    board = LayerBoard(convnet(), data()[0])
    board.freeze("stem")
    taken = board.snapshot(tmp_path / "board.png")
    assert (tmp_path / "board.png").read_bytes() == taken.png
    assert taken.png.startswith(b"\x89PNG")
    assert len(taken.png) < 60_000
    assert "339 of 387" in str(taken)
    assert {"image/png", "text/plain"} <= set(taken._repr_mimebundle_())


def test_a_notebook_run_unwatched_trains_and_leaves_text(tmp_path: Path) -> None:
    """Under nbclient fit returns when trained, no widget is made, outputs are text and HTML."""
    cells = [
        "import torch\nfrom torch import nn\nfrom tlkit.widgets import LayerBoard\n"
        "model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))",
        "board = LayerBoard(model)\nboard.freeze_all_but_head()\nboard",
        "x, y = torch.randn(16, 4), torch.arange(16) % 2\nboard.fit((x, y), epochs=2)",
        "board.snapshot()",
        "model[1].weight.grad is None",
    ]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        nb, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, timeout=300
    ).execute()
    shown = [out["data"] for cell in nb.cells for out in cell.outputs]
    assert "10 of 30 parameters learn" in shown[0]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" not in shown[0]
    assert shown[1]["text/plain"].startswith("History(2 epochs")
    assert "image/png" in shown[2]
    assert shown[3]["text/plain"] == "True"
    assert "widgets" not in nb.metadata


def test_a_click_that_is_slow_to_show_does_not_cover_what_came_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread still puts a picture together, another shows a newer one: the newer one stays."""
    face, begun = LayerView(LayerBoard(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))), threading.Event()

    def summary(blocks: object) -> str:
        if begun.is_set():
            return "newer"
        begun.set()
        time.sleep(0.3)
        return "older"

    monkeypatch.setattr(layerfacts, "summary", summary)
    click = threading.Thread(target=face.update)
    click.start()
    assert begun.wait(10)
    face.update()
    click.join()
    assert face.strip.state["summary"] == "newer"

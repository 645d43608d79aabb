"""`fit`, `evaluate`, `History`, and the machine underneath."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from tlkit.batches import Batches
from tlkit.layers import blocks, freeze, hold_batchnorm, parameter_groups, snapshot, unfreeze
from tlkit.system import cpu_quota, one_thread, set_threads
from tlkit.training import Step, StopTraining, evaluate, fit, parallel_map, set_learning_rates, set_seed


def points(n: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three separable classes in four dimensions."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return torch.randn(n, 4, generator=g) + 3 * F.one_hot(y, 4), y


def network(seed: int = 0) -> nn.Sequential:
    set_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_one_epoch_of_sgd_by_hand() -> None:
    """fit with momentum and weight decay takes the very steps that hand-written updates take."""
    x, y = points(10)
    model, twin = nn.Linear(4, 3), nn.Linear(4, 3)
    twin.load_state_dict(model.state_dict())
    fit(model, (x, y), epochs=3, lr=0.1, optimizer="sgd", momentum=0.5, weight_decay=0.2, batch_size=10)
    speed = {p: torch.zeros_like(p) for p in twin.parameters()}
    for _ in range(3):
        twin.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        with torch.no_grad():
            for p in twin.parameters():
                speed[p] = 0.5 * speed[p] + p.grad + 0.2 * p
                p -= 0.1 * speed[p]
    assert torch.allclose(model.weight, twin.weight, atol=1e-6)
    assert torch.allclose(model.bias, twin.bias, atol=1e-6)


def test_it_learns_and_the_history_adds_up() -> None:
    """Separable classes are learned; steps, epochs and figures fit together."""
    train, validation = points(), points(30, seed=1)
    history = fit(network(), train, epochs=4, lr=0.02, batch_size=16, validation=validation)
    assert history.steps == 4 * 4
    assert history.epoch_ends == [4, 8, 12, 16]
    assert history.validation_accuracy[-1] > 0.9
    assert history.step_loss[-1] < history.step_loss[0]
    assert history.stopped is None
    assert len(history.train_loss) == len(history.train_accuracy) == len(history.validation_loss) == 4
    means = [sum(a * n for a, n in zip(history.step_loss[:4], (16, 16, 16, 12), strict=True)) / 60]
    assert history.train_loss[0] == pytest.approx(means[0])
    assert repr(history).startswith("History(4 epochs, 16 steps,")


def test_a_run_is_reproducible_and_leaves_the_random_state_alone() -> None:
    """Same seed, same weights, dropout and augmentation included; the caller's random draws go on."""

    def run(seed: int) -> nn.Module:
        model = nn.Sequential(network(), nn.Dropout(0.3))
        torch.manual_seed(torch.seed() % 1000)  # whatever the global state was
        fit(model, points(), epochs=1, seed=seed, augment=lambda x: x + torch.randn_like(x))
        return model

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = network()
    torch.manual_seed(5)
    fit(model, points(), epochs=1, progress=False)
    assert torch.equal(torch.rand(3), expected)
    first, again, other = run(1), run(1), run(2)
    assert same(first, again)
    assert not same(first, other)


def test_frozen_parameters_do_not_move_and_modes_come_back() -> None:
    """Frozen weights and held statistics stay to the bit; each module has its former mode afterwards."""
    model = network().eval()
    freeze(model[:2])
    model[2].train()
    start = snapshot(model)
    fit(model, points(), epochs=2, weight_decay=0.1)
    end = snapshot(model)
    assert [name for name in start if not torch.equal(start[name], end[name])] == ["3.weight", "3.bias"]
    assert [m.training for m in model] == [False, False, True, False]


def test_freezing_on_the_way_takes_effect_at_the_next_step_and_momentum_is_forgotten() -> None:
    """Frozen after step 2: still from step 3 on; thawed after step 5: the first step has no momentum."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    weights, grads = [], []

    def toggle(step: Step) -> None:
        weights.append(model[0].weight.detach().clone())
        grads.append(None if model[0].weight.grad is None else model[0].weight.grad.clone())
        if step.index == 2:
            freeze(model[0])
        if step.index == 5:
            unfreeze(model[0])

    rule = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1, "lr": 0.1}
    fit(model, points(), epochs=2, batch_size=12, on_step=[toggle], **rule)
    assert not torch.equal(weights[1], weights[2])
    assert all(torch.equal(weights[2], weights[i]) for i in (3, 4, 5))
    assert grads[3] is None
    plain_step = weights[5] - 0.1 * (grads[6] + 0.1 * weights[5])
    assert torch.allclose(weights[6], plain_step, atol=1e-6)


def test_all_frozen_on_the_way_goes_on_without_learning() -> None:
    """Nothing trainable in the middle of a run is a pause, not an error."""
    model = network()
    history = fit(model, points(), epochs=2, batch_size=20, on_step=[lambda step: freeze(step.model)])
    assert history.steps == 6
    assert history.stopped is None


def test_unfrozen_parameters_join_a_callers_optimizer_but_left_out_ones_do_not() -> None:
    """What thaws joins an optimizer made before; what its maker left out on purpose stays out."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3))
    freeze(model[0])
    optimizer = torch.optim.SGD(parameter_groups(nn.Sequential(model[2]), 0.1), lr=0.05)
    start = snapshot(model)

    def thaw(step: Step) -> None:
        if step.index == 1:
            unfreeze(model[0])

    fit(model, points(), epochs=2, batch_size=20, optimizer=optimizer, on_step=[thaw])
    assert not torch.equal(model[0].weight, start["0.weight"])
    assert torch.equal(model[1].weight, start["1.weight"])
    assert [(g["name"], g["lr"]) for g in optimizer.param_groups] == [("0", 0.1), ("0", 0.05)]


def test_learning_rates_by_block_schedule_and_change() -> None:
    """Block rates times the schedule's factor; a rate set on the way holds from the next step on."""
    model, seen = network(), []

    def look(step: Step) -> None:
        seen.append([round(group["lr"], 6) for group in step.optimizer.param_groups])
        if step.index == 1:
            set_learning_rates(step.optimizer, {"3": 8.0})

    rates = dict(zip(blocks(model), (1.0, 2.0, 4.0), strict=True))
    fit(model, points(), epochs=1, lr=rates, optimizer="sgd", batch_size=20, on_step=[look],
        schedule=lambda step, total: (step + 1) / total)  # fmt: skip
    assert seen == [[round(r * f, 6) for r in rs] for f, rs in
                    ((1 / 3, (1, 2, 4)), (2 / 3, (1, 2, 4)), (1, (1, 2, 8)))]  # fmt: skip
    with pytest.raises(ValueError, match="no group 'nose'"):
        set_learning_rates(torch.optim.SGD(parameter_groups(model, 0.1)), {"nose": 1.0})


@pytest.mark.parametrize(("error", "said"), [(KeyboardInterrupt, "interrupted"), (StopTraining, "stopped")])
def test_stopping_keeps_what_was_learned(error: type[BaseException], said: str) -> None:
    """The run ends after the step, with its weights, its losses and the modes from before."""
    model = network().eval()
    start = snapshot(model)

    def stop(step: Step) -> None:
        if step.index == 4:
            raise error

    history = fit(model, points(), epochs=3, batch_size=20, on_step=[stop])
    assert (history.stopped, history.steps, history.epochs) == (said, 5, 1)
    assert not torch.equal(model[0].weight, start["0.weight"])
    assert not model.training
    assert said in repr(history)


def test_another_error_in_on_step_comes_out() -> None:
    """Only StopTraining means stop."""
    with pytest.raises(ZeroDivisionError):
        fit(network(), points(), epochs=1, on_step=[lambda step: 1 / 0])


def test_a_diverging_run_says_where_and_what_to_try() -> None:
    """The first loss that is not finite ends the run with advice; the history so far comes along."""
    x, y = points()
    with pytest.raises(FloatingPointError, match=r"step \d+.*smaller learning rate.*1e\+38") as caught:
        fit(nn.Linear(4, 3), (x, y), epochs=5, lr=1e38, optimizer="sgd", batch_size=20)
    assert caught.value.history.steps >= 1
    x[0] = math.nan
    with pytest.raises(FloatingPointError, match="loss became nan at step 1"):
        fit(nn.Linear(4, 3), (x, y), epochs=1, batch_size=60)


def test_bad_use_is_named() -> None:
    """Each message says what was found and what to do."""
    x, y = points()
    cases = [
        (freeze(network()), (x, y), {}, "no parameter of the model is trainable"),
        (network(), (x, y[:-1]), {}, "60 images but 59 labels"),
        (network(), (x, y + 1), {}, "label 3 does not fit 3 outputs"),
        (network(), (x, y - 1), {}, "label -1 does not fit"),
        (network(), (x, y.float()), {}, r"labels are float32 \[60\].*int64"),
        (network(), (x[:0], y[:0]), {}, "no images"),
        (network(), (x, y), {"epochs": 0}, "epochs=0"),
        (network(), (x, y), {"batch_size": 0}, "batch_size=0"),
        (network(), (x, y), {"optimizer": "adam"}, "optimizer='adam'"),
        (network(), (x, y), {"lr": {"0": 1.0}}, "no learning rate for block '1'"),
        (network(), (x, y), {"lr": 1.0, "optimizer": torch.optim.SGD(network().parameters())}, "both lr"),
    ]
    for model, data, how, message in cases:
        with pytest.raises(ValueError, match=message):
            fit(model, data, **{"epochs": 1, "batch_size": 64, **how})
    with pytest.raises(TypeError, match="data is a str"):
        fit(network(), "digits", epochs=1)

    class Detached(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    with pytest.raises(ValueError, match="does not depend on any trainable parameter"):
        fit(Detached(4, 3), (x, y), epochs=1)


def test_data_forms_agree() -> None:
    """A pair, an object with images and labels, and an unshuffled loader: the same scores."""

    class Set:
        images, labels = points()

    model, (x, y) = network(), points()
    scores = evaluate(model, (x, y))
    assert evaluate(model, Set()) == scores
    assert evaluate(model, (x.numpy(), y.numpy())) == scores
    assert evaluate(model, DataLoader(TensorDataset(x, y), 60)) == scores
    assert evaluate(model, (x, y), batch_size=7) == (scores.accuracy, pytest.approx(scores.loss))
    fit(model, DataLoader(TensorDataset(x, y), 20, shuffle=True), epochs=1)


def test_evaluate_by_hand_and_modes_restored() -> None:
    """Accuracy and loss over all the data, with running statistics, no gradient, and every mode put back."""
    model, (x, y) = network(), points()
    model[0].eval()
    hold_batchnorm(model)
    model.train()
    modes = [m.training for m in model.modules()]
    scores = evaluate(model, (x, y), batch_size=7)
    assert [m.training for m in model.modules()] == modes
    logits = model.eval()(x).detach()
    picked = logits.log_softmax(1)[torch.arange(60), y]
    assert scores.loss == pytest.approx(-float(picked.mean()), abs=1e-5)
    assert scores.accuracy == pytest.approx(float((logits.argmax(1) == y).float().mean()))


def test_another_loss_takes_other_labels() -> None:
    """Soft labels work with cross-entropy; real numbers with a loss of one's own; accuracy stays empty."""
    x, y = points()
    soft = fit(network(), (x, F.one_hot(y, 3).float()), epochs=1, validation=(x, F.one_hot(y, 3).float()))
    assert soft.train_accuracy == soft.validation_accuracy == []
    real = fit(nn.Linear(4, 1), (x, x[:, :1]), epochs=30, lr=0.1, loss=F.mse_loss, validation=(x, x[:, :1]))
    assert real.validation_loss[-1] < 0.1 * real.validation_loss[0]


def test_batches_cover_everything_once_and_never_end_in_one() -> None:
    """BatchNorm cannot train on one image, so a last single one joins the batch before."""
    x = torch.arange(33)
    sizes = [len(a) for a, _ in Batches((x, x), 8)]
    assert sizes == [8, 8, 8, 9]
    shuffled = Batches((x, x), 8, torch.Generator().manual_seed(0))
    first, second = (torch.cat([a for a, _ in shuffled]) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(33))
    assert first.tolist() != second.tolist() != list(range(33))
    assert len(shuffled) == 4


def test_progress_is_silent_where_it_must_be(capfd: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Never on stderr, which nbgrader counts as failure; nothing at all when grading or when told."""
    fit(network(), points(), epochs=1)
    shown = capfd.readouterr()
    assert "training" in shown.out
    assert shown.err == ""
    fit(network(), points(), epochs=1, progress=False)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    fit(network(), points(), epochs=1)
    assert capfd.readouterr() == ("", "")


def test_fit_runs_in_a_background_thread() -> None:
    """Widgets train beside the notebook: the same weights as in the foreground."""
    here, there = network(), network()
    fit(here, points(), epochs=1, progress=False)
    worker = threading.Thread(target=fit, args=(there, points()), kwargs={"epochs": 1, "progress": False})
    worker.start()
    worker.join()
    assert same(here, there)


def files(root: Path, contents: dict[str, str]) -> tuple[Path, Path]:
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "cgroup", root / "own"


QUOTAS = {
    "v2, own group": ({"own": "0::/a/b\n", "cgroup/a/b/cpu.max": "50000 100000\n"}, 0.5),
    "v2, the parent is stricter": (
        {"own": "0::/a/b\n", "cgroup/a/b/cpu.max": "max 100000\n", "cgroup/a/cpu.max": "25000 100000\n"},
        0.25,
    ),
    "v2, mounted as the root": ({"own": "0::/outside/this\n", "cgroup/cpu.max": "75000 100000\n"}, 0.75),
    "v2, path outside the mount": ({"own": "0::/../x\n", "cgroup/cpu.max": "75000 100000\n"}, 0.75),
    "v1": (
        {
            "own": "4:memory:/m\n3:cpu,cpuacct:/c\n",
            "cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "60000\n",
            "cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
        },
        0.6,
    ),
    "v1, mounted as cpu": (
        {
            "own": "3:cpu,cpuacct:/\n",
            "cgroup/cpu/cpu.cfs_quota_us": "10000\n",
            "cgroup/cpu/cpu.cfs_period_us": "50000\n",
        },
        0.2,
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_cpu_quota_reads_both_cgroup_versions(case: str, tmp_path: Path) -> None:
    """The least limit on the way up counts."""
    contents, quota = QUOTAS[case]
    assert cpu_quota(*files(tmp_path, contents)) == pytest.approx(quota)


@pytest.mark.parametrize(
    "contents",
    [
        {},
        {"own": "0::/a\n", "cgroup/a/cpu.max": "max 100000\n"},
        {
            "own": "3:cpu:/\n",
            "cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        {"own": "0::/a\n", "cgroup/a/cpu.max": "nonsense"},
    ],
)
def test_without_a_limit_affinity_counts(contents: dict[str, str], tmp_path: Path, monkeypatch) -> None:
    """No file, no limit, or one that cannot be read: the CPUs this process may run on."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert cpu_quota(*files(tmp_path, contents)) == 3


def test_set_threads_lowers_but_never_raises_by_itself(monkeypatch) -> None:
    """The quota caps the count; a lower count, from OMP_NUM_THREADS say, is respected; at least one."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        monkeypatch.setattr("tlkit.system.cpu_quota", lambda: 2.7)
        assert set_threads() == torch.get_num_threads() == 2
        monkeypatch.setattr("tlkit.system.cpu_quota", lambda: 0.5)
        assert set_threads() == 1
        monkeypatch.setattr("tlkit.system.cpu_quota", lambda: 8.0)
        assert set_threads() == 1
        assert set_threads(3) == torch.get_num_threads() == 3
        with pytest.raises(ValueError, match="count=0"):
            set_threads(0)
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def three_threads(monkeypatch) -> Iterator[None]:
    """PyTorch may use three threads, whatever this machine has."""
    before = torch.get_num_threads()
    monkeypatch.setattr("tlkit.system.cpu_quota", lambda: 8.0)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_jobs_run_side_by_side_with_one_thread_each_and_answer_in_order() -> None:
    """Three jobs wait for each other, which they could not one after the other; then all threads are back."""
    meeting = threading.Barrier(3)

    def job(number: int, word: str) -> tuple[str, int]:
        meeting.wait(timeout=60)
        time.sleep(0.05 * (3 - number))  # the last ends first
        return f"{word} {number}", torch.get_num_threads()

    found = parallel_map(job, ((number, "job") for number in range(3)))
    assert found == [("job 0", 1), ("job 1", 1), ("job 2", 1)]
    assert torch.get_num_threads() == 3
    assert parallel_map(job, []) == []


@pytest.mark.usefixtures("three_threads")
def test_trainings_side_by_side_learn_what_they_learn_one_after_the_other() -> None:
    """Same weights to the last bit, and the global random state is as it was."""

    def train(model: nn.Module, seed: int) -> nn.Module:
        fit(model, points(), epochs=5, batch_size=7, seed=seed, progress=False)
        return model

    with one_thread():
        assert torch.get_num_threads() == 1
        expected = [train(network(seed), seed) for seed in range(5)]
    assert torch.get_num_threads() == 3
    jobs = [(network(seed), seed) for seed in range(5)]
    state = torch.get_rng_state()
    assert all(map(same, parallel_map(train, jobs), expected))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("three_threads")
def test_the_first_error_of_a_job_is_raised_and_no_other_begins() -> None:
    """Of fifty jobs the second fails: its error arrives, most never ran, and all threads are back."""
    begun = []

    def job(number: int) -> None:
        begun.append(number)
        time.sleep(0.02)
        if number == 1:
            raise FloatingPointError("the loss became nan")

    with pytest.raises(FloatingPointError, match="nan"):
        parallel_map(job, [(number,) for number in range(50)])
    assert len(begun) < 25
    assert torch.get_num_threads() == 3

"""The small pictures: what they compute, say in words, and answer to misuse, without a page."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tlkit.data.images import Images
from tlkit.training import StopTraining, fit
from tlkit.widgets import CourseProgress, FeatureMap, ShiftDial, TemperatureDial, TrainingMonitor
from tlkit.widgets.courseprogress import lessons
from tlkit.widgets.featuremap import domain_gap
from tlkit.widgets.pixels import image_png, sheet_png


def small() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(24, 4)
    return nn.Sequential(nn.Linear(4, 3)), x, torch.arange(24) % 3


def test_monitor_tells_the_end_of_a_run() -> None:
    """After a run: steps, last loss and accuracies, as the History has them; the still shows the curves."""
    model, x, y = small()
    monitor = TrainingMonitor()
    assert "No training" in monitor.text()
    history = monitor.fit(model, (x, y), epochs=2, batch_size=8, validation=(x, y)).wait()
    assert f"Done after 6 of 6 steps · loss {history.step_loss[-1]:.3f}" in monitor.text()
    assert f"validation accuracy {history.validation_accuracy[-1]:.3f}" in monitor.text()
    png = re.search(r"base64,([^\"]+)", monitor.still())
    assert png is not None
    assert Image.open(io.BytesIO(base64.b64decode(png[1]))).width > 400


def test_monitor_stops_the_run_it_watches() -> None:
    """stop() ends any fit that has the monitor among its on_step functions, after the present step."""
    model, x, y = small()
    monitor = TrainingMonitor()

    def at_three(step: object) -> None:
        if step.index == 3:  # type: ignore[attr-defined]
            monitor.stop()

    history = fit(model, (x, y), epochs=50, batch_size=8, progress=False, on_step=[at_three, monitor])
    assert (history.steps, history.stopped) == (4, "stopped")
    assert "Stopped after 4 of 150 steps" in monitor.text()
    again = fit(model, (x, y), epochs=1, batch_size=8, progress=False, on_step=[monitor])
    assert again.stopped is None  # the next run is not stopped by the last one's click


def test_a_click_that_is_slow_to_show_does_not_cover_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread still puts "stopping" together, the run ends in another: the end is shown last."""
    monitor, page, begun = TrainingMonitor(), SimpleNamespace(data=None), threading.Event()

    def text() -> str:
        if begun.is_set():
            return "Stopped"
        begun.set()
        time.sleep(0.3)
        return "stopping"

    monkeypatch.setattr(monitor, "text", text)
    click = threading.Thread(target=monitor.refresh, args=(page,))
    click.start()
    assert begun.wait(10)
    monitor.refresh(page)
    click.join()
    assert page.data["words"] == "Stopped"


def test_monitor_raises_only_stoptraining() -> None:
    """A monitor that was told to stop says so to `fit` in fit's own way."""
    monitor = TrainingMonitor()
    model, x, y = small()
    seen = []

    def keep(step: object) -> None:
        seen.append(step)

    fit(model, (x, y), epochs=1, progress=False, on_step=[keep])
    monitor(seen[0])  # type: ignore[arg-type]
    monitor.stop()
    with pytest.raises(StopTraining):
        monitor(seen[0])  # type: ignore[arg-type]


def test_temperature_by_hand() -> None:
    """Logits 0 and ln 9: at T = 1 the shares are 1/10 and 9/10, at T = 2 they are 1/4 and 3/4."""
    dial = TemperatureDial(torch.tensor([[0.0, math.log(9)]]), classes=["cat", "dog"])
    assert dial.probabilities().tolist() == pytest.approx([0.1, 0.9])
    dial.turn(temperature=2.0)
    assert dial.probabilities().tolist() == pytest.approx([0.25, 0.75])
    assert "dog 0.75 and cat 0.25" in dial.words()
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert f"entropy {entropy:.2f} of at most {math.log(2):.2f}" in dial.words()
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            dial.turn(temperature=wrong)
    with pytest.raises(ValueError, match="there are 1"):
        dial.turn(index=1)


def test_temperature_refuses_what_does_not_belong_together() -> None:
    """Names, images and labels must fit the logits."""
    with pytest.raises(ValueError, match="3 class names for 2 logits"):
        TemperatureDial(torch.zeros(1, 2), classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 images for 1 rows"):
        TemperatureDial(torch.zeros(1, 2), torch.zeros(2, 1, 4, 4))


class Bright(nn.Module):
    """Says "bright" by how far the mean of the image is above a half: logits (0, 20 (mean - ½))."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 20 * (mean - 0.5)], 1)


def test_shift_by_hand() -> None:
    """Inverting a dark image (mean 0.2) halfway gives mean 0.5, wholly 0.8: dark, undecided, bright."""
    dial = ShiftDial(Bright(), torch.full((1, 1, 4, 4), 0.2), torch.tensor([0]), classes=["dark", "bright"])
    dial.turn(shift="invert")
    assert dial.amount == 0.0
    assert float(dial.probabilities()[1]) == pytest.approx(1 / (1 + math.exp(6)), rel=1e-4)
    dial.turn(amount=0.5)
    assert dial.probabilities().tolist() == pytest.approx([0.5, 0.5])
    dial.turn(amount=1.0)
    assert "predicts bright with 1.00 (wrong: it is dark)" in dial.words()
    amounts, right, _ = zip(*dial.curve(3), strict=True)
    assert amounts == (0.0, 0.5, 1.0)
    assert (right[0], right[2]) == (1.0, 0.0)
    with pytest.raises(ValueError, match="invert goes from 0 to 1, not 2"):
        dial.turn(amount=2.0)
    with pytest.raises(ValueError, match="no shift 'fog'"):
        dial.turn(shift="fog")


def test_shifts_begin_where_they_change_nothing() -> None:
    """Each shift of the library starts at the amount that leaves the image as it is."""
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    dial = ShiftDial(Bright(), images, torch.tensor([0, 1]))
    for shift in dial.shifts:
        dial.turn(shift=shift)
        assert torch.allclose(dial.shifted(images), images, atol=1e-6), shift


def domains() -> dict[str, Images]:
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name in ("printed", "handwritten"):
        pixels = torch.rand(12, 1, 4, 4, generator=generator)
        made[name] = Images(pixels, torch.arange(12) % 3, ("a", "b", "c"), name)
    return made


def test_gap_by_hand() -> None:
    """Means 3 apart, every point 1 from its own mean: the gap is 3."""
    features = torch.tensor([[0.0, 1.0], [0.0, -1.0], [3.0, 1.0], [3.0, -1.0]])
    assert domain_gap(features, torch.tensor([0, 0, 1, 1])) == pytest.approx(3.0)
    assert domain_gap(features, torch.tensor([0, 0, 0, 0])) == 0.0


def test_frames_do_not_jump() -> None:
    """The same features turned and mirrored are the same map: no point moves from frame to frame."""
    feature_map = FeatureMap(domains())
    features = torch.randn(24, 5, generator=torch.Generator().manual_seed(2)) * torch.tensor(
        [5.0, 3, 1, 1, 1]
    )
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3)))
    feature_map.add(features, "first").add(features @ -turn, "second")
    first, second = feature_map.frames
    assert torch.allclose(first.places, second.places, atol=1e-4)
    assert first.gap == pytest.approx(second.gap, rel=1e-4)


def test_map_grows_with_training() -> None:
    """As an on_step function it adds a frame every n steps and at the last one, and says each gap."""
    data = domains()
    feature_map = FeatureMap(data, limit=10)
    assert "no frame" in feature_map.text()
    body = nn.Sequential(nn.Flatten(), nn.Linear(16, 8))
    model = nn.Sequential(body, nn.Linear(8, 3))
    feature_map.add(body, "before")
    fit(model, data["printed"], epochs=2, batch_size=4, progress=False, on_step=[feature_map.every(4, body)])
    assert [frame.title for frame in feature_map.frames] == ["before", "step 4", "step 6"]
    assert "10 printed, 10 handwritten" in feature_map.text()
    with pytest.raises(ValueError, match=r"expected \[20, D\]"):
        feature_map.add(torch.zeros(3, 2), "wrong")


def test_sheet_puts_images_side_by_side() -> None:
    """Two images on one row: ink (1) is black, paper (0) white; colour images keep their channels."""
    images = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    sheet = np.asarray(Image.open(io.BytesIO(sheet_png(images, columns=2))))
    assert sheet.tolist() == [[255, 255, 0, 0], [255, 255, 0, 0]]
    red = np.asarray(
        Image.open(io.BytesIO(image_png(torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 1, 1))))
    )
    assert red.tolist() == [[[255, 0, 0]]]


def test_progress_over_lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points come from what check kept; an exercise is open until it has all its points."""
    from tlkit.exercises import progress
    from tlkit.exercises.expected import FORMAT

    monkeypatch.setenv("TLKIT_HOME", str(tmp_path / "home"))
    course = tmp_path / "course"
    for lesson, exercises in {"00_start": {"hello": 2}, "01_next": {"one": 3, "two": 5}}.items():
        (course / lesson).mkdir(parents=True)
        entries = {name: {"points": points} for name, points in exercises.items()}
        (course / lesson / "expected.json").write_text(json.dumps({"format": FORMAT, "exercises": entries}))
    progress.record_check(course, "hello", "right", 2, 2)
    progress.record_check(course, "two", "partly", 1.5, 5)
    assert [(one.points, one.max_points, one.open) for one in lessons(course)] == [
        (2, 2, ()),
        (1.5, 8, ("one", "two")),
    ]
    shown = CourseProgress(course)
    assert "3.5 of 10 points in 2 lessons" in shown.text()
    assert "✔ all right" in shown.still()
    assert "no lesson" in CourseProgress(tmp_path / "home").text()

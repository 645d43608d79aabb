"""What a training run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tlkit.plots import Picture


@dataclass(repr=False)
class History:
    """The course of one `fit`: a loss for each step, averages for each finished epoch.

    The training figures of an epoch are averages over its steps, taken while the weights moved and with
    augmentation; validation figures are taken at its end, in evaluation mode. Accuracies are empty where the
    labels are not class numbers; validation figures are empty without validation data.
    """

    step_loss: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    epoch_ends: list[int] = field(default_factory=list)  # steps done when each epoch was finished
    loss_name: str = "cross-entropy (nats)"
    seconds: float = 0.0
    stopped: Literal["interrupted", "stopped"] | None = None  # by the keyboard, by StopTraining, not at all

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.epoch_ends)

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        return len(self.step_loss)

    def plot(self) -> Picture:
        """The run as a figure: loss for each step, accuracy for each epoch."""
        from tlkit.plots import history  # matplotlib only where a figure is wanted

        return history(self)

    def __repr__(self) -> str:
        parts = [f"{self.epochs} epochs", f"{self.steps} steps", f"{self.seconds:.1f} s"]
        for title in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            if values := getattr(self, title):
                parts.append(f"{title.replace('_', ' ')} {values[-1]:.3f}")
        return f"History({', '.join(parts)}{', ' + self.stopped if self.stopped else ''})"

"""Pretrain glyphnet on printed letters: ``python -m tlkit.backbones.pretrain``.

No digit is among the letters, and no image of the target (handwritten digits) is looked at here. The same
seed and number of threads give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from tlkit.backbones.alphabet import distinct_letters
from tlkit.backbones.backbone import WEIGHTS
from tlkit.backbones.glyphnet import GlyphBody
from tlkit.data.printed import glyph_fields
from tlkit.data.warp import HANDLIKE, Warp, warp
from tlkit.system import best_device, set_threads


@dataclass(frozen=True)
class Recipe:
    """Everything the result depends on."""

    steps: int = 2500
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    similarity: float = 0.9  # letters that look more alike than this are one class
    seed: int = 0
    warp: Warp = field(default=HANDLIKE)


class Letters:
    """An endless stream of warped letters: classes equally often, their fonts equally often."""

    def __init__(self, characters: str, how: Warp, seed: int, device: torch.device) -> None:
        stored = glyph_fields(characters)
        self.fields = stored[torch.arange(len(stored.classes))].to(device)  # int8 [G, 2, 64, 64]
        counts = torch.bincount(stored.classes)
        self.count = counts.to(device)
        self.first = (counts.cumsum(0) - counts).to(device)  # glyphs are stored class by class
        self.how = how
        self.generator = torch.Generator(device).manual_seed(seed)

    def draw(self, number: int) -> tuple[Tensor, Tensor]:
        """``number`` images ``[B, 1, 32, 32]`` and their classes ``[B]``."""
        device = self.fields.device
        label = torch.randint(len(self.count), (number,), generator=self.generator, device=device)
        share = torch.rand(number, generator=self.generator, device=device)
        glyph = self.first[label] + (share * self.count[label]).long()
        return warp(self.fields[glyph], self.how, self.generator), label


def pretrain(recipe: Recipe, device: torch.device | None = None) -> tuple[GlyphBody, nn.Linear, str, float]:
    """Learn to tell the letters apart; returns body, head, the letters, and the accuracy on fresh images."""
    device = device or best_device()
    characters = distinct_letters(recipe.similarity)
    letters = Letters(characters, recipe.warp, recipe.seed, device)
    torch.manual_seed(recipe.seed)
    # Not on the CPU: training narrow layers in this layout corrupted the heap there (PyTorch 2.15).
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    body = GlyphBody().to(device).to(memory_format=layout)
    head = nn.Linear(body.feature_dim, len(characters)).to(device)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step / recipe.steps))
    accuracy = 0.0
    with tqdm(total=recipe.steps, desc=f"{len(characters)} letters", unit="step") as bar:
        for _ in range(recipe.steps):
            images, labels = letters.draw(recipe.batch)
            logits = head(body(images.contiguous(memory_format=layout)))
            loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            accuracy += 0.02 * (float((logits.argmax(1) == labels).float().mean()) - accuracy)
            bar.set_postfix(loss=f"{loss.item():.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
            bar.update()
    body.eval()
    with torch.no_grad():
        fresh = [letters.draw(500) for _ in range(8)]
        right = sum(int((head(body(images)).argmax(1) == labels).sum()) for images, labels in fresh)
    return body.cpu().to(memory_format=torch.contiguous_format), head.cpu(), characters, right / 4000


def warmup_cosine(progress: float) -> float:
    """The factor on the learning rate: up in the first tenth, then down along a cosine to 1 %."""
    return min(1.0, (progress + 0.01) / 0.1) * (0.5 * (1 + math.cos(math.pi * progress)) + 0.01)


def save(path: Path, body: GlyphBody, head: nn.Linear, letters: str, accuracy: float, recipe: Recipe) -> None:
    """Write weights and recipe as one safetensors file."""
    from safetensors.torch import save_file

    weights = {f"body.{k}": v.contiguous() for k, v in body.state_dict().items()}
    weights |= {f"head.{k}": v.contiguous() for k, v in head.state_dict().items()}
    about = {"classes": list(letters), "recipe": asdict(recipe), "accuracy on fresh letters": accuracy}
    save_file(weights, path, metadata={k: json.dumps(v) for k, v in about.items()})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: a recipe in, a weights file out."""
    parser = argparse.ArgumentParser(prog="python -m tlkit.backbones.pretrain", description=__doc__)
    for item in fields(Recipe):
        if item.name != "warp":
            parser.add_argument(
                f"--{item.name.replace('_', '-')}", type=type(item.default), default=item.default
            )
    amounts = [item.name for item in fields(Warp)]
    parser.add_argument(
        "--warp", nargs="*", default=[], metavar="AMOUNT=VALUE", help=f"change one of {', '.join(amounts)}"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="default: the weights that ship with tlkit")
    chosen = vars(parser.parse_args(arguments))
    out = chosen.pop("out")
    changes = dict(change.split("=", 1) for change in chosen.pop("warp"))
    if unknown := set(changes) - set(amounts):
        parser.error(f"--warp {', '.join(sorted(unknown))}: choose from {', '.join(amounts)}")
    amount = {name: type(getattr(HANDLIKE, name))(float(value)) for name, value in changes.items()}
    recipe = Recipe(warp=replace(HANDLIKE, **amount), **chosen)
    set_threads()
    body, head, letters, accuracy = pretrain(recipe)
    save(out, body, head, letters, accuracy, recipe)
    print(f"{len(letters)} letters, accuracy {accuracy:.3f} on fresh images: written to {out}")


if __name__ == "__main__":
    main()

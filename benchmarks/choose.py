"""Compare pretraining recipes and probe penalties without the test half.

Run it as ``python benchmarks/choose.py FILE…``, where each FILE is a glyphnet that
``python -m tlkit.backbones.pretrain --out FILE`` wrote (default: the shipped one). Digits are drawn from the
training half and accuracy is measured on the rest of that half, never on the 800 test digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm.auto import tqdm

from tlkit.backbones.backbone import WEIGHTS, read_glyphnet
from tlkit.data import digits_split
from tlkit.features import extract, linear_probe
from tlkit.system import set_threads

LABELS = (1, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", default=[WEIGHTS])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--l2", type=float, nargs="*", default=[0.1])
    chosen = parser.parse_args()
    set_threads()
    half, _ = digits_split()
    rows = [
        f"| weights | l2 | {' | '.join(f'{n} a class' for n in LABELS)} |",
        "|---|---|" + "---|" * len(LABELS),
    ]
    with tqdm(total=len(chosen.files) * len(chosen.l2) * len(LABELS) * chosen.draws, unit="probe") as bar:
        for file in chosen.files:
            features = extract(read_glyphnet(file).body, half.images)
            for l2 in chosen.l2:
                cells = []
                for labels in LABELS:
                    scores = torch.zeros(chosen.draws, dtype=torch.float64)
                    for seed in range(chosen.draws):
                        picked = draw(half.by_class(), labels, seed)
                        rest = torch.ones(len(half), dtype=torch.bool)
                        rest[picked] = False
                        probe = linear_probe(features[picked], half.labels[picked], 10, l2=l2)
                        scores[seed] = probe.accuracy(features[rest], half.labels[rest])
                        bar.update()
                    cells.append(f"{scores.mean():.3f} ± {scores.std():.3f}")
                rows.append(f"| {file.stem} | {l2:g} | {' | '.join(cells)} |")
    print("\n".join(rows))


def draw(by_class: list[torch.Tensor], labels: int, seed: int) -> torch.Tensor:
    """The positions of ``labels`` random images of each class."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([where[torch.randperm(len(where), generator=generator)[:labels]] for where in by_class])


if __name__ == "__main__":
    main()

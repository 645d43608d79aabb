"""Real data sets from the network: photos of ants and bees, and MNIST."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tlkit.data.download import DataUnavailable, data_root, download, missing
from tlkit.data.images import Images

if TYPE_CHECKING:
    from PIL.Image import Image

ANTS_AND_BEES_URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
# No checksum of the archive is published. What we check: the zip's own CRC of every file, and that the
# photos are those of the set: sha256 over their sorted names ("train/ants/0013035.jpg", one a line).
ANTS_AND_BEES_NAMES = "03811f600f645b5ce5b19942e1cbd66fa6f3e41686f3a551d0a0f5138b0b90f2"
ANTS_AND_BEES_COUNT = 397


@dataclass(frozen=True)
class Photos:
    """Photos on disk: ``paths`` and ``labels`` (indices into ``classes``), opened when asked for."""

    paths: tuple[Path, ...]
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, index: int) -> Image:
        """The photo as an RGB Pillow image."""
        from PIL import Image

        with Image.open(self.paths[index]) as picture:
            return picture.convert("RGB")

    def tensor(self, transform: Callable[[Image], Tensor]) -> Tensor:
        """All photos as one tensor ``[N, C, H, W]``, each through ``transform`` (a backbone's, say)."""
        return torch.stack([transform(self.open(i)) for i in range(len(self))])


def ants_and_bees(root: str | Path | None = None) -> tuple[Photos, Photos]:
    """244 training and 153 validation photos of ants and bees (the set of PyTorch's transfer tutorial).

    Looked for in ``root/hymenoptera_data`` (see :func:`data_root`), downloaded (47 MB) where absent.
    The photos come from ImageNet: for research and teaching.

    Raises:
        DataUnavailable: not there and no network, or not the photos expected; says what to do.
    """
    base = data_root(root)
    folder = base / "hymenoptera_data"
    if not folder.is_dir():
        archive = download(ANTS_AND_BEES_URL, base / "hymenoptera_data.zip", what="ants and bees (photos)")
        _unpack(archive, folder)
    names = photo_names(folder)
    found = hashlib.sha256("\n".join(names).encode()).hexdigest()
    if found != ANTS_AND_BEES_NAMES:
        raise DataUnavailable(
            f"{folder} holds {len(names)} photos that are not the {ANTS_AND_BEES_COUNT} expected of ants and "
            f"bees. Remove that folder and run this again to download {ANTS_AND_BEES_URL}."
        )
    return _photos(folder, "train"), _photos(folder, "val")


def photo_names(folder: Path) -> list[str]:
    """The sorted names of all photos below ``folder``, relative to it, with forward slashes."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.glob("*/*/*.jpg"))


def _photos(folder: Path, part: str) -> Photos:
    classes = ("ants", "bees")
    paths = [(p, c) for c, name in enumerate(classes) for p in sorted((folder / part / name).glob("*.jpg"))]
    labels = torch.tensor([c for _, c in paths])
    return Photos(tuple(p for p, _ in paths), labels, classes, f"ants and bees, {part}")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into a neighbouring folder and move it into place, so that half a set never looks whole."""
    half = folder.with_name(folder.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as z:
            z.extractall(half)  # checks the CRC of each file
    except zipfile.BadZipFile as problem:
        archive.unlink()
        shutil.rmtree(half, ignore_errors=True)
        raise DataUnavailable(
            f"{archive} was damaged ({problem}) and has been removed: run this again to download it anew."
        ) from problem
    inner = half / folder.name
    (inner if inner.is_dir() else half).replace(folder)
    shutil.rmtree(half, ignore_errors=True)


def mnist(root: str | Path | None = None, *, train: bool) -> Images:
    """MNIST, 60,000 training or 10,000 test digits, padded from 28x28 to ``[N, 1, 32, 32]``.

    Through ``torchvision.datasets.MNIST`` (its mirrors, its checksums), in ``root/MNIST/raw``.
    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.

    Raises:
        DataUnavailable: not there and no network; says what to do.
    """
    from torchvision.datasets import MNIST

    base = data_root(root)
    try:
        data = MNIST(str(base), train=train, download=False)
    except RuntimeError:  # torchvision's word for "not there"
        try:
            data = MNIST(str(base), train=train, download=True)
        except (OSError, RuntimeError) as problem:
            raise DataUnavailable(
                missing("MNIST", MNIST.mirrors[0], base / "MNIST" / "raw", str(problem))
            ) from problem
    images = F.pad(data.data[:, None].float() / 255, (2, 2, 2, 2))
    name = "MNIST, training part" if train else "MNIST, test part"
    return Images(images, data.targets.to(torch.int64), tuple("0123456789"), name)

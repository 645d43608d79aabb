"""Downloads: kept once, checked, cleaned up after, and explained where there is no network."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tlkit.data import ants_and_bees, mnist
from tlkit.data.download import DataUnavailable, data_root, digest, download

CONTENT = b"ants and bees " * 10_000
NOWHERE = "http://127.0.0.1:9/none.zip"  # the discard port: nothing listens there


class Quiet(SimpleHTTPRequestHandler):
    """A file server that keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a loopback server with one file, ``file.bin``."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file.bin").write_bytes(CONTENT)
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_a_download_arrives_whole_and_is_kept(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bytes and the checksum fit, a progress bar ran, and a second call asks nobody."""
    target = tmp_path / "data" / "file.bin"
    checksum = ("sha256", hashlib.sha256(CONTENT).hexdigest())
    assert download(f"{server}/file.bin", target, checksum=checksum, what="a file") == target
    assert target.read_bytes() == CONTENT
    assert digest(target, "md5") == hashlib.md5(CONTENT).hexdigest()
    assert "a file: 100%" in capsys.readouterr().err
    assert download(NOWHERE, target) == target
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]


def test_another_file_than_expected_is_refused(server: str, tmp_path: Path) -> None:
    """A checksum that does not fit names both digests and leaves no file behind."""
    target = tmp_path / "file.bin"
    found = hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(DataUnavailable, match=f"md5 {found}, expected 00ff") as error:
        download(f"{server}/file.bin", target, checksum=("md5", "00ff"), what="a file")
    assert str(target) in str(error.value)
    assert not list(tmp_path.glob("file.bin*"))


def test_what_the_server_lacks_is_explained(server: str, tmp_path: Path) -> None:
    """A missing file and a missing network both say what, whence, where to, and what to do."""
    for url, reason in ((f"{server}/other.bin", "not found"), (NOWHERE, "refused")):
        with pytest.raises(DataUnavailable) as error:
            download(url, tmp_path / "other.bin", what="the other file")
        said = str(error.value)
        for part in ("the other file is not on this machine", reason, url, str(tmp_path), "TLKIT_DATA"):
            assert part in said
    assert not list(tmp_path.glob("other*"))


def test_the_folder_of_real_data_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An argument wins over $TLKIT_DATA, which wins over the user's cache."""
    monkeypatch.setenv("TLKIT_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert data_root("elsewhere") == Path("elsewhere")
    monkeypatch.delenv("TLKIT_DATA")
    assert data_root() == Path.home() / ".cache" / "tlkit"


def test_photos_without_a_network_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an empty folder and no network, ants_and_bees names the archive and where it goes."""
    monkeypatch.setattr("tlkit.data.photos.ANTS_AND_BEES_URL", NOWHERE)
    with pytest.raises(DataUnavailable, match=r"ants and bees.*not on this machine") as error:
        ants_and_bees(tmp_path)
    assert str(tmp_path / "hymenoptera_data.zip") in str(error.value)


def test_other_photos_are_refused(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An archive that unpacks but holds other photos, and one that is no archive, are errors."""
    served = tmp_path / "served"
    with zipfile.ZipFile(served / "other.zip", "w") as z:
        z.writestr("hymenoptera_data/train/ants/cat.jpg", b"no ant")
    monkeypatch.setattr("tlkit.data.photos.ANTS_AND_BEES_URL", f"{server}/other.zip")
    with pytest.raises(DataUnavailable, match="holds 1 photos that are not the 397 expected"):
        ants_and_bees(tmp_path / "a")
    monkeypatch.setattr("tlkit.data.photos.ANTS_AND_BEES_URL", f"{server}/file.bin")
    with pytest.raises(DataUnavailable, match="was damaged"):
        ants_and_bees(tmp_path / "b")
    assert not list((tmp_path / "b").iterdir())


def test_mnist_without_a_network_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an empty folder and no network, mnist names the folder its files belong in."""
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataUnavailable, match=r"MNIST is not on this machine") as error:
        mnist(tmp_path, train=True)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value)


def test_real_photos_are_found_and_open(real_files: Path) -> None:
    """244 + 153 photos with balanced labels, opened as RGB."""
    train, val = ants_and_bees(real_files)
    assert (len(train), len(val)) == (244, 153)
    assert train.classes == ("ants", "bees")
    assert train.labels.bincount().tolist() == [123, 121]
    assert val.labels.bincount().tolist() == [70, 83]
    assert train.open(0).mode == "RGB"
    assert all(p.parent.name == train.classes[c] for p, c in zip(train.paths, train.labels, strict=True))


def test_mnist_is_found_and_padded(real_files: Path) -> None:
    """10,000 test digits in the middle of 32x32 pictures."""
    data = mnist(real_files, train=False)
    assert data.images.shape == (10_000, 1, 32, 32)
    assert data.images.max() == 1
    assert not data.images[..., [0, 1, 30, 31]].any()  # the margin is paper
    assert not data.images[..., [0, 1, 30, 31], :].any()
    assert data.labels[:5].tolist() == [7, 2, 1, 0, 4]

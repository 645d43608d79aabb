"""glyphnet: what it was taught, that its weights transfer, and that its card quotes what was measured."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tlkit.backbones import load_backbone
from tlkit.backbones.alphabet import candidates, distinct_letters
from tlkit.backbones.backbone import WEIGHTS, read_glyphnet
from tlkit.backbones.pretrain import Letters, Recipe, main, pretrain, save, warmup_cosine
from tlkit.data import HANDLIKE, digits_split, few_shot, printed_letters
from tlkit.features import extract, linear_probe

ROOT = Path(__file__).resolve().parent.parent
CARD = ROOT / "tlkit" / "backbones" / "glyphnet.md"
RESULT = ROOT / "benchmarks" / "results" / "transfer.md"
SMALL = Recipe(steps=2, batch=16)


@pytest.fixture
def few_letters(monkeypatch: pytest.MonkeyPatch) -> str:
    """Pretraining on seven letters: the same code, in a second."""
    letters = "ABCDEFG"
    monkeypatch.setattr("tlkit.backbones.pretrain.distinct_letters", lambda _: letters)
    return letters


def test_no_digit_was_learned() -> None:
    """Every class of the shipped weights is a letter; none is a number or was made after one."""
    classes = load_backbone().classes
    assert len(set(classes)) == len(classes) > 200
    assert all(unicodedata.category(c) in ("Lu", "Ll", "Lo") and not c.isnumeric() for c in classes)
    assert not any("TONE" in unicodedata.name(c) or "DIGIT" in unicodedata.name(c) for c in classes)


def test_the_classes_are_those_the_script_would_learn() -> None:
    """The weights' classes are the distinct letters of the recipe stored with them."""
    with safe_open(WEIGHTS, framework="pt") as stored:
        recipe = json.loads(stored.metadata()["recipe"])
    assert "".join(load_backbone().classes) == distinct_letters(recipe["similarity"])
    assert Recipe(**{**recipe, "warp": HANDLIKE}) == Recipe()
    assert recipe["warp"] == {name: getattr(HANDLIKE, name) for name in recipe["warp"]}


def test_letters_that_look_alike_are_one_class() -> None:
    """Capital A of Latin, Greek and Cyrillic is learned once; letters of many scripts remain."""
    kept = distinct_letters()
    assert "A" in kept
    assert "\N{GREEK CAPITAL LETTER ALPHA}" in candidates()
    assert not {"\N{GREEK CAPITAL LETTER ALPHA}", "\N{CYRILLIC CAPITAL LETTER A}"} & set(kept)
    assert len({unicodedata.name(c).split()[0] for c in kept}) > 8


def test_the_file_is_small_and_the_network_loads_from_it() -> None:
    """At most 4 MB; features [N, 512]; in evaluation mode; equal on every load."""
    assert WEIGHTS.stat().st_size <= 4_000_000
    backbone = load_backbone()
    x = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        features = backbone.body(x)
        again = load_backbone(seed=5).body(x)
    assert features.shape == (3, backbone.feature_dim)
    assert backbone.feature_dim <= 512
    assert not backbone.training
    assert torch.equal(features, again)
    assert [name for name, _ in backbone.body.named_children()] == [
        "stem",
        "stage1",
        "stage2",
        "stage3",
        "pool",
    ]


def test_it_still_reads_letters() -> None:
    """The shipped head tells Latin letters apart that it has seen neither in this warp nor at this seed."""
    backbone = load_backbone()
    latin = "".join(c for c in backbone.classes if c.isascii())
    data = printed_letters(10, seed=123, characters=latin)
    with torch.no_grad():
        named = [backbone.classes[i] for i in backbone(data.images).argmax(1)]
    right = [name == data.classes[label] for name, label in zip(named, data.labels.tolist(), strict=True)]
    assert sum(right) / len(right) > 0.7


def test_its_features_know_digits_better_than_pixels_and_chance() -> None:
    """Five labels a class: the frozen features beat raw pixels and random features on every draw."""
    train = digits_split()[0]
    held_out = train.subset(range(0, len(train), 2))  # not the test half: this test is run often
    pool = train.subset(range(1, len(train), 2))
    bodies = [load_backbone().body, load_backbone(pretrained=False).body, torch.nn.Flatten()]
    for seed in range(3):
        few = few_shot(pool, 5, seed)
        pretrained, random, pixels = (
            linear_probe(extract(body, few.images), few.labels, 10, l2=0.1).accuracy(
                extract(body, held_out.images), held_out.labels
            )
            for body in bodies
        )
        assert pretrained > 0.9
        assert pretrained > max(random, pixels) + 0.05


def test_pretraining_repeats_itself(few_letters: str) -> None:
    """The same seed gives the same weights, another seed others; the loss and the weights are finite."""
    cpu = torch.device("cpu")
    first, _, letters, accuracy = pretrain(SMALL, cpu)
    same, _, _, _ = pretrain(SMALL, cpu)
    other, _, _, _ = pretrain(Recipe(steps=2, batch=16, seed=1), cpu)
    assert letters == few_letters
    assert 0 <= accuracy <= 1
    for name, value in first.state_dict().items():
        assert torch.isfinite(value).all()
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(first.stem[0].weight, other.stem[0].weight)


def test_pretraining_learns(few_letters: str) -> None:
    """Forty steps on seven letters are well above chance."""
    _, _, _, accuracy = pretrain(Recipe(steps=40, batch=32), torch.device("cpu"))
    assert accuracy > 3 / 7


def test_the_script_writes_weights_that_load(
    few_letters: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to a backbone with the letters as classes; the warp can be changed there."""
    out = tmp_path / "small.safetensors"
    main(["--steps", "2", "--batch", "8", "--warp", "pen=0", "coarse=1", "--out", str(out)])
    assert "7 letters" in capsys.readouterr().out
    backbone = read_glyphnet(out)
    assert backbone.classes == tuple(few_letters)
    assert backbone.head.out_features == 7
    with safe_open(out, framework="pt") as stored:
        assert '"pen": 0.0' in stored.metadata()["recipe"]
    with pytest.raises(SystemExit):
        main(["--warp", "wobble=1", "--out", str(out)])
    assert "wobble: choose from turn" in capsys.readouterr().err


def test_what_is_saved_is_what_is_loaded(few_letters: str, tmp_path: Path) -> None:
    """Body and head come back to the bit."""
    body, head, letters, accuracy = pretrain(SMALL, torch.device("cpu"))
    save(tmp_path / "w.safetensors", body, head, letters, accuracy, SMALL)
    backbone = read_glyphnet(tmp_path / "w.safetensors").eval()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(x), head(body(x)))


def test_the_stream_of_letters_is_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes come equally often, so do the glyphs of one class, and each glyph with its own label."""
    classes = torch.tensor([0, 0, 0, 1, 2, 2])

    class Numbered:
        """Six glyphs, each of which is its own number."""

        def __init__(self, characters: str) -> None:
            self.classes = classes

        def __getitem__(self, index: torch.Tensor) -> torch.Tensor:
            return torch.arange(6)[index]

    monkeypatch.setattr("tlkit.backbones.pretrain.glyph_fields", Numbered)
    monkeypatch.setattr("tlkit.backbones.pretrain.warp", lambda fields, how, generator: fields)
    glyph, label = Letters("ABC", HANDLIKE, seed=0, device=torch.device("cpu")).draw(6000)
    assert torch.equal(classes[glyph], label)
    expected = 2000 * torch.tensor([1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2])
    assert torch.allclose(torch.bincount(glyph).float(), expected, rtol=0.12)


def test_the_learning_rate_warms_up_and_falls() -> None:
    """From a tenth, to the full rate, to a hundredth."""
    assert warmup_cosine(0.0) == pytest.approx(0.1 * 1.01)
    assert warmup_cosine(0.1) == pytest.approx(0.5 * (1 + 0.9510565) + 0.01)
    assert warmup_cosine(1.0) == pytest.approx(0.01)


def test_the_card_quotes_the_benchmark() -> None:
    """Table and note in the card are those the benchmark printed, for the weights that ship."""
    result = RESULT.read_text(encoding="utf-8").strip()
    assert result in CARD.read_text(encoding="utf-8")
    quoted = re.search(r"glyphnet\.safetensors ([0-9a-f]{16})", result)
    assert quoted is not None
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest().startswith(quoted[1])

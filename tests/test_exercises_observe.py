"""Values become plain data, survive JSON, are compared by stated rules, and hostile bytes are refused."""

import json
import math

import numpy as np
import pytest
import torch

from tlkit.exercises import same_expected
from tlkit.exercises.compare import compare
from tlkit.exercises.observe import MAX_VALUES, ObservationError, observe, observe_all
from tlkit.exercises.rules import compare_all
from tlkit.exercises.untrusted import parse


def through_json(value):
    """An observation as another process would read it."""
    return parse(json.dumps({"x": observe(value)}, allow_nan=False).encode())["x"]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -2.5, "tëxt", math.nan, math.inf, 1 + 2j, [1, [2.0, "a"]], (1, None), {3, 1},
        {"a": 1, 2: [True]},
        torch.arange(6).reshape(2, 3), torch.tensor([math.nan, -math.inf, 1e-30]), torch.tensor(True),
        torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.complex64), torch.float32,
        torch.zeros(2, 0), np.float32(0.1), np.arange(3, dtype=np.uint8), torch.ones(3, requires_grad=True),
        torch.eye(2).to_sparse(), torch.device("cpu"), torch.Size([2, 3]),
    ],
)  # fmt: skip
def test_values_survive_the_journey(value):
    """Every kind of value is the same observation after JSON and an untrusting reader, and equals itself."""
    there = through_json(value)
    assert there == observe(value)
    assert compare(there, observe(value)) is None


def test_floats_are_kept_to_the_last_bit():
    """The shortest decimal of each float reads back as the same float of its width."""
    tensor = torch.randn(50, generator=torch.Generator().manual_seed(0))
    again = torch.tensor(through_json(tensor)["data"], dtype=torch.float32)
    assert torch.equal(again, tensor)


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        (torch.zeros(8, 5), torch.zeros(5, 8), "expected shape [8, 5], found [5, 8]"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), "expected float32, found int64"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.bool), "expected float32, found bool"),
        (torch.zeros(40), torch.tensor([math.nan] * 3 + [0.0] * 37), "found NaN in 3 of 40 values"),
        (torch.zeros(()), torch.zeros(1), "expected a single number, found a float32 tensor of shape [1]"),
        (1.5, None, "expected a float (1.5), found None"),
        (0.5, 1.0, "expected 0.5, found 1"),
        (True, 1, "expected a bool (True), found an integer (1)"),
        ("train", "eval", "expected 'train', found 'eval'"),
        ([1, 2], [1], "expected 2 items, found 1"),
        ([1, 2], [1, 3], "item 1: expected 2, found 3"),
        ([1], [], "expected 1 item, found 0"),
        (["a", "b"], ["b", "c"], "found a list without 'a' and with 'c' too many"),
        ([], list("abcdefgh"), "found a list with 'a', 'b', 'c', 'd', 'e', 'f', … (8 in all) too many"),
        ({"a": 1}, {"b": 1}, "found a dict without 'a' and with 'b' too many"),
        ({"a": 1}, {"a": 2}, "at 'a': expected 1, found 2"),
        (torch.zeros(2), np.zeros(2), "expected a float32 tensor of shape [2], found a float64 NumPy array"),
        (torch.zeros(2), torch.zeros(2, device="meta"), "expected a tensor on cpu, found one on meta"),
        (torch.zeros(2), [0.0, 0.0], "found a list of 2"),
    ],
)  # fmt: skip
def test_differences_are_named(expected, found, said):
    """The sentence names what was expected and what was found."""
    assert said in compare(observe(expected), observe(found)).text


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (torch.tensor(0.5), 0.5), (0.5, torch.tensor(0.5)), (2.0, 2), (torch.tensor(2.0), torch.tensor(2)),
        (torch.ones(2), torch.ones(2).double()), (1.0, 1.00009), ([1, 2], (1, 2)), (math.nan, math.nan),
        (torch.arange(2), torch.arange(2, dtype=torch.int32)), (0.0, 9e-6),
    ],
)  # fmt: skip
def test_what_counts_as_equal(expected, found):
    """The default rules: 0-d or Python number, any width of the same kind, 1e-4 relative, 1e-5 absolute."""
    assert compare(observe(expected), observe(found)) is None


def test_rules_of_a_label():
    """Exact dtype, agreement with the truth, bounds and context each do what they say."""
    exact = {"x": {"dtype": "exact"}}
    one, other = {"x": observe(torch.ones(2))}, {"x": observe(torch.ones(2).double())}
    assert compare_all(one, other, exact)["x"].text == "expected float32, found float64"
    rules = {"guess": {"agreement_with": "truth", "at_least": 0.75}, "truth": {"context": True}}
    truth = observe_all({"guess": torch.tensor([0, 1, 2, 0]), "truth": torch.tensor([0, 1, 2, 3])})
    good = observe_all({"guess": torch.tensor([0, 1, 2, 9]), "truth": torch.tensor([9, 9, 9, 9])})
    lies = observe_all({"guess": torch.tensor([9, 9, 9, 9]), "truth": torch.tensor([9, 9, 9, 9])})
    assert compare_all(truth, good, rules) == {"guess": None}
    assert "0.0% agree" in compare_all(truth, lies, rules)["guess"].text
    bounds = {"x": {"at_least": 0.8}}
    assert compare_all({"x": 0.9}, {"x": 0.81}, bounds)["x"] is None
    assert "at least 0.8" in compare_all({"x": 0.9}, {"x": 0.79}, bounds)["x"].text


def test_blind_sentences_hold_no_expected_value():
    """What feedback on a secret case says of a difference names nothing that was expected."""
    pairs = [
        (0.123, 7.0), (torch.full((3,), 0.123), torch.zeros(3)), (torch.full((40,), 0.123), torch.zeros(40)),
        ([0.123], [7.0]), ({"k": 0.123}, {"k": 7.0}), ("0.123", "x"), ({"0.123": 1}, {"x": 1}),
    ]  # fmt: skip
    for expected, found in pairs:
        assert "0.123" not in compare(observe(expected), observe(found)).blind


def test_too_much_is_summarised():
    """Huge and deeply nested values cost nothing and are never encoded."""
    assert observe(torch.zeros(1).expand(10**9))["data"] is None
    assert observe(torch.zeros(MAX_VALUES + 1))["data"] is None
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert len(json.dumps(observe(deep))) < 500
    endless = []
    endless.append(endless)
    assert len(json.dumps(observe(endless))) < 500
    assert len(json.dumps(observe([[0] * 1000] * 1000))) < 2_000_000
    assert observe(10**5000) == {"object": "int (too large to look at)"}


ARRAY = {"array": "tensor", "dtype": "int64", "shape": [2], "device": "cpu", "data": [1, 2]}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"[1]", b"{}", b'{"x": NaN}', b'{"x": Infinity}', b'{"x": 1e999}', b'{"x": {"y": 1}}',
        b"[" * 100_000, b'{"x": ' + b"[" * 50 + b"]" * 50 + b"}", b'{"x": "' + b"a" * 20_000 + b'"}',
        b'{"x": ' + b"9" * 5000 + b"}", b'{"x": [' + b"0," * 30_000 + b"0]}", b" " * 5_000_000,
        b'{"x": {"float": "1"}}', b'{"x": {"dict": [[1]]}}', b'{"x": {"set": 3}}', b'{"x": {"complex": [1]}}',
        b'{"": 1}', b'{"x": {"tuple": [], "set": []}}',
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused(raw):
    """Sizes, depth, syntax and unknown tags end in one kind of error."""
    with pytest.raises(ObservationError):
        parse(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3]}, {"shape": [-1]}, {"shape": "2"}, {"shape": [2.0]}, {"shape": [1] * 99},
        {"data": [1.0, 2.0]}, {"data": [True, 1]}, {"data": [1, 10**30]}, {"data": "12"}, {"dtype": 3},
        {"array": "pickle"},
        {"extra": 1}, {"device": ["cpu"]}, {"dtype": "float32", "data": ["NaN", 1.0]}, {"shape": [2**70]},
    ],
)  # fmt: skip
def test_malformed_arrays_are_refused(change):
    """An array must be what it says: shape filled, values of its dtype, no further keys."""
    assert parse(json.dumps({"x": ARRAY}).encode())["x"] == ARRAY
    with pytest.raises(ObservationError):
        parse(json.dumps({"x": {**ARRAY, **change}}).encode())


def test_same_expected_forgives_rounding_only():
    """Two builds on different processors are the same; a changed value or text is a drift."""
    build = {"why": "because", "expected": {"11": {"x": observe(torch.tensor([1.0, 2.0])), "y": 0.5}}}
    rounded = json.loads(json.dumps(build))
    rounded["expected"]["11"]["x"]["data"][0] += 1e-7
    assert same_expected(build, rounded)
    rounded["expected"]["11"]["x"]["data"][0] += 1e-2
    assert not same_expected(build, rounded)
    assert not same_expected(build, {**build, "why": "because!"})

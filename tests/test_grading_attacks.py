# ruff: noqa: E501 (attackers' code in strings)
"""Attacks on `tlkit grade`, each handed in as a submission and graded beside honest ones in a single run.

No attacker gains a point, harms a classmate, learns a secret, stops the run or makes it hang. What is known
to be possible (see KNOWN) is written down here as well, so that nobody takes it for safe.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import empty_course, environment, grades, nbgrader
from submissions import Kit, hand_in, own_cell
from test_nbgrader_states import running

from tlkit.build.command import build
from tlkit.build.course import Lesson
from tlkit.build.new_lesson import new_lesson
from tlkit.build.notebooks import nbgrader as mark
from tlkit.build.notebooks import new_cell, new_node, read_notebook
from tlkit.grading.isolation.levels import Level, best
from tlkit.grading.records import Record, Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
LESSON, CENTER, GUESS = "00_sample", "center_sample", "guess_sample"
WRITTEN = f"why_{CENTER}"
CELL_SECONDS, TOTAL_SECONDS = 3, 16
RIGHT_MARK = "means_of_the_right_answer"  # a name in the solution, which nobody may see
CANARY, CLASSMATE = "canary-2f9d71", "classmate-8c44e0"  # in the instructor's environment; in another's work

TEXT = f'''# ### Exercise: guess the class
#
# {{exercise:{GUESS}}}
#
# Return the class of each point.

# %% solution="{GUESS}"
def {GUESS}(points: Tensor) -> Tensor:
    """Class of each point: [B, 4] -> [B]."""
    ### BEGIN SOLUTION
    return points.argmax(dim=1)
    ### END SOLUTION

# %% test="{GUESS}"

# %% [markdown]
# ### In your own words
'''
PROBES = f'''

exercise(
    "{CENTER}",
    difficulty=1,
    minutes=5,
    seconds=4,
    why="Centred features.",
    hints=("Which dimension counts the rows?",),
)
exercise(
    "{GUESS}",
    difficulty=1,
    minutes=5,
    seconds=4,
    why="A class is a direction.",
    hints=("Which number is the largest?",),
)


@probe("{GUESS}", points=1)
def _({GUESS}, rng):
    """Most points get their class."""
    labels = torch.from_numpy(rng.integers(0, 4, 40))
    points = 3 * torch.nn.functional.one_hot(labels, 4).float() + 0.1 * tensor(rng, 40, 4)
    return {{"guesses": {GUESS}(points), "true labels": labels}}
'''
ANSWERS = f'''

@misconception("{GUESS}", "smallest", hint="That is the smallest number of the row, not the largest.")
def _(points):
    return points.argmin(dim=1)


accept("{GUESS}", "guesses", agreement_with="true labels", at_least=0.8)
'''
WRONG = f"def {CENTER}(features):\n    return features - features.mean(dim=1, keepdim=True)\n"
WRONG_GUESS = f"def {GUESS}(points):\n    return points.argmin(dim=1)\n"


def write_lesson(root: Path) -> Lesson:
    """The sample lesson with a second exercise, which is judged by accuracy on points its probe makes up."""
    lesson = new_lesson(root, "sample")
    text = lesson.text.read_text()
    text = text.replace("column_means", RIGHT_MARK).replace("# ### In your own words\n", TEXT)
    lesson.text.write_text(text)
    probes = lesson.folder / "probes.py"
    head, rest = probes.read_text().split("exercise(\n", 1)
    head = head.replace("from tlkit", "import torch\n\nfrom tlkit", 1)
    first = rest.split("\n)\n", 1)[1]
    probes.write_text(
        head + PROBES.split("@probe", 1)[0].lstrip() + first + "\n\n@probe" + PROBES.split("@probe", 1)[1]
    )
    answers = lesson.folder / "answers.py"
    answers.write_text(
        answers.read_text().replace("import alternative", "import accept, alternative") + ANSWERS
    )
    return lesson


# --- what attackers do ------------------------------------------------------------------------------------

Edit = Callable[[Any, Kit], Any]


@dataclass(frozen=True)
class Attack:
    """A submission with wrong answers and something else in it.

    cell: code run before the first answer. center, guess: the answers, wrong ones by default. edit: a change
    of the notebook (it may return other bytes to hand in). files: beside the notebook. score: what the honest
    part is worth; no other score may come out. states: how it may end. says: in its remarks.
    """

    cell: str = ""
    center: str = WRONG
    guess: str = WRONG_GUESS
    edit: Edit | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    score: float = 0.0
    states: tuple[str, ...] = ("graded", "graded with remarks")
    says: str = ""


GRADED = ("graded", "graded with remarks")
PARTLY = ("partly graded",)
REFUSED = ("not gradable",)

CHANNEL = """
import json, os, stat, sys

def channel():
    for number in range(3, 600):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                return number
        except OSError:
            pass

def write(data):
    while data:
        data = data[os.write(channel(), data):]

def say(**message):
    write(json.dumps(message).encode() + b"\\n")

def job():
    frame = sys._getframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("job"), dict):
            return frame.f_locals["job"]
        frame = frame.f_back

def forged(values, name):
    return [{str(seed): {"values": one} for seed in job()["seeds"][name]} for one in values]

"""
TENSOR = '{"array": "tensor", "dtype": "float32", "shape": [6, 3], "device": "cpu", "data": [0.0] * 18}'
ZEROS = f'[{{"the centred features": {TENSOR}}}] * 2'

# the exact observations of the public cases, which every student has in expected.json
PUBLIC = "@PUBLIC@"

EQUAL = """
import torch

class Equal:
    shape, dtype, device, data, __class__ = torch.Size([6, 3]), torch.float32, "cpu", None, torch.Tensor
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __array__(self, *a, **k): import numpy; return numpy.zeros((6, 3))
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __sub__(self, other): return self
    def __rsub__(self, other): return self
    def __abs__(self): return 0.0
    def __le__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 6
    def __iter__(self): return iter([self] * 6)
    def __getitem__(self, index): return self
    def __reduce__(self): return (print, ("PWNED",))
    def __repr__(self): return "2"

class Tensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return True
    def __eq__(self, other): return True
    def detach(self): return self
    def tolist(self): return Equal()

class Int(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __add__(self, other): return 2
class Float(float):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __sub__(self, other): return 0.0
class Text(str):
    def __eq__(self, other): return True
    def __hash__(self): return 0
class Dict(dict):
    def __eq__(self, other): return True
    def __contains__(self, other): return True
    def __getitem__(self, key): return Equal()
    def items(self): return [("the centred features", Equal())]
"""


def returns(expression: str, prelude: str = "") -> str:
    return f"{prelude}\ndef {CENTER}(features):\n    return {expression}\n"


SPREAD = """
import os
@HERE@
for path in (
    ROOT + "/gradebook.db", ROOT + "/PWNED", ROOT + "/nbgrader_config.py", ROOT + "/.tlkit-secret",
    ROOT + "/submitted/right/00_sample/00_sample.ipynb", ROOT + "/submitted/right/00_sample/PWNED",
    ROOT + "/solutions/00_sample/expected.json", ROOT + "/autograded/right/00_sample/PWNED",
    ROOT + "/.tlkit-grading/00_sample/records/right.json", HOME + "/PWNED", HOME + "/.bashrc.PWNED",
    HOME + "/.ipython/profile_default/startup/PWNED.py", SITE + "/PWNED.pth", SITE + "/PWNED.py",
    SITE + "/sitecustomize.py", TLKIT + "/PWNED.py", TLKIT + "/__init__.py", "/PWNED", "/etc/PWNED", "/var/tmp/PWNED",
    "/proc/sys/kernel/core_pattern", "/proc/1/mem", "/proc/self/../1/oom_score_adj",
):
    for mode in ("a", "w"):
        try:
            with open(path, mode) as file:  # a folder made on the way would be one of its own private /tmp
                file.write("\\n# PWNED\\n")
            print("WR" + "OTE", path)
        except Exception:
            pass
"""
LOOKS = """
import glob, os, re
@HERE@
wanted = re.compile(b"[m]eans_of_the_right_answer|[c]anary-2f9d71|[c]lassmate-8c44e0")
def look(path):
    try:
        with open(path, "rb") as file:
            if wanted.search(file.read(5_000_000)):
                print("FO" + "UND", path)
    except Exception:
        pass
paths = [ROOT + "/gradebook.db", ROOT + "/.tlkit-secret", ROOT, HOME]
for pattern in ("/solutions/*/*", "/submitted/*/*/*", "/autograded/*/*/*", "/.tlkit-grading/*/*/*", "/.tlkit-secret"):
    paths += glob.glob(ROOT + pattern)
for pattern in ("environ", "cmdline", "maps", "root" + ROOT + "/solutions/00_sample/*", "cwd/*", "fd/*"):
    paths += glob.glob("/proc/[0-9]*/" + pattern)
for top in ("/tmp", "/home", "/root", "/mnt", "/old", "/var", "/srv", "/opt"):
    for folder, _, names in os.walk(top):
        paths += [os.path.join(folder, name) for name in names[:200]]
for path in paths[:5000]:
    look(path)
    if os.path.exists(path) and ROOT in path and not path.startswith("/proc") and path not in (ROOT, HOME):
        print("FO" + "UND", path)
for name, value in os.environ.items():
    if wanted.search((name + value).encode()):
        print("FO" + "UND", name)
print(sorted(os.environ.items()))
"""
MEMORY = """
import gc, re
wanted = re.compile("[m]eans_of_the_right_answer|[c]anary-2f9d71|[c]lassmate-8c44e0")
for thing in gc.get_objects():
    if type(thing) is dict and "expected" in thing and "rules" in thing:
        print("FO" + "UND", str(thing)[:300])
import tlkit.grading.process.worker, tlkit.grading.process.client, tlkit.grading.hidden
raw = re.compile(wanted.pattern.encode())
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        place, rights, *rest = line.split()
        start, end = (int(number, 16) for number in place.split("-"))
        if rights.startswith("rw") and end - start < 1 << 28:
            try:
                memory.seek(start)
                if raw.search(memory.read(end - start)):
                    print("FO" + "UND at", place)
            except OSError:
                pass
"""
HISTORY = """
shell = get_ipython()
found = [str(shell.user_ns.get(name)) for name in ("In", "Out", "_ih", "_oh", "_dh")]
try:
    found += [str(list(shell.history_manager.get_range(-1))), str(list(shell.history_manager.search("*")))]
except Exception as error:
    found.append(type(error).__name__)
print(found)
import linecache
print([name for name in linecache.cache if "solutions" in name])
"""
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>[a](javascript:alert(4))"
XSS_CELL = f"""
import warnings, sys
X = {XSS!r}
print(X)
print(X, file=sys.stderr)
class Shown:
    def __repr__(self): return X
    def _repr_html_(self): return X
    def _repr_markdown_(self): return X
    def _repr_svg_(self): return "<svg onload=alert(5)></svg>"
    def _repr_javascript_(self): return "alert(6)"
    def _repr_mimebundle_(self, **k):
        return {{"text/plain": X, "text/html": X, "image/png": X, "image/svg+xml": X, "application/javascript": X}}
display(Shown())
Shown()
"""
XSS_ERROR = f"raise type({XSS!r}, (Exception,), {{}})({XSS!r})"
XSS_ANSWER = f"""
def {CENTER}(features):
    import warnings
    warnings.warn({XSS!r}, type({XSS!r}, (UserWarning,), {{}}))
    raise type({XSS!r}, (Exception,), {{}})({XSS!r})  # {XSS}
"""
XSS_RETURN = f"def {GUESS}(points):\n    return {XSS!r}\n"
FAKE_PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + b"\xff\xff\xff\xf0" * 2 + XSS.encode()
).decode()


def _cells(*sources: tuple[str, str]) -> Edit:
    def edit(notebook: Any, kit: Kit) -> None:
        for kind, source in sources:
            cell = new_cell("code" if kind == "code" else "markdown", source)
            if kind == "raw":
                cell.cell_type = "raw"
            notebook.cells.append(cell)

    return edit


def _marks(notebook: Any, kit: Kit) -> None:
    """Own cells with marks of every kind, points changed, the written answer's points, a false checksum."""
    for number, (name, grade, solution, locked) in enumerate(
        [
            (f"test_{CENTER}", True, False, True),
            (f"test_{CENTER}_2", True, False, True),
            ("bonus", True, True, False),
            (CENTER, True, False, False),
            (LESSON + "_setup", True, False, False),
            ("__proto__", True, False, True),
            (None, True, False, True),
            ("x" * 5000, True, False, True),
        ]
    ):
        cell = new_cell("code", "2")
        about = {
            "grade_id": name,
            "grade": grade,
            "solution": solution,
            "locked": locked,
            "points": 100,
            "task": False,
        }
        cell.metadata.nbgrader = new_node(**about, schema_version=3, checksum="0" * 32)
        cell.metadata.tags = ["skip-execution", "tlkit-not-run", "setup", "demo"]
        cell.outputs = [
            new_node(output_type="execute_result", data={"text/plain": "2"}, metadata={}, execution_count=1)
        ]
        notebook.cells.insert(number, cell)
    for cell in notebook.cells:
        if mark(cell):
            mark(cell)["points"] = 1000
    notebook.metadata = new_node(
        kernelspec={"name": "evil", "display_name": XSS, "language": "bash", "argv": ["touch", "/tmp/PWNED"]},
        tlkit={"remarks": [], "partly": False, "renamed_from": "../../right/x"},
        language_info={"name": "<script>", "codemirror_mode": XSS},
        title=XSS,
    )


def _tags(notebook: Any, kit: Kit) -> None:
    for cell in notebook.cells:
        cell.metadata.tags = ["skip-execution", "tlkit-not-run", "raises-exception", "demo", "setup"]


def _tests_replaced(notebook: Any, kit: Kit) -> None:
    """One test deleted, one retyped as Markdown with a score in it, both copied to the top as own code."""
    for name in (CENTER, GUESS):
        cell = Kit.cell(notebook, f"test_{name}")
        cell.source, cell.cell_type = "2", "markdown"
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    notebook.cells = [c for c in notebook.cells if mark(c).get("grade_id") != f"test_{GUESS}"]
    notebook.cells = notebook.cells[::-1]


def _xss_everywhere(notebook: Any, kit: Kit) -> bytes:
    Kit.cell(notebook, WRITTEN).source = XSS
    notebook.cells += [
        new_cell("markdown", f"{XSS}\n\n![a](attachment:{XSS[:8]})"),
        new_cell("code", f"# {XSS}\n1"),
    ]
    raw = new_cell("markdown", XSS)
    raw.cell_type = "raw"
    raw.metadata.raw_mimetype = "text/html"
    notebook.cells.append(raw)
    data = json.loads(json.dumps(notebook))
    for number, cell in enumerate(data["cells"]):
        cell["id"] = f'"><script>alert({number})</script>'[:64]
        cell["metadata"]["nbgrader"] = cell["metadata"].get("nbgrader", {"grade_id": XSS, "grade": True})
        if cell["cell_type"] == "markdown":
            cell["attachments"] = {XSS[:60]: {"image/png": XSS}, "a": {"image/png": 'x" onerror="alert(7)'}}
    return json.dumps(data).encode()


def _json(change: Callable[[dict[str, Any]], object]) -> Edit:
    def edit(notebook: Any, kit: Kit) -> bytes:
        data = json.loads(json.dumps(notebook))
        change(data)
        return json.dumps(data).encode()

    return edit


def _extra(*cells: Any) -> Edit:
    return _json(lambda data: data["cells"].extend(copy.deepcopy(cells)))


def _code(source: Any, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": source,
        **more,
    }


def _markdown(source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source, **more}


def _strange_types(data: dict[str, Any]) -> None:
    """Every field that a cell has, with a type that it should not have."""
    odd: list[Any] = [
        None,
        1,
        -1.5,
        True,
        "x",
        [],
        {},
        [[]],
        {"a": {}},
        "\ud800",
        "\x00",
        10**4000,
        [1, None, "ok"],
    ]
    for value in odd:
        data["cells"] += [
            value,
            _code(value),
            _code("1", id=value),
            _code("1", metadata=value),
            _code("1", metadata={"nbgrader": value, "tags": value}),
            _code("1", metadata={"nbgrader": {"grade_id": value, "grade": value, "points": value}}),
            _code("1", outputs=value, execution_count=value),
            _markdown("a", attachments=value),
            _markdown("a", attachments={"a": value, "b": {"image/png": value}}),
            {"cell_type": value, "source": "1"},
            {"source": value},
        ]
    data["metadata"], data["nbformat"] = odd, {"a": odd}


def _twins(data: dict[str, Any]) -> None:
    answer = next(c for c in data["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == CENTER)
    data["cells"] += [
        {**answer, "id": "same", "source": answer["source"] + "#" * (i % 2)} for i in range(100)
    ]


ESC = "\x1b]0;OWNED\x07\x1b[2J\u202e\r\n=1+1"
NESTED = "a" + ".b" * 100_000
MARKDOWN_BOMB = "<p><b>" * 20_000
SHADOW = b"import os\nopen(os.path.expanduser('~/PWNED'), 'w').close()\nprint('PWNED')\n"

ATTACKS: dict[str, Attack] = {
    # --- patched libraries
    "patch-torch": Attack(
        "import torch, numpy\n"
        "torch.equal = torch.allclose = numpy.allclose = numpy.array_equal = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = lambda *a: True\n"
        "torch.Tensor.mean = lambda self, *a, **k: self * 0\n"
        "torch.Tensor.numpy = torch.Tensor.detach = torch.Tensor.cpu = lambda self: torch.zeros(6, 3)\n",
        states=(*GRADED, *PARTLY),
    ),
    "patch-builtins": Attack(
        "import builtins, math, json\n"
        "builtins.abs = lambda x: 0\nbuiltins.all = lambda x: True\nmath.isclose = lambda *a, **k: True\n"
        "builtins.round = lambda *a: 0\nbuiltins.float = builtins.int = lambda *a: 2\n",
        states=(*GRADED, *PARTLY),
    ),
    "patch-tlkit": Attack(
        "import tlkit, tlkit.exercises.compare as c, tlkit.exercises.rules as r, tlkit.exercises.judge as j\n"
        "import tlkit.exercises.check as k, tlkit.grading.process.worker as w, tlkit.grading.settle as s\n"
        "c.compare = r.compare = j.compare_all = lambda *a, **q: None\n"
        "j._judge_part = j.judge = k.judge = tlkit.check = lambda *a, **q: 2\n"
        "w.find_code = lambda name, about, space: (lambda x: x - x.mean(0) if 0 else x * 0, '')\n"
        "w.unusable = lambda *a, **q: ''\n"
    ),
    "patch-measure": Attack(
        "import tlkit.grading.process.worker as w\nfrom tlkit.exercises.measure import Measured\n"
        f"w.measure = lambda e, p, c, seeds, **k: Measured([{{str(s): {{'values': v}} for s in seeds}} for v in {ZEROS}])",
        states=(*GRADED, *PARTLY),
    ),
    "patch-spec": Attack(
        "import gc\nfrom tlkit.exercises.spec import Probe, Spec\n"
        "for thing in gc.get_objects():\n"
        "    if isinstance(thing, Probe):\n"
        "        object.__setattr__(thing, 'measure', lambda code, rng: {'the centred features': 0.0, 'guesses': [0] * 40})\n"
        "    if isinstance(thing, Spec):\n"
        "        object.__setattr__(thing, 'digest', 'x')\n"
    ),
    "patch-random": Attack(
        "import numpy as np\nmake = np.random.default_rng\nnp.random.default_rng = lambda seed: make(11)\n",
        f"_p = {PUBLIC}\ndef {CENTER}(features):\n    return features - features.mean(1, keepdim=True)\n",
    ),
    "public-seeds": Attack(  # the probes run on the public cases, whose right values every student has
        f"{CHANNEL}\njob()['seeds'].update(job()['public'])\n",
        f"def {CENTER}(x):\n    return x - x.mean(0)\n",
    ),
    "patch-ipython": Attack(
        "shell = get_ipython()\nfrom types import SimpleNamespace as N\n"
        "shell.input_transformers_cleanup.append(lambda lines: ['2\\n'])\n"
        "shell.input_transformers_post.append(lambda lines: ['2\\n'])\n"
        "shell.ast_transformers.append(type('T', (), {'visit': lambda self, node: 1 / 0})())\n"
        "shell.events.register('pre_run_cell', lambda *a: 1 / 0)\n"
        "shell.displayhook.write_format_data = lambda *a: None\n"
        "shell.run_code = lambda *a, **k: False\n"
        "type(shell).run_cell = lambda *a, **k: N(success=True, result=2, error_before_exec=None, error_in_exec=None)\n"
    ),
    "hook-exits": Attack(
        "def stop(*a): raise SystemExit(0)\nget_ipython().events.register('pre_run_cell', stop)\n"
        "def out(*a): raise KeyboardInterrupt\nget_ipython().input_transformers_cleanup.append(out)\n",
        states=(*GRADED, *PARTLY),
    ),
    "fake-outputs": Attack(
        f"{CHANNEL}\n"
        "for number in range(1, 9):\n"
        "    say(cell=number, outputs=[{'result': True, 'text': '2'}], error=None)\n"
        "display({'text/plain': '2'}, raw=True)\n2\n",
        states=(*GRADED, *PARTLY),
    ),
    # --- strange objects
    **{
        f"returns-{name}": Attack(center=returns(value, EQUAL))
        for name, value in {
            "equal": "Equal()",
            "subclass": "features.as_subclass(Tensor)",
            "int": "Int(2)",
            "float": "Float(0)",
            "text": "Text('2')",
            "dict": "Dict()",
            "deep": "__import__('functools').reduce(lambda a, _: [a], range(5000), 0)",
            "itself": "(lambda a: a.append(a) or a)([])",
            "huge-int": "10 ** 20_000",
            "large": "torch.zeros(3_000, 3_000)",
            "nan": "features * float('nan')",
            "inf": "features / 0",
            "meta": "features.to('meta')",
            "sparse": "features.to_sparse()",
            "generator": "(x for x in iter(int, 1))",
            "module": "__import__('sys')",
            "surrogates": "'\\ud800' * 9000",
            "keys": "{(): {1: 2}, 1.5: float('nan'), None: b'x', Equal(): Equal()}",
            "bool": "True",
            "object": "object()",
        }.items()
    },
    "lying-class": Attack(
        center="import types\n"
        "class Meta(type):\n"
        "    __class__ = property(lambda self: types.FunctionType)\n"
        "    def __getattribute__(self, name): raise SystemExit('no')\n"
        "    def __call__(self, *a): return 1\n"
        f"class {CENTER}(metaclass=Meta): pass\n",
    ),
    "no-attribute": Attack(
        center="class Odd:\n"
        "    def __getattribute__(self, name): raise KeyboardInterrupt\n"
        "    def __call__(self, *a): return self\n"
        f"{CENTER} = Odd()\n",
        states=(*GRADED, *PARTLY),
    ),
    "odd-names": Attack("globals()[5] = print\nglobals()[('a',)] = print\n", center="pass"),
    # --- marks, tests, metadata
    "marks": Attack(edit=_marks, says="was marked as"),
    "tags": Attack(edit=_tags),
    "tests-replaced": Attack(edit=_tests_replaced, says="was missing and was put back"),
    "twins": Attack(edit=_json(_twins), says="the last one worked on counts"),
    # --- shadowing
    "shadow-files": Attack(
        "import sys\nsys.path[:0] = ['.', '']\nimport importlib, probes\nimportlib.reload(probes)\n",
        files=dict.fromkeys(
            (
                "torch.py",
                "probes.py",
                "sitecustomize.py",
                "conftest.py",
                "json.py",
                "tlkit.py",
                "expected.json",
            ),
            SHADOW,
        )
        | {
            "nbgrader_config.py": SHADOW,
            "answers.py": SHADOW,
            ".tlkit-secret": b"0",
            "usercustomize.py": SHADOW,
        },
        says="other files were handed in and ignored",
    ),
    "shadow-modules": Attack(
        "import sys, types\n"
        "for name in ('tlkit.exercises.measure', 'tlkit.exercises.observe', 'numpy', 'torch', 'json', 'probes'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "class Finder:\n"
        "    def find_spec(self, *a): raise SystemExit\n"
        "sys.meta_path[:] = [Finder()]\nsys.path_hooks.clear()\nsys.path.clear()\n",
        states=(*GRADED, *PARTLY),
    ),
    "writes-library": Attack(
        "for name in ('probes.py', 'expected.json', 'torch.py', 'sitecustomize.py'):\n"
        "    open(name, 'w').write('raise SystemExit')\n"
    ),
    # --- reading and writing
    "looks-on-disk": Attack(LOOKS),
    "looks-in-memory": Attack(MEMORY),
    "looks-in-history": Attack(HISTORY),
    "looks-in-frames": Attack(
        f"{CHANNEL}\nimport inspect\nprint([list(f.frame.f_locals) for f in inspect.stack()])\n"
    ),
    "writes": Attack(SPREAD),
    "detached": Attack(
        "import os, subprocess, time\n"
        "subprocess.Popen(['sleep', '86399'], start_new_session=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while True:\n"
        "            time.sleep(0.2)\n"
        '            os.write(3, b\'{"probe": "center_sample", "parts": []}\\n\')\n'
        "    os._exit(0)\n",
        states=(*GRADED, *PARTLY),
    ),
    "late-threads": Attack(
        f"{CHANNEL}\nimport atexit, threading, time\n"
        f"seeds = job()['seeds']\n"
        "def late():\n"
        "    while True:\n"
        f"        for name in ('{CENTER}', '{GUESS}'):\n"
        f"            say(probe=name, parts=[{{str(s): {{'values': v}} for s in seeds[name]}} for v in {ZEROS}])\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=late, daemon=True).start()\n"
        "atexit.register(late)\n",
        states=(*GRADED, *PARTLY),
    ),
    # --- too much
    "fork-bomb": Attack(
        "import os, signal\n"
        "for _ in range(100_000):\n"
        "    try:\n"
        "        if os.fork() == 0:\n"
        "            signal.pause()\n"
        "    except OSError:\n"
        "        break\n",
        states=(*GRADED, *PARTLY),
    ),
    "memory": Attack(
        "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x') * (1 << 28))", states=(*GRADED, *PARTLY)
    ),
    "many-files": Attack("for i in range(10 ** 6):\n    open(f'/tmp/{i}', 'w').write('x')"),
    "prints": Attack("for _ in range(100):\n    print('x' * 1_000_000)\n    display('y' * 100_000)\n"),
    "prints-one": Attack("print('x' * 30_000_000)\n'y' * 30_000_000"),
    "flood": Attack(
        f"{CHANNEL}\nwhile True:\n    write(b'x' * 1_000_000)", states=PARTLY, says="cannot be read"
    ),
    "flood-lines": Attack(
        f"{CHANNEL}\nwhile True:\n    write(b'{{}}\\n' * 300_000)", states=PARTLY, says="cannot be read"
    ),
    "flood-values": Attack(
        f"{CHANNEL}\nwrite(b'{{\"probe\": [' + b'{{}},' * 7_000_000 + b'0]}}\\n')",
        states=PARTLY,
        says="cannot be read",
    ),
    "flood-deep": Attack(
        f"{CHANNEL}\nwrite(b'{{\"probe\":' + b'[' * 90_000 + b'\\n')", states=PARTLY, says="cannot be read"
    ),
    "flood-empty": Attack(f"{CHANNEL}\nwrite(b'\\n' * 1000)", states=PARTLY, says="cannot be read"),
    "flood-nul": Attack(f"{CHANNEL}\nwrite(b'\\x00\\xff\\n')", states=PARTLY, says="cannot be read"),
    "drip": Attack(
        f"{CHANNEL}\nimport signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "while True:\n    write(b'[')\n    time.sleep(0.05)",
        states=PARTLY,
        says="ran out of time",
    ),
    # --- ending it
    "kills": Attack(
        "import os\n"
        "for number in (os.getppid(), 0, 1, -1):\n"
        "    try:\n"
        "        os.kill(number, 9)\n"
        "    except OSError:\n"
        "        pass\n",
        states=(*GRADED, *PARTLY),
    ),
    "exits": Attack("import os\nos._exit(0)", states=PARTLY, says="ended the Python process"),
    "exits-in-probe": Attack(guess=f"def {GUESS}(x):\n    import os; os._exit(0)", states=PARTLY),
    "exits-later": Attack(
        center=f"def {CENTER}(x):\n    return x - x.mean(0)",
        guess=f"def {GUESS}(x):\n    import os; os._exit(0)",
        score=2,
        states=PARTLY,
        says="ended the Python process",
    ),
    "exits-at-end": Attack(
        center=f"def {CENTER}(x):\n    return x - x.mean(0)",
        edit=_cells(("code", "import os; os._exit(0)")),
        score=2,
    ),
    "segfault": Attack("import ctypes\nctypes.string_at(0)", states=PARTLY),
    "recursion": Attack(
        "import sys\nsys.setrecursionlimit(10 ** 9)\n",
        center=f"def {CENTER}(x):\n    return {CENTER}(x)",
        states=(*GRADED, *PARTLY),
    ),
    "aborts": Attack("import os, signal\nos.kill(os.getpid(), signal.SIGABRT)", states=(*GRADED, *PARTLY)),
    "stops-itself": Attack(
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", states=(*GRADED, *PARTLY)
    ),
    # --- never ending
    "loop-python": Attack(
        f"while True:\n    try:\n        while True: pass\n    except {'BaseException'}: break", says=""
    ),
    "loop-power": Attack("7 ** (7 ** 12)", states=(*GRADED, *PARTLY)),
    "loop-regex": Attack("import re\nre.match('(a|a)*b', 'a' * 60)", states=(*GRADED, *PARTLY)),
    "sleeps-blocked": Attack(
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(10 ** 6)",
        states=PARTLY,
        says="ran out of time",
    ),
    "alarm-ignored": Attack(
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\ntime.sleep(10 ** 6)",
        states=PARTLY,
        says="ran out of time",
    ),
    "clock": Attack(
        "import time\ntime.monotonic = time.time = lambda: 0.0\n",
        center=f"def {CENTER}(x):\n    import time; time.sleep(10 ** 6)",
        states=(*GRADED, *PARTLY),
    ),
    "swallows": Attack(
        center=f"def {CENTER}(x):\n    import time\n    while True:\n        try:\n            time.sleep(1)\n"
        "        except BaseException: pass",
        guess=f"def {GUESS}(x):\n    return x.argmax(1)",
        score=1,
        states=(*GRADED, *PARTLY),
    ),
    "str-hangs": Attack(
        "class Slow(Exception):\n    def __str__(self):\n        import time; time.sleep(10 ** 6)\nraise Slow",
        states=PARTLY,
        says="ran out of time",
    ),
    "str-raises": Attack(
        "class Odd(BaseException):\n"
        "    def __str__(self): raise SystemExit\n    __repr__ = __str__\n    def __bool__(self): raise self\n"
        "    __traceback__ = property(__str__)\nraise Odd",
        center=f"def {CENTER}(x):\n    raise Odd",
    ),
    "long-traceback": Attack(
        "def f(n):\n    try:\n        f(n + 1)\n    except Exception as error:\n        raise ValueError('x' * 100_000) from error\nf(0)"
    ),
    # --- the surroundings
    "no-tmp": Attack(
        "import os, shutil\nshutil.rmtree('/tmp', ignore_errors=True)\nos.chdir('/')\nos.environ.clear()\n"
    ),
    "closes-channel": Attack(f"{CHANNEL}\nos.close(channel())", states=PARTLY),
    "moves-channel": Attack(f"{CHANNEL}\nos.dup2(os.open('/dev/null', 2), channel())", states=PARTLY),
    "shuts-channel": Attack(
        f"{CHANNEL}\nimport socket\nsocket.socket(fileno=channel()).shutdown(2)", states=PARTLY
    ),
    "rlimits": Attack(
        "import resource as r\n"
        "for what in range(16):\n"
        "    try:\n"
        "        hard = r.getrlimit(what)[1]\n"
        "        r.setrlimit(what, (0, hard))\n"
        "    except Exception:\n"
        "        pass\n",
        states=(*GRADED, *PARTLY),
    ),
    "locale": Attack(
        "import locale, sys\nsys.stdout.encoding = 'ascii'\nprint('\\ud800\\x00\\x1b[31m\\u202e')\nprint(b'\\xff')\n"
        "'\\udfff'\n",
        center=f"def {CENTER}(x):\n    raise ValueError('\\ud800\\x00' * 100)",
    ),
    "asks": Attack("input('password? ')\nimport getpass\ngetpass.getpass()"),
    # --- imitating the worker
    "forge-zeros": Attack(
        f"{CHANNEL}\nsay(probe='{CENTER}', parts=forged({ZEROS}, '{CENTER}'))", says="malformed"
    ),
    "forge-public": Attack(
        f"{CHANNEL}\nsay(probe='{CENTER}', parts=forged({PUBLIC}, '{CENTER}'))", says="malformed"
    ),
    "forge-other": Attack(
        f"{CHANNEL}\nsay(probe='{GUESS}', parts=forged([{{'guesses': [0] * 40}}], '{GUESS}'))"
    ),
    "forge-points": Attack(
        f"{CHANNEL}\nsay(probe='{CENTER}', points=2, outcome='right', parts=[{{}}, {{}}], expected={{}}, verdict='right')"
    ),
    "forge-nobody": Attack(f"{CHANNEL}\nsay(probe='__proto__', parts=[])\nsay(probe=['{CENTER}'], parts=[])"),
    "forge-again": Attack(f"{CHANNEL}\nsay(again='{CENTER}', parts=forged({PUBLIC}, '{CENTER}'))"),
    "forge-huge-number": Attack(
        f'{CHANNEL}\nwrite(b\'{{"probe": "{CENTER}", "parts": [{{"1": {{"late": 1\' + b\'0\' * 400 + b\'}}}}, {{}}]}}\\n\')'
    ),
    "forge-begin": Attack(f"{CHANNEL}\nsay(begin=99)", states=PARTLY, says="cannot be read"),
    "forge-true": Attack(f"{CHANNEL}\nsay(begin=True)", states=PARTLY),
    "forge-end": Attack(f"{CHANNEL}\nsay(end=True)\nfor i in range(2, 99): say(begin=i)", states=PARTLY),
    "forge-done": Attack(
        f"{CHANNEL}\nfor i in range(2, len(job()['steps']) + 1): say(begin=i)\nsay(end=True)", states=PARTLY
    ),
    "forge-broken": Attack(
        f"{CHANNEL}\nsay(broken=[[['{XSS[:25]}']]])", states=PARTLY, says="cannot be read"
    ),
    "forge-problem": Attack(f"{CHANNEL}\nsay(probe='{CENTER}', problem={XSS!r} + 'x' * 10_000)"),
    "forge-picture": Attack(
        f"{CHANNEL}\nsay(cell=1, outputs=[{{'text': 1}}, {{'png': {FAKE_PNG!r}, 'text': 'a', 'html': '<script>'}}])\n"
        f"say(cell=2, outputs=[{{'png': {FAKE_PNG!r}, 'text': 'a'}}], error={{'name': {XSS!r}, 'trace': {XSS!r}}})",
        states=(*GRADED, *PARTLY),
    ),
    # --- what is shown
    "xss": Attack(XSS_CELL, XSS_ANSWER, XSS_RETURN, _xss_everywhere),
    "xss-error": Attack(XSS_ERROR),
    "xss-cells": Attack(
        edit=_cells(
            ("markdown", XSS), ("raw", XSS), ("code", XSS), ("markdown", "$\\href{javascript:alert(8)}{x}$")
        )
    ),
    # --- the file itself
    "strange-types": Attack(edit=_json(_strange_types)),
    "surrogate-picture": Attack(edit=_extra(_markdown("a", attachments={"\ud800": {"image/png": "\ud800"}}))),
    "magics": Attack(edit=_extra(_code("!ls\n" * 700), _code("x = %time\n" * 5000))),
    "nested-code": Attack(
        edit=_extra(_code(NESTED), _code("-" * 99_000 + "1"), _code("(" * 150 + ")" * 150))
    ),
    "nested-answer": Attack(center=NESTED, guess="1+" * 60_000 + "1"),
    "nul": Attack(
        center="\0", edit=_extra(_code("\0print(1)"), _markdown("\0\x1b[31m\ufffe"), _code("\u2028\x0c\r"))
    ),
    "escapes": Attack(
        edit=_extra(_code("1", metadata={"nbgrader": {"grade_id": ESC}})), files={f"a{ESC[:9]}": b""}
    ),
    "many-marks": Attack(
        edit=_extra(*(_code("1", metadata={"nbgrader": {"grade_id": f"own {i}"}}) for i in range(100))),
        says="more remarks",
    ),
    "markdown-bomb": Attack(
        edit=_extra(_markdown(MARKDOWN_BOMB), _markdown(">" * 9_000), _markdown("[" * 50_000))
    ),
    "emoji": Attack(edit=_extra(*(_code("# " + "\U0001f600" * 11_000) for _ in range(40)))),
    "too-much-text": Attack(edit=_extra(_code("#" * 4_000_000)), states=REFUSED, says="more than"),
    "too-many-cells": Attack(
        edit=_extra(*(_code("") for _ in range(2_001))), states=REFUSED, says="at most 2,000"
    ),
    "too-many-parts": Attack(
        edit=lambda notebook, kit: b'{"cells": [' + b"{}," * 5_000_000 + b"{}]}",
        states=REFUSED,
        says="more parts",
    ),
    "long-number": Attack(
        edit=lambda notebook, kit: b'{"cells": [' + b"9" * 100_000 + b"]}", states=REFUSED, says="damaged"
    ),
    "cells-no-list": Attack(edit=_json(lambda data: data.update(cells={"0": 1})), states=REFUSED),
}

# What remains possible, and why: the worker must have the cases, so a submission can look at what a probe
# made up; an exercise judged by accuracy is as strong as the secrecy of the labels in its probe.
KNOWN = {
    "known-reads-labels": Attack(
        guess=f"import sys\ndef {GUESS}(points):\n"
        "    frame = sys._getframe()\n"
        "    while 'labels' not in frame.f_locals: frame = frame.f_back\n"
        "    return frame.f_locals['labels']\n",
        score=1,
    ),
}
EVERYBODY = {**ATTACKS, **KNOWN}
HONEST = ("aa-right", "right", "zz-right")
FULL_MARKS = 3.0


@dataclass
class Class:
    root: Path
    lesson: Lesson
    rows: dict[str, dict[str, Any]]
    records: dict[str, Record]
    log: str
    seconds: float
    before: dict[str, str]
    after: dict[str, str]
    outside: list[Path]

    def page(self, student: str) -> str:
        return (self.root / "feedback" / student / LESSON / f"{LESSON}.html").read_text()

    def graded_text(self, student: str) -> str:
        return (self.root / "autograded" / student / LESSON / f"{LESSON}.ipynb").read_text()


def _places(root: Path) -> dict[str, str]:
    here = {
        "ROOT": str(root),
        "HOME": str(Path.home()),
        "SITE": str(Path(pytest.__file__).parent.parent),
        "TLKIT": str(Path(sys.modules["tlkit"].__file__ or "").parent),
    }
    return {"@HERE@": "; ".join(f"{name} = {value!r}" for name, value in here.items())}


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _hand_in(root: Path, kit: Kit, student: str, attack: Attack, values: dict[str, str]) -> None:
    answers = {CENTER: _fill(attack.center, values), GUESS: attack.guess}
    notebook = kit.notebook(answers)
    if attack.cell:
        own_cell(notebook, _fill(attack.cell, values), before=CENTER)
    changed = attack.edit(notebook, kit) if attack.edit is not None else None
    folder = hand_in(root, student, LESSON, notebook if changed is None else changed)
    for name, content in attack.files.items():
        (folder / name).write_bytes(content)


def _hashes(root: Path) -> dict[str, str]:
    """What no submission may change: the course's own files and everybody's submitted files."""
    files = [p for top in ("solutions", "course", "submitted") for p in sorted((root / top).rglob("*"))]
    files += [root / "nbgrader_config.py", root / ".tlkit-secret"]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
    }


def _outside(root: Path) -> list[Path]:
    """Files of attackers that got out."""
    site, tlkit = Path(pytest.__file__).parent.parent, Path(sys.modules["tlkit"].__file__ or "").parent
    found = [path for top in (root, tlkit) for path in top.rglob("*PWNED*")]
    for folder in (Path("/"), Path("/tmp"), Path("/etc"), Path("/var/tmp"), Path.home(), site):
        found += [path for path in folder.glob("*PWNED*") if not path.is_relative_to(root)]
    return found


def _odd_folders(root: Path, kit: Kit) -> None:
    """Submissions whose files, not their content, are the attack."""
    right = (root / "submitted" / "right" / LESSON / f"{LESSON}.ipynb").resolve()
    folder = hand_in(root, "links", LESSON, "see my other file", "answer.txt")
    (folder / f"{LESSON}.ipynb").symlink_to(right)
    (folder / "=cmd|' -C calc'!A0.ipynb").symlink_to(right)
    (folder / "timestamp.txt").symlink_to(root / ".tlkit-secret")
    folder = hand_in(root, "bytes-in-name", LESSON, "", "note.txt")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\x1b[2J\n.ipynb")).write_bytes(b" " * 30_000_001)
    times = [
        "9999-12-31 23:59:59 +9999",
        "0001-01-01 +23:59",
        "\x00" * 99,
        "9" * 199,
        "2" * 5000,
        XSS,
        "1e400",
        "24:61",
    ]
    for number, text in enumerate(times):
        student = f"time-{number}"
        folder = hand_in(root, student, LESSON, kit.notebook({CENTER: WRONG, GUESS: WRONG_GUESS}))
        (folder / "timestamp.txt").write_text(text)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """All attackers and three honest students, graded once, with feedback and export."""
    root = empty_course(tmp_path_factory.mktemp("attacks") / "course")
    if best([root]) is Level.limits:
        pytest.skip("attacks are run only where they can be shut in")
    lesson = write_lesson(root)
    assert build(root, [], check=False) == []
    nbgrader(root, "generate_assignment", LESSON, "--force")
    kit = Kit(lesson)
    parts = json.loads(lesson.expected.read_text())["exercises"][CENTER]["parts"]
    public = [next(iter(part["expected"].values())) for part in parts]
    values = {**_places(root), repr(PUBLIC): repr(public), PUBLIC: repr(public)}
    for student in HONEST:
        hand_in(root, student, LESSON, own_cell(kit.notebook(kit.right), f"# {CLASSMATE}"))
    for student, attack in EVERYBODY.items():
        _hand_in(root, kit, student, attack, values)
    _odd_folders(root, kit)
    before = _hashes(root)
    started = time.monotonic()
    command = [sys.executable, "-m", "tlkit", "grade", LESSON, "--jobs", "5", "--memory-gb", "1"]
    command += ["--cell-seconds", str(CELL_SECONDS), "--total-seconds", str(TOTAL_SECONDS)]
    run = subprocess.run(
        command,
        cwd=root,
        env={**environment(), "CANARY": CANARY},
        capture_output=True,
        timeout=900,
        check=False,
    )
    seconds = time.monotonic() - started
    log = (run.stdout + run.stderr).decode("utf-8", "replace")
    print(log)
    assert run.returncode == 1, log[-6000:]
    log += nbgrader(root, "generate_feedback", LESSON)
    log += nbgrader(root, "export", "--to", "grades.csv")
    records = {record.student: record for record in Records(root, LESSON).all()}
    rows = grades(root / "grades.csv")
    return Class(root, lesson, rows, records, log, seconds, before, _hashes(root), _outside(root))


@pytest.mark.parametrize("student", HONEST)
def test_honest_classmates_get_their_points(graded: Class, student: str) -> None:
    """Graded before, among and after the attackers, right work keeps all of its points."""
    row = graded.rows[student]
    assert (row["state"], float(row["score"])) == ("graded", FULL_MARKS), row


@pytest.mark.parametrize("student", EVERYBODY)
def test_an_attack_gains_nothing(graded: Class, student: str) -> None:
    """It has the points of its honest part, in a named state, with the remark that belongs to it."""
    attack, row = EVERYBODY[student], graded.rows[student]
    assert row["state"] in attack.states, row
    assert attack.says in row["remarks"], row
    if attack.states == REFUSED:
        assert row["score"] == ""
    else:
        assert float(row["score"]) == attack.score, row


@pytest.mark.parametrize("student", EVERYBODY)
def test_an_attack_ends_in_time(graded: Class, student: str) -> None:
    """Whatever it does, its process is gone soon after its time is up."""
    assert graded.records[student].seconds < TOTAL_SECONDS + 40


@pytest.mark.parametrize("student", [name for name, one in EVERYBODY.items() if one.states != REFUSED])
def test_an_attack_learns_and_runs_nothing(graded: Class, student: str) -> None:
    """No answer, no environment, no classmate, no hidden value in what comes back; nothing in it runs."""
    page = graded.page(student)
    measured = Records(graded.root, LESSON).folder / "right"
    parts = json.loads(next(measured.glob(f"{CENTER}-*.json")).read_text())
    hidden = [n for labels in parts[0]["expected"].values() for n in labels["the centred features"]["data"]]
    for text in (page, graded.graded_text(student)):
        for secret in (CANARY, CLASSMATE, RIGHT_MARK, (graded.root / ".tlkit-secret").read_text().strip()):
            assert secret not in text.replace("[", "")
        assert "FOUND" not in text
        assert "WROTE" not in text
        assert not [number for number in hidden if abs(number) > 1e-3 and f"{abs(number):.5f}" in text]
    assert running(page) == []


def test_nothing_outside_was_touched(graded: Class) -> None:
    """The course, its secret and all submitted files are as they were; no attacker's file is anywhere."""
    assert graded.before == graded.after
    assert graded.outside == []


def test_nothing_is_left_running(graded: Class) -> None:
    """Detached processes die with their submission."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [path for _ in [0] if b"86399" in words]
    assert found == []


def test_the_run_ends_in_time(graded: Class) -> None:
    """A class full of attackers costs each its own time, not more."""
    assert graded.seconds < 600


def test_odd_folders_are_refused_or_graded(graded: Class) -> None:
    """Links are not followed, names are shown without control characters, odd times cost nothing."""
    assert graded.rows["links"]["state"] == "not gradable"
    assert graded.rows["bytes-in-name"]["state"] == "not gradable"
    for student, row in graded.rows.items():
        assert not any(ord(letter) < 32 or letter == "\u202e" for letter in row["remarks"]), row
        assert row["remarks"][:1] not in ("=", "+", "-", "@"), row
        if student.startswith("time-"):
            assert (row["state"], float(row["score"])) == ("graded", 0), row
    assert "\x1b]0" not in graded.log
    assert "\x1b[2J" not in graded.log


def test_pictures_that_unfold_to_gigabytes_are_left_out(graded: Class) -> None:
    """A forged picture with the size of a house is not in the graded notebook."""
    cells = json.loads(graded.graded_text("forge-picture"))["cells"]
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    assert shown
    assert not [data for data in shown if "image/png" in data]


def test_every_graded_notebook_can_be_read(graded: Class) -> None:
    """What an attacker handed in is a valid notebook with one test a cell afterwards."""
    for student in EVERYBODY:
        path = graded.root / "autograded" / student / LESSON / f"{LESSON}.ipynb"
        if EVERYBODY[student].states != REFUSED:
            tests = [
                cell
                for cell in read_notebook(path).cells
                if mark(cell).get("grade") and not mark(cell)["solution"]
            ]
            names = sorted(mark(cell)["grade_id"] for cell in tests if cell.cell_type == "code")
            assert names == [f"test_{CENTER}", f"test_{GUESS}"]

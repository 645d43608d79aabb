"""The quiz: first answer counts, every choice is explained, and it works where nobody can click."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tlkit.exercises.page import inline
from tlkit.widgets import Quiz

CHOICES = {"frozen": "ten images teach no features", "`train()`": "forgets <more>", "same": "look again"}


def quiz() -> Quiz:
    return Quiz("made_up_for_these_tests", "Which **wins**?", CHOICES, "frozen")


def test_only_the_first_choice_counts() -> None:
    """Looking at the right answer afterwards does not turn a wrong prediction into a right one."""
    q = quiz()
    assert q.first is None
    q.choose("same")
    q.choose("frozen")
    assert q.first == "same"


def test_the_answer_is_kept_with_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook opened next week still shows the first prediction; a later click does not replace it."""
    monkeypatch.setenv("TLKIT_HOME", str(tmp_path / "home"))
    Quiz("one_label", "?", CHOICES, "frozen", course=tmp_path).choose("same")
    again = Quiz("one_label", "?", CHOICES, "frozen", course=tmp_path)
    assert again.first == "same"
    again.choose("frozen")
    assert Quiz("one_label", "?", CHOICES, "frozen", course=tmp_path).first == "same"


def test_explanations_wait_for_an_answer_in_the_text_form() -> None:
    """Before the prediction a terminal shows the choices only; after it, all explanations."""
    q = quiz()
    assert not [why for why in CHOICES.values() if why in q.text()]
    q.choose("frozen")
    assert [why for why in CHOICES.values() if why in q.text()] == list(CHOICES.values())


def test_what_the_author_wrote_is_escaped() -> None:
    """Angle brackets are text; code, bold and emphasis are rendered; products and stars in code stay."""
    assert inline("is **not** <b>") == "is <b>not</b> &lt;b&gt;"
    assert inline("in *every* respect, *at those positions*.") == (
        "in <em>every</em> respect, <em>at those positions</em>."
    )
    assert inline("a * b * c, 2*a*b and x ** y ** z") == "a * b * c, 2*a*b and x ** y ** z"
    assert re.sub("<code[^>]*>", "<code>", inline("`a*b*c<d`")) == "<code>a*b*c&lt;d</code>"


def test_still_form_explains_every_choice() -> None:
    """Each choice is an HTML <details> with its explanation and a verdict in words."""
    html = quiz().still()
    assert html.count("<details>") == 3
    assert html.count("✔ Right.") == 1
    assert html.count("✘ Not this one.") == 2


@pytest.mark.parametrize(
    ("choices", "answer", "says"),
    [({"a": "x"}, "a", "at least two"), ({"a": "x", "b": "y"}, "c", "none of its choices")],
)
def test_a_quiz_that_cannot_be_answered_is_refused(choices: dict[str, str], answer: str, says: str) -> None:
    """One choice, or an answer that is no choice, is an author's mistake and says so."""
    with pytest.raises(ValueError, match=says):
        Quiz("bad", "?", choices, answer)


def test_run_unwatched_it_leaves_text_and_no_widget(tmp_path: Path) -> None:
    """Executed by nbclient (nbconvert, nbgrader) the output is HTML and text that need no kernel."""
    code = "from tlkit.widgets import Quiz\nQuiz('n', 'Which?', {'a': 'no', 'b': 'yes'}, 'b')"
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(
        nb, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    (out,) = nb.cells[0].outputs
    assert set(out["data"]) == {"text/html", "text/plain"}
    assert "( ) a" in out["data"]["text/plain"]
    assert "widgets" not in nb.metadata

"""The page and the table of the class report: all that was found is said, and nothing in them can run."""

from __future__ import annotations

import csv
import io
import itertools
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from class_for_reports import NOW, evidence, lecture, record, result, scored

from tlkit.reporting import words
from tlkit.reporting.evidence import Evidence
from tlkit.reporting.page import to_html
from tlkit.reporting.report import Report, make
from tlkit.reporting.table import COLUMNS, to_csv

VOID = {"meta", "br", "img", "hr", "link", "input"}
EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Tags with their attributes, and the text; fails where tags do not close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(found: Evidence) -> Page:
    return Page(to_html(make(found, NOW)))


def rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(report))))


def harmless(page: Page) -> None:
    """No script, no handler, no address but places in the page itself."""
    for tag, attributes in page.tags:
        assert tag not in ("script", "img", "link", "iframe", "object", "embed", "form", "base")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href", "action"):
                assert (value or "").startswith("#"), (tag, value)


def test_a_class_is_told_from_first_to_last() -> None:
    """Misconceptions come first and counted, with students; then scores, exercises, states, missing."""
    found = lecture()
    report = make(found, NOW)
    page = page_of(found)
    harmless(page)
    first = next(one for one in report.misconceptions if one.sure)
    body = page.text.split("What to teach again", 2)[2]
    assert body.index(f"{len(first.sure)} students") < body.index(first.words) < body.index(first.sure[0])
    assert first.hint.split("*")[0] in body
    for one in report.misconceptions:
        assert one.words in page.text
        for student in one.sure + one.perhaps:
            assert student in page.text
    for heading in found.titles.values():
        assert heading in page.text
    assert "there is no 01_feature_extraction.ipynb, only essay.docx: ask for the notebook" in page.text
    assert "Noether, Emmy" in page.text
    assert "2 submissions could not be graded" in page.text
    assert "55 graded, 4 graded with remarks, 3 partly graded, 2 not gradable" in page.text


def test_headings_tables_and_figures_can_be_heard() -> None:
    """One h1, no level skipped, a caption and scopes in every table, words for every figure."""
    page = page_of(lecture())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    names = [tag for tag, _ in page.tags]
    assert names.count("table") == names.count("caption") > 5
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.tags if tag == "th")
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("href", "aria-labelledby"):
            if name in attributes:
                assert (attributes[name] or "").lstrip("#") in ids


def test_nothing_a_student_writes_becomes_markup() -> None:
    """Scripts in ids, names, remarks, hints, keys, titles and exercise names are shown as text."""
    wrong = result("wrong", [0], [4], (EVIL, True))
    wrong["misconceptions"][0]["text"] = f"`{EVIL}` and *{EVIL}*"
    wrong["parts"][0]["title"] = EVIL
    bad = record(f"{EVIL}1", {EVIL: wrong}, "graded with remarks", remarks=[EVIL, EVIL], isolation=EVIL)
    lost = record(f"{EVIL}2", {}, "not gradable", remarks=[EVIL])
    more: dict[str, Any] = {
        "names": {f"{EVIL}1": EVIL, f"{EVIL}3": EVIL},
        "roster": [f"{EVIL}1", f"{EVIL}3"],
        "titles": {EVIL: EVIL},
        "title": EVIL,
        "changed": [f"{EVIL}1"],
        "problem": EVIL,
        "version": "",
        "handed_in": [f"{EVIL}1", f"{EVIL}2", f"{EVIL}4"],
    }
    page = page_of(evidence(bad, lost, scored("n", 1, version="v0"), **more))
    harmless(page)
    assert page.text.count('<script>alert("1")</script>') > 12


def test_the_page_asks_for_nothing() -> None:
    """Its own policy forbids scripts and every outside resource, and its style names none."""
    source = to_html(make(lecture(), NOW))
    assert "default-src 'none'" in source
    assert "url(" not in source.replace("url(#hatch-", "")
    assert "@import" not in source
    assert not re.search(r"(?:https?:)?//\w", source)


@pytest.mark.parametrize(
    "records",
    [
        [scored("only", 4, 2)],
        [scored("a", 4, 4), scored("b", 4, 4), scored("c", 4, 4)],
        [scored("a", 0), scored("b", 0)],
        [record("a", {}, "not gradable", remarks=["empty"], seconds=0.0, peak_bytes=0, isolation="")],
        [record("a", {"e": {**result("unchecked", [0], [4]), "parts": []}}, "partly graded")],
        [scored("a", 0, most=0.0)],
        [scored("a", 60.5, 31.25, most=100.0), scored("b", 100, 100, most=100.0)],
    ],
    ids=["one student", "all equal", "all zero", "none gradable", "none checked", "no points", "many points"],
)
def test_small_and_odd_classes(records: list[Any]) -> None:
    """A report comes out whole and says what cannot be told, in a page and in a table."""
    report = make(evidence(*records), NOW)
    page = page_of(evidence(*records))
    harmless(page)
    assert "nan" not in re.findall(r"\w+", page.text.lower())
    assert "None" not in page.text.replace("None: every submission", "")
    assert {row["student_id"] for row in rows(report)} == {one.student for one in records}


def test_few_students_and_no_differences_are_said() -> None:
    """The number of students stands beside the correlation; where it is undefined, the reason."""
    few = page_of(evidence(scored("a", 4, 3), scored("b", 1, 0), scored("c", 0, 1)))
    assert "3 students: too few to say much" in few.text
    equal = page_of(evidence(*(scored(f"s{n}", 4, 4) for n in range(30))))
    assert "undefined: nobody differs" in equal.text
    one = page_of(evidence(*(scored(f"s{n}", 4 if n else 0, n % 5) for n in range(30))))
    assert "rests on 1 student with other points" in one.text
    many = page_of(evidence(*(scored(f"s{n}", n % 5, n % 5) for n in range(30))))
    assert "tells students apart" in many.text
    opposite = page_of(evidence(*(scored(f"s{n}", n % 5, 4 - n % 5) for n in range(30))))
    assert "negative: whoever is good elsewhere does worse here" in opposite.text


def test_other_versions_and_late_comers_are_said() -> None:
    """Records of another version, work that waits, files that came later, runs without a sandbox."""
    old = scored("old", 4, version="v0")
    new = [scored(f"n{n}", 4, isolation="limits") for n in range(3)]
    found = evidence(old, *new, version="v2", changed=["n1"], handed_in=["old", "n0", "n1", "n2", "late"])
    text = page_of(found).text
    assert "An older version." in text
    assert "1 submission graded with another version of the lesson than the rest" in text
    assert "Not graded yet: late ." in text
    assert "Handed in again after they were graded: n1 ." in text
    assert "Without a sandbox: 3 submissions" in text


def test_the_table_has_a_row_a_student_and_exercise() -> None:
    """Points are empty where nothing was graded or checked, 0 where nothing was earned."""
    lost = record(
        "c", {"e1": result("right", [4], [4]), "e2": {**result("unchecked", [0], [4]), "parts": []}}
    )
    wrong = record(
        "b", {"e1": result("wrong", [0], [4], ("k1", True), ("k2", False)), "e2": result("right", [4], [4])}
    )
    none = record("d", {}, "not gradable", remarks=["no notebook"])
    found = rows(make(evidence(wrong, lost, none, roster=["b", "z"], names={"z": "Zoe"}), NOW))
    assert list(found[0]) == COLUMNS
    assert [(row["student_id"], row["exercise"], row["points"], row["outcome"]) for row in found] == [
        ("b", "e1", "0", "wrong"),
        ("b", "e2", "4", "right"),
        ("c", "e1", "4", "right"),
        ("c", "e2", "", "unchecked"),
        ("d", "e1", "", ""),
        ("d", "e2", "", ""),
        ("z", "e1", "", ""),
        ("z", "e2", "", ""),
    ]
    assert (found[0]["misconceptions"], found[0]["perhaps"]) == ("k1", "k2")
    assert (found[4]["state"], found[4]["remarks"], found[4]["seconds"]) == (
        "not gradable",
        "no notebook",
        "",
    )
    assert (found[6]["state"], found[6]["name"]) == ("not submitted", "Zoe")


def test_the_table_starts_no_formula() -> None:
    """Text from outside that a spreadsheet would reckon with is shown as text; line ends stay in place."""
    bad = record("=cmd()", {"e1": result("right", [4], [4])}, remarks=["@SUM(A1)\n,x"])
    (row,) = rows(make(evidence(bad), NOW))
    assert row["student_id"] == "'=cmd()"
    assert row["remarks"] == "'@SUM(A1)\n,x"


def test_a_thousand_students_take_seconds() -> None:
    """1,000 records are reckoned and written in a few seconds."""
    found = lecture(1000)
    started = time.process_time()
    report = make(found, NOW)
    assert len(to_html(report)) < 2_000_000
    assert len(rows(report)) > 4900
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("use `a * b * c`", "use <code>a * b * c</code>"),
        ("the class *number* is **not** 3 * 4", "the class <em>number</em> is <strong>not</strong> 3 * 4"),
        ("`<b>` & <b>", "<code>&lt;b&gt;</code> &amp; &lt;b&gt;"),
        ("one ` alone, f(*args, **kwargs)", "one ` alone, f(*args, **kwargs)"),
    ],
)
def test_hints_are_set_as_written(text: str, html: str) -> None:
    """Code, emphasis and nothing else; everything else is text."""
    assert words.prose(text) == html


def test_shares_are_never_rounded_to_none_or_all() -> None:
    """1 of 500 is not 0 %, 499 of 500 not 100 %."""
    shown = [words.percent(part, 500).replace("\N{NO-BREAK SPACE}", " ") for part in (0, 1, 250, 499, 500)]
    assert shown == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]
    assert words.percent(0, 0) == "–"
    assert [words.number(value, 2) for value in (2.5, 100.0, -0.001, None)] == ["2.5", "100", "0", "–"]

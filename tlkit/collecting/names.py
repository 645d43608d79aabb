"""Names from strangers: compared as people read them, and never used as a path before they are checked."""

from __future__ import annotations

import re
import unicodedata

# Letters that look like "/" or "\"; normalisation leaves most of them as they are.
SEPARATORS = set("⁄∕⧸／╱∖＼⧹﹨╲\u29f5\ufe68")
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|clock\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
# What Moodle takes out of a name before it becomes a file's name
DROPPED = str.maketrans("", "", "&<>\"`|':\\/*?")


def key(text: str) -> str:
    """Equal for names that people would call the same: case, spaces, "_" and how accents are stored aside."""
    text = unicodedata.normalize("NFKC", text).translate(DROPPED).casefold().replace("_", " ")
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(text.split()))


def letters(text: str) -> str:
    """`key` with nothing but letters and digits, as Canvas writes names."""
    return "".join(c for c in key(text) if c.isalnum())


def name_problem(path: str) -> str | None:
    """Why no file called this is taken, wherever it comes from; None for a harmless name."""
    parts = path.split("/")
    if "\0" in path or any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in path):
        return "control characters in its name"
    if BIDI & set(path):
        return "its name is written to look like another one"
    if "\\" in path:
        return "a backslash in its name"
    if SEPARATORS & set(path):
        return "a letter in its name that looks like a separator of folders"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "its name is an absolute path"
    if any(part.strip() in ("", "..") or set(unicodedata.normalize("NFKC", part)) == {"."} for part in parts):
        return "its name leads out of its folder"
    if len(path) > 1000 or any(len(part.encode()) > 255 for part in parts):
        return "its name is too long"
    return None


def student_problem(student: str) -> str | None:
    """Why this cannot be a student's id and folder, on any file system; None if it can."""
    if not student or student != student.strip() or student != unicodedata.normalize("NFC", student):
        return "it is empty, or has spaces around it"
    if problem := name_problem(student):
        return problem
    if bad := sorted(set(student) & set('/+*?<>|":{}[]')):
        return f'there is "{bad[0]}" in it, which nbgrader or a file system gives a meaning'
    if student[0] in ".-~$#" or student[-1] == ".":
        return f'it begins or ends with "{student[0] if student[0] in ".-~$#" else "."}"'
    if RESERVED.fullmatch(student):
        return "Windows keeps this name for itself"
    return "it is too long" if len(student.encode()) > 100 else None


def student_from(name: str) -> str:
    """An id made of the name in a file: "Jane Doe" -> "Jane_Doe". Check it with `student_problem`."""
    return "_".join(unicodedata.normalize("NFC", name).translate(DROPPED).split())


def shown(text: str) -> str:
    """Text from a stranger, safe to print: nothing in it moves the cursor or turns the line round."""
    return "".join(
        c if c.isprintable() and c not in BIDI else c.encode("unicode_escape").decode("ascii", "replace")
        for c in text
    )

"""nbgrader's settings for this course; docs/instructors.md walks through its commands."""

c = get_config()  # noqa: F821  # defined by traitlets, which runs this file

# --- where things are -------------------------------------------------------------------------------------
c.CourseDirectory.course_id = "deep-transfer-learning"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "course"
c.CourseDirectory.ignore = [
    ".*",  # hidden files: checkpoints, editors' leftovers
    "__pycache__",
    "*.pyc",
    "feedback",
    "answers.py",  # known wrong and other right answers
    "secret.json",  # what right answers measure on the hidden cases
    "[0-9][0-9]_*.py",  # the lesson as text
]

# --- releasing: solutions/ -> course/ ---------------------------------------------------------------------
c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("Replace this line by your code, then run the cell below. '
    "Stuck? hint('{exercise}')\")"
}
c.ClearSolutions.text_stub = "*Write your answer here.*"
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "tlkit.grading.plugins.NameTheStub",  # writes the exercise's name into the stub
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.GenerateAssignment.pre_convert_hook = "tlkit.grading.plugins.before_generate"  # stops on a stale build

# --- collecting: a learning platform's zip -> submitted/ ---------------------------------------------------
# How your platform names the files in its zip, here
# s001_attempt_2026-11-20-10-00-00_01_feature_extraction.ipynb
c.FileNameCollectorPlugin.named_regexp = (
    r".*/(?P<student_id>[^/]+)_attempt_(?P<timestamp>[0-9-]+)_(?P<file_id>.+)\.ipynb"
)

# --- autograding: submitted/ -> autograded/ ---------------------------------------------------------------
c.Autograde.pre_convert_hook = (
    "tlkit.grading.plugins.before_autograde"  # stops on a stale build; renamed notebooks
)
c.Autograde.sanitize_preprocessors = [
    "tlkit.grading.plugins.Restore",  # missing, duplicated, moved, retyped cells; tags; which cells run
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "tlkit.grading.plugins.Execute",  # nbgrader's, but a dead kernel keeps what was earned before
    "tlkit.grading.plugins.Settle",  # stderr costs nothing, silence earns nothing
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = (
    180  # seconds a student's cell; nbgrader's 30 turn honest work on a slow machine into zeros
)
c.Execute.locked_timeout = 600  # seconds a cell of the lesson's own; its tests have time limits of their own
c.Execute.startup_timeout = 120
c.Execute.iopub_timeout = 30
c.Execute.skip_cells_with_tag = "tlkit-not-run"  # nbgrader's own tag lets a student skip the tests
c.LimitOutput.max_lines = 500
c.LimitOutput.max_traceback = 60

# --- feedback and Formgrader: what students wrote is shown, never run ---------------------------------------
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",  # nbgrader shows them otherwise
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {
    "clean_html": "tlkit.grading.html.clean_html",
    "highlight_code": "tlkit.grading.html.highlight_code",
    "markdown2html": "tlkit.grading.html.markdown_to_html",
}

# --- exporting --------------------------------------------------------------------------------------------
c.ExportApp.plugin_class = "tlkit.grading.export.StateExportPlugin"  # a state in every row

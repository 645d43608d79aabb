"""nbgrader's own generate_assignment, run on a staging folder: no gradebook is needed, read or changed."""

from __future__ import annotations

import logging
from pathlib import Path

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from tlkit.build.course import CONFIG, BuildError


def nbgrader_settings(root: Path) -> Config:
    """What nbgrader_config.py in the course's top folder says."""
    config: Config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    return config


def generate_assignment(name: str, staging: Path, settings: Config) -> None:
    """staging/solutions/NAME -> staging/course/NAME, as `nbgrader generate_assignment NAME` makes it."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    config = Config(settings)
    config.CourseDirectory.root = str(staging.resolve())
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "course"
    config.GenerateAssignment.no_database = True
    config.GenerateAssignment.pop("pre_convert_hook", None)
    config.SaveCells.enabled = False
    course = CourseDirectory(config=config)
    course.assignment_id = name
    converter = GenerateAssignment(coursedir=course, config=config)
    converter.force = True
    converter.log = logging.getLogger("tlkit.build")
    try:
        converter.start()
    except NbGraderException as error:
        raise BuildError(f"nbgrader could not generate {name}: {error}") from error

"""What makes plain nbgrader fair and safe with this course: restoring, settling, exporting."""

"""The class report: what a graded lesson says about the class, as a page and as a table."""

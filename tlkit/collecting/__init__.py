"""From what a learning platform gives to nbgrader's submitted/<student>/<lesson>/: nothing of it is run."""

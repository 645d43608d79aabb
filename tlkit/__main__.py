"""`python -m tlkit` is the `tlkit` command."""

import sys

from tlkit.cli import main

sys.exit(main())

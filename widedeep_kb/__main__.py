"""`python -m widedeep_kb COMMAND ...`: the same as `widedeep-kb COMMAND ...`."""

import sys

from widedeep_kb.cli import main

sys.exit(main())

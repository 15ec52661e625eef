"""The `widedeep-kb` command: `main` dispatches to one file per command."""

from widedeep_kb.cli.main import main

__all__ = ["main"]

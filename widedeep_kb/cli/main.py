"""`widedeep-kb COMMAND ...`: find the command's file, parse its arguments, run it, and turn errors into one line.

A file of this folder is a command of the same name if it has
    HELP: str                           one line for the list of commands
    EXAMPLE: str                        one command line that works
    add_arguments(parser) -> None       declares the arguments
    run(args) -> int                    does the work and returns the exit code
and it is imported only when it is asked for. It must import torch inside `run`, so that `--help` answers at once.
Exit codes: 0 success, 1 a mistake in the data or a file, 2 a mistake on the command line, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from widedeep_kb.cli.arguments import UsageError

PROGRAM = "widedeep-kb"
NOT_COMMANDS = ("main", "arguments", "opening", "printing", "stored")


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are `UsageError`s, and which takes no abbreviated options."""

    def __init__(self, prog: str, **kwargs: object) -> None:
        super().__init__(prog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake, with the command it was made in."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words behind the program's name; default: those of this process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _wait_asleep()
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return fail(str(error), code=2)
    except KeyboardInterrupt:
        return fail("interrupted", code=130)
    except BrokenPipeError:  # the reader of our output has gone, as in `list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except ValueError as error:
        return fail(str(error))


def _wait_asleep() -> None:
    """Have torch's threads sleep while they wait for each other, unless the user has said how they wait.

    By default they spin, which takes the core from the one they wait for as soon as the machine has something else to
    do: on two busy cores 200 layers of a small LLM's width took 0.7 to 3.1 s so, and 0.24 to 0.43 s asleep. Read by
    OpenMP when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "0")


def fail(message: str, *, code: int = 1) -> int:
    """Print an error as exactly one line on stderr and return the exit code."""
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def dispatch(words: list[str]) -> int:
    """Find the command, parse its arguments and run it.

    Raises:
        UsageError: no command, an unknown one, or arguments it does not take.
    """
    for word in words:
        if any("\ud800" <= char <= "\udfff" for char in word):  # how Python spells a byte that it could not decode
            raise UsageError(f"not UTF-8 text: {word[:60]!r}")
    names = command_names()
    if words and words[0] in ("-h", "--help"):
        print(overview(names))
        return 0
    if not words or words[0].startswith("-"):
        raise UsageError(f"name a command: {', '.join(names)} (see {PROGRAM} --help)")
    name, *rest = words
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
        raise UsageError(f"no command is called {name!r}; {hint}")
    command = load_command(name)
    args = parser_for(command, name=name).parse_args(rest)
    return command.run(args)


def command_names() -> list[str]:
    """Names of all commands, sorted: the files beside this one, without importing them."""
    found = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return sorted(name for name in found if name not in NOT_COMMANDS)


def load_command(name: str) -> ModuleType:
    """Import a command's file."""
    return importlib.import_module(f"widedeep_kb.cli.{name}")


def parser_for(command: ModuleType, *, name: str) -> Parser:
    """The parser of one command, with its example."""
    parser = Parser(f"{PROGRAM} {name}", description=command.HELP, epilog=f"example:\n  {command.EXAMPLE}")
    command.add_arguments(parser)
    return parser


def overview(names: Sequence[str]) -> str:
    """What `widedeep-kb --help` prints."""
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {load_command(name).HELP}" for name in names]
    head = f"usage: {PROGRAM} COMMAND ...\n\nGive a frozen LLM a trained memory of your facts.\n\ncommands:"
    return "\n".join([head, *lines, "", f"{PROGRAM} COMMAND --help shows a command's arguments and an example."])

"""`widedeep-kb serve`: memories over HTTP, as OpenAI's clients expect it, with facts to look up and to change."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from widedeep_kb.cli.arguments import UsageError, add_gpu_rows, add_llm, not_negative, positive
from widedeep_kb.cli.opening import gpu_row_bytes
from widedeep_kb.memory.changing import check_target
from widedeep_kb.memory.config import CONFIG_NAME, read_config
from widedeep_kb.quiet import quiet_libraries

HELP = "serve memories over HTTP: ask, look up, change and erase"
EXAMPLE = "widedeep-kb serve --memory my-memory --port 8000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--memory",
        action="append",
        required=True,
        metavar="[NAME=]DIR",
        help="a memory folder, made if there is none; several may be named, the first is the default",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 = any free one (default: %(default)s)")
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help='JSON object of bearer tokens: {"TOKEN": "read", "OTHER": "write"}'
    )
    parser.add_argument("--max-batch", type=positive, default=16, help="sequences in a call of the LLM (default: 16)")
    parser.add_argument("--max-wait-ms", type=not_negative, default=4.0, help="wait for a fuller batch (default: 4)")
    parser.add_argument("--max-queue", type=positive, default=256, help="requests that may wait (default: 256)")
    parser.add_argument("--max-new-tokens", type=positive, default=512, help="longest answer (default: 512)")
    parser.add_argument("--max-body-mb", type=positive, default=16, help="longest request (default: 16)")
    parser.add_argument("--max-facts", type=positive, default=10_000, help="facts in a call (default: 10000)")
    parser.add_argument("--max-keys", type=positive, default=4096, help="keys in a look-up (default: 4096)")
    parser.add_argument("--max-connections", type=positive, default=20_000, help="open at a time (default: 20000)")
    parser.add_argument("--shutdown-s", type=positive, default=30, help="for running requests at the end (default: 30)")
    add_llm(parser)
    add_gpu_rows(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        UsageError: two memories of one name, or a port out of range.
        ValueError: a folder that is no memory and holds other things, or wrong tokens.
    """
    folders = named_folders(args.memory)
    if not 0 <= args.port < 65536:
        raise UsageError(f"--port must be between 0 and 65535, got {args.port}")
    for folder in folders.values():
        if (folder / CONFIG_NAME).exists():
            read_config(folder)
        check_target(folder)
    try:
        import fastapi  # noqa: F401 - tells at once whether the extra is there
    except ImportError as error:
        raise ValueError(f"the server needs more packages: pip install 'widedeep_kb[serve]' ({error})") from error
    quiet_libraries()
    from widedeep_kb.serving.auth import Tokens
    from widedeep_kb.serving.running import run_server
    from widedeep_kb.serving.state import Limits, ServerState

    limits = Limits(
        max_body_bytes=args.max_body_mb << 20,
        max_facts_per_call=args.max_facts,
        max_keys_per_call=args.max_keys,
        max_new_tokens=args.max_new_tokens,
        max_batch=args.max_batch,
        max_wait_ms=max(args.max_wait_ms, 0.001),
        max_queue=args.max_queue,
        max_connections=args.max_connections,
        shutdown_s=args.shutdown_s,
    )
    tokens = Tokens.from_file(args.tokens) if args.tokens else Tokens()
    options = {"may_create": True, "llm": args.llm, "gpu_row_bytes": gpu_row_bytes(args.gpu_row_budget_gb)}
    state = ServerState(folders, limits=limits, tokens=tokens, options=options)
    code = run_server(state, host=args.host, port=args.port)
    if state.has_failed:
        raise ValueError(state.status.removeprefix("failed: "))
    return code


def named_folders(texts: list[str]) -> dict[str, Path]:
    """`[NAME=]DIR` as names and folders; a folder's own name is the default.

    Raises:
        UsageError: a name with other characters than letters, digits, `.`, `_` and `-`, or one given twice.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        path = Path(folder) if separator else Path(text)
        name = name if separator else path.absolute().name
        if not re.fullmatch(r"[\w.\-]{1,64}", name) or not str(path):
            raise UsageError(f"--memory {text!r}: name it with letters, digits, '.', '_' and '-' (NAME=DIR)")
        if name in folders:
            raise UsageError(f"--memory: two memories are called {name!r} (NAME=DIR tells them apart)")
        folders[name] = path
    return folders

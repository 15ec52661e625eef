"""How measurements speak: one JSON object a line on stdout, as soon as it is known."""

from __future__ import annotations

import json


def tell(**values: object) -> None:
    """Print one JSON object."""
    print(json.dumps(values, ensure_ascii=False), flush=True)

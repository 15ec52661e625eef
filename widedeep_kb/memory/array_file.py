"""Named numpy arrays in one safetensors file: written atomically, read as memory maps.

safetensors' own numpy loader copies every array; an index of 10^8 keys must be usable without reading it first. Its
writer aligns no more than single numbers.
"""

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_DTYPES = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I32": np.int32, "U32": np.uint32, "I64": np.int64,
    "U64": np.uint64, "F16": np.float16, "F32": np.float32,
}  # fmt: skip
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_LINE = 64  # bytes of a cache line


def save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write all arrays to `path`; an interrupted write leaves the former file as it was.

    Arrays of whole cache lines come first and begin at one, so that a map of the file has them aligned.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    names = sorted(parts, key=lambda name: (parts[name].nbytes % _LINE > 0, -parts[name].itemsize, name))
    try:
        with open(temporary, "wb") as file:
            file.write(_header({name: parts[name] for name in names}))
            for name in names:
                file.write(memoryview(parts[name].reshape(-1)).cast("B") if parts[name].size else b"")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _header(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The size and the JSON that a safetensors file begins with, padded to whole cache lines."""
    entries, first = {}, 0
    for name, array in arrays.items():
        last = first + array.nbytes
        entries[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": [first, last]}
        first = last
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _LINE)
    return len(text).to_bytes(8, "little") + text


def load_arrays(path: Path, *, is_mapped: bool = True) -> dict[str, np.ndarray]:
    """The arrays of `path`. Mapped ones are copy-on-write: changing them never changes the file.

    Raises:
        ValueError: the file is truncated or no safetensors file of numpy arrays.
    """
    with open(path, "rb") as file:
        head = file.read(8)
        size = int.from_bytes(head, "little")
        total = path.stat().st_size
        if len(head) < 8 or size > total - 8:
            raise ValueError(f"{path}: not a safetensors file, or a truncated one ({total} bytes)")
        try:
            entries = json.loads(file.read(size))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: unreadable safetensors header ({error})") from None
        entries.pop("__metadata__", None)
        expected = 8 + size + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        if total != expected:
            raise ValueError(f"{path}: {total} bytes, but its header promises {expected}: truncated or damaged")
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays = {name: _view(buffer, entry, 8 + size) for name, entry in entries.items()}
    return arrays if is_mapped else {name: array.copy() for name, array in arrays.items()}


def part_of(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `name.`, without it."""
    return {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}


def _view(buffer: mmap.mmap, entry: dict, base: int) -> np.ndarray:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    first, last = entry["data_offsets"]
    array = np.frombuffer(buffer, dtype, (last - first) // dtype.itemsize, base + first)
    return array.reshape(entry["shape"])

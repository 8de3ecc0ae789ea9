"""`save` and `load`: nested dictionaries and sequences of tensors and numbers in one file, without pickle.

The file is a safetensors file (a JSON header, then plain arrays), so other programs can read the arrays, and reading
one never runs code. How tensors, numbers and texts nest stands as JSON in its metadata. Tensors of a flat dictionary,
such as a `state_dict`, carry their keys as names; deeper ones their paths: ``"optimizer.state.0.exp_avg"``.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from autodiff.devices import check_device
from autodiff.eager import SUPPORTED, Tensor, wrap
from autodiff.errors import AutodiffError, DTypeError
from autodiff.program import Memory
from autodiff.spec import Array, address_of
from autodiff.thread_mode import MODE

_KEY = "autodiff"  # of the metadata entry that holds the structure
_ACCEPTED = "dictionaries, lists and tuples of tensors, arrays, numbers, strings, bools and None"


class FileError(AutodiffError):
    """A file is not what it should be."""


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write tensors, numbers and texts in nested dictionaries, lists and tuples to one safetensors file.

    Args:
        obj: such as ``model.state_dict()``, or a dictionary with the states of model, optimizer and schedule, and the
            epoch. Keys are strings, numbers, bools, None or tuples of these. Tensors keep their dtype, whether they
            require a gradient, and whether two of them share the same memory; gradients and history are not kept.
        f: path, or a file open for writing bytes. A path is replaced in one step: whatever happens, it holds the whole
            old file or the whole new one.

    Raises:
        DTypeError: for anything else, with its place; for a module it says to save the ``state_dict()``.

    >>> import autodiff as ad, io
    >>> from autodiff.serialization import load, save
    >>> file = io.BytesIO()
    >>> save({"epoch": 3, "weights": [ad.ones(2)]}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'epoch': 3, 'weights': [tensor([1., 1.])]}
    """
    from safetensors.numpy import save as to_bytes

    writer = _Writer()
    structure = writer.encode(obj, ())
    metadata = {"format": "np", _KEY: json.dumps({"version": 1, "structure": structure}, separators=(",", ":"))}
    data = to_bytes(writer.arrays, metadata)
    if isinstance(f, str | os.PathLike):
        write_atomically(Path(f), data)
    else:
        f.write(data)


def load(f: str | os.PathLike[str] | IO[bytes], map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Return what `save` wrote. Any other safetensors file gives a dictionary of tensors by name.

    Args:
        f: path, or a file open for reading bytes.
        map_location: the CPU; a function or a dictionary is accepted and has nothing to move.
        weights_only: accepted for PyTorch's sake; nothing but data is ever loaded.

    Raises:
        FileError: if it is no safetensors file; for one written by PyTorch's `save` it says how to convert it.
        DTypeError: for a dtype that this library does not compute in.
        FileNotFoundError: if there is none.
    """
    if isinstance(map_location, str) or hasattr(map_location, "type"):
        check_device(map_location)
    if isinstance(f, str | os.PathLike):
        name, data = os.fspath(f), Path(f).read_bytes()
    else:
        name, data = str(getattr(f, "name", "the file")), f.read()
    arrays, metadata = _read(name, data)
    if _KEY not in metadata:
        return {key: wrap(array) for key, array in arrays.items()}
    description = json.loads(metadata[_KEY])
    if description.get("version") != 1:
        raise FileError("load", f"{name} was written by a newer version of this library", expected="version 1",
                        got=f"version {description.get('version')}", fix="upgrade autodiff-tape")
    return _Reader(arrays).decode(description["structure"])


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place, then to the disk, then moved onto it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# Structure as JSON: numbers, strings, bools and None stand for themselves; everything else is an object with one entry
# that names its kind: {"tensor": name}, {"tensor": name, "requires_grad": true}, {"array": name}, {"list": [...]},
# {"tuple": [...]}, {"dict": [[key, value], ...]}.


class _Writer:
    """Turns an object into JSON and a table of arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.stored: dict[Any, str] = {}
        self.met: list[Any] = []  # keeps what `stored` knows by id alive

    def encode(self, value: Any, path: tuple[str, ...]) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor):
            if MODE.recorder is not None:
                MODE.recorder.asked("save", value)
            entry: dict[str, Any] = {"tensor": self.store(value.array, path, value.memory, value.spec)}
            if value.requires_grad:
                entry["requires_grad"] = True
            return entry
        if isinstance(value, np.ndarray):
            return {"array": self.store(value, path, value, None)}
        if isinstance(value, np.generic) and value.dtype in SUPPORTED:
            return value.item()
        if isinstance(value, Mapping):
            items = [[self.encode_key(key, path), self.encode(item, (*path, str(key)))] for key, item in value.items()]
            return {"dict": items}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]}
        raise self.refused(value, path)

    def encode_key(self, key: Any, path: tuple[str, ...]) -> Any:
        if isinstance(key, tuple):
            return {"tuple": [self.encode_key(item, path) for item in key]}
        if key is None or type(key) in (bool, int, float, str):
            return key
        raise DTypeError("save", f"a key of the dictionary at {_place(path)} cannot be saved",
                         expected="strings, numbers, bools, None or tuples of these", got=type(key).__name__)

    def store(self, array: Array, path: tuple[str, ...], owner: Any, spec: Any) -> str:
        """Return the name under which an array is stored; the same memory, seen the same way, is stored once."""
        dtype = array.dtype.newbyteorder("=")
        if dtype not in SUPPORTED:
            raise DTypeError("save", f"the dtype at {_place(path)} cannot be saved",
                             expected=", ".join(known.name for known in SUPPORTED), got=str(array.dtype))
        identity = id(owner), address_of(array), spec
        name = self.stored.get(identity)
        if name is None:
            name = base = ".".join(path) or "value"
            count = 1
            while name in self.arrays or name == "__metadata__":
                count += 1
                name = f"{base}#{count}"
            self.stored[identity] = name
            self.met.append(owner)
            # The library's NumPy writer copies memory without looking at the strides.
            dense = np.empty(array.shape, dtype)
            dense[...] = array
            self.arrays[name] = dense
        return name

    def refused(self, value: Any, path: tuple[str, ...]) -> DTypeError:
        fix = "save the values you need as numbers, strings and tensors, and build the object again after loading"
        if hasattr(value, "state_dict"):
            what = "the model" if hasattr(value, "load_state_dict") and hasattr(value, "parameters") else "the object"
            fix = f"save its state_dict(), and after loading build {what} again and call load_state_dict(...)"
        return DTypeError("save", f"what stands at {_place(path)} cannot be saved", expected=_ACCEPTED,
                          got=type(value).__name__, fix=fix)


class _Reader:
    """Turns JSON and a table of arrays back into an object."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self.memories: dict[str, Memory] = {}

    def decode(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            name = value["tensor"]
            memory = self.memories.get(name)
            if memory is None:
                memory = self.memories[name] = Memory()
            else:
                memory.shared = True
            return wrap(self.arrays[name], memory=memory).requires_grad_(value.get("requires_grad", False))
        if "array" in value:
            return self.arrays[value["array"]]
        if "list" in value:
            return [self.decode(item) for item in value["list"]]
        if "tuple" in value:
            return tuple([self.decode(item) for item in value["tuple"]])
        return {self.decode(key): self.decode(item) for key, item in value["dict"]}


def _place(path: tuple[str, ...]) -> str:
    return "".join(f"[{part!r}]" for part in path) or "the top"


_DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
           "U8": np.uint8, "BOOL": np.bool_}


def _read(name: str, data: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file.

    Raises:
        FileError: if it is none.
        DTypeError: for a dtype that this library does not compute in.
    """
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        # Only now: the length that a safetensors file begins with may look like the start of a pickle.
        if data[:4] == b"PK\x03\x04" or data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            raise FileError(
                "load",
                f"{name} was written by PyTorch's save (or is another pickle); loading a pickle can run any code",
                fix="convert it once where PyTorch is installed: "
                "safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')") from None
        raise FileError("load", f"{name} is no safetensors file, or it is damaged", got=str(error)) from None
    arrays: dict[str, Array] = {}
    for key, entry in entries:
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise DTypeError("load", f"'{key}' in {name} has a dtype that this library does not compute in",
                             expected=", ".join(dtype.name for dtype in SUPPORTED), got=entry["dtype"],
                             fix="convert it to float32 where it was written")
        arrays[key] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"]).copy()
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return arrays, header.get("__metadata__", {})

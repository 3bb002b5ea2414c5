"""A machine for the pickle format that builds plain data and never calls, imports or looks up anything.

Classes and functions in the stream become :class:`Name`, and what would be a call becomes :class:`Made`, a record of the name
and its arguments. Only exact names from a list may occur. The standard unpickler is not used even with a restricted
`find_class`: it trusts lengths and memo numbers in the stream, and hashes whatever is used as a key.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from ..errors import DataError

_MOST = 20_000_000  # operations
_MOST_OBJECTS = 4_000_000  # lists, dicts, tuples and records; one byte could otherwise ask for a hundred
_LONGEST_KEY = 10_000  # characters or bytes; keys of one hash are compared with each other

_PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES"}
    | {"BINBYTES8", "BYTEARRAY8", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
    | {"BINUNICODE8"}
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_BYTES, _BARE, _OBJECT = "__builtin__.bytes", "copy_reg._reconstructor", "__builtin__.object"
_OLDEST = frozenset({_BYTES, _BARE, _OBJECT})
_MARKED: dict[str, Callable[[list[Any]], Any]] = {"TUPLE": tuple, "LIST": list, "FROZENSET": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ODD = (ValueError, LookupError, TypeError, AttributeError, MemoryError, OverflowError, RecursionError)
_KEYS = (str, bytes, int, float, type(None))


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function named in the stream."""

    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What calling a name with these arguments would have made.

    Args:
        name: of the class or function.
        args: its arguments.
        state: what the stream gave it afterwards.
        items: keys and values set on it.
    """

    name: str
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class _Mark:
    pass


class _Broken(Exception):
    pass


class _Machine:
    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = frozenset(allowed) | _OLDEST
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.objects = 0
        self._bytes: dict[int, tuple[str, bytes]] = {}  # by the text's identity

    def step(self, op: str, arg: Any) -> None:
        stack = self.stack
        if op in _PUSHED:
            stack.append(arg)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _EMPTY:
            self._own(_EMPTY[op]())
        elif op in _MARKED:
            self._own(_MARKED[op](self._to_mark()))
        elif op in _TUPLES:
            self._own(tuple([stack.pop() for _ in range(_TUPLES[op])][::-1]))
        elif op == "MARK":
            stack.append(_Mark)
        elif op == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif op in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[arg] = stack[-1]
        elif op in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[arg])
        else:
            self._compose(op, arg)

    def _compose(self, op: str, arg: Any) -> None:
        stack = self.stack
        if op in ("APPEND", "APPENDS", "ADDITEMS"):
            values = [stack.pop()] if op == "APPEND" else self._to_mark()
            self._top(list).extend(values)
        elif op in ("SETITEM", "SETITEMS", "DICT"):
            values = [stack.pop(), stack.pop()][::-1] if op == "SETITEM" else self._to_mark()
            if op == "DICT":
                self._own({})
            self._set(values)
        elif op in ("GLOBAL", "STACK_GLOBAL"):
            name, module = (stack.pop(), stack.pop()) if op == "STACK_GLOBAL" else arg.split(" ", 1)[::-1]
            stack.append(self._name(module, name))
        elif op in ("REDUCE", "NEWOBJ"):
            self._make(stack.pop(), stack.pop())
        elif op == "BUILD":
            state = stack.pop()
            self._top(Made).state = state
        elif op in ("POP", "POP_MARK"):
            if op == "POP_MARK":
                self._to_mark()
            else:
                stack.pop()
        elif op not in ("PROTO", "FRAME"):
            raise _Broken(f"operation {op}, which data frames and data sets do not need")

    def _make(self, args: Any, name: Any) -> None:
        if not isinstance(name, Name) or not isinstance(args, tuple):
            raise _Broken("a call of something that is no name")
        if name.name == _BARE:
            self._own(Made(self._bare_class(args), ()))
        elif name.name == _BYTES:
            self._own(args[0] if args and isinstance(args[0], bytes) else b"")
        elif name.name == "_codecs.encode":
            self._own(self._encode(*args))
        else:
            self._own(Made(name.name, args))

    def _own(self, value: Any) -> None:
        self.objects += 1
        if self.objects > _MOST_OBJECTS:
            raise _Broken(f"more than {_MOST_OBJECTS:,} objects")
        self.stack.append(value)

    def _bare_class(self, args: tuple[Any, ...]) -> str:
        """The class of a bare object, as protocols below 2 write one: its state follows."""
        match args:
            case (Name(name), Name(base), None) if base == _OBJECT and name not in _OLDEST:
                return name
        raise _Refused(_BARE)

    def _encode(self, text: str, encoding: str) -> bytes:
        """Bytes as protocols below 3 write them; a text that occurs often is encoded once."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _Broken("bytes that are no text in latin1")
        if id(text) not in self._bytes:
            self._bytes[id(text)] = (text, text.encode("latin1"))
        return self._bytes[id(text)][1]

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise _Broken(f"a {type(self.stack[-1]).__name__} where a {kind.__name__} belongs")
        return self.stack[-1]

    def _to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _Mark:
            at -= 1
            if at < 0:
                raise IndexError
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def _set(self, values: list[Any]) -> None:
        top = self.stack[-1]
        target = top.items if isinstance(top, Made) else self._top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, _KEYS):  # the hash of nested tuples takes time exponential in their depth
                raise _Broken(f"a {type(key).__name__} as a key")
            if key.bit_length() > 64 if isinstance(key, int) else isinstance(key, str | bytes) and len(key) > _LONGEST_KEY:
                raise _Broken("a key that is too long")
            target[key] = value

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):  # nested tuples take exponential time to print
            raise _Broken(f"a {type(module).__name__} and a {type(name).__name__} as a name")
        full = f"{module[:200]}.{name[:200]}"
        if full not in self.allowed:
            raise _Refused(" ".join(full.split())[:200])
        return Name(full)


class _Refused(Exception):
    pass


def as_bytes(value: Any) -> bytes | bytearray:
    """The bytes a value stands for.

    Raises:
        ValueError: it stands for none.
    """
    if isinstance(value, Made) and value.name.endswith(".bytearray"):
        value = value.args[0] if value.args else b""
    if not isinstance(value, bytes | bytearray):
        raise ValueError(f"a {type(value).__name__} where bytes belong")
    return value


def run(data: bytes, source: str, allowed: Collection[str]) -> Any:
    """Plain data from a pickle; nothing in it is executed.

    Args:
        data: the pickle.
        source: for messages.
        allowed: full names that may occur.

    Raises:
        DataError: it names something else, is damaged, or is built to use up memory.
    """
    machine = _Machine(allowed)
    try:
        for count, (op, arg, _) in enumerate(pickletools.genops(data)):
            if op.name == "STOP":
                return machine.stack.pop()
            if count > _MOST:
                raise _Broken(f"more than {_MOST:,} operations")
            machine.step(op.name, arg)
        raise _Broken("no end")
    except _Refused as refused:
        raise DataError(
            f"{source} was refused: the pickle names {refused}, which could run code; expected only a pandas DataFrame or a "
            "datasets.Dataset in memory; nothing in the file was run"
        ) from None
    except (_Broken, *_ODD) as error:
        reason = " ".join(str(error).split())[:120] or "it ends early"
        raise DataError(
            f"{source} is a damaged pickle, or none ({reason}); expected a pickled pandas DataFrame or datasets.Dataset; "
            "nothing in the file was run"
        ) from None

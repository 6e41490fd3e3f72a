"""What stands in for `sys.stdout` and `sys.stderr` in a process of the pool."""

import codecs
import io
from collections.abc import Callable
from threading import get_ident
from typing import Any

ENCODING, ERRORS = "utf-8", "backslashreplace"
HELD_CHARACTERS = 1000
"""`print` writes its arguments one by one. So much without a line end is held, which costs little, until one comes."""


class OutputStream(io.TextIOBase):
    """A text stream to whoever takes the text. Nothing closes it: others print after the one who tried."""

    name: str  # as files have it
    mode = "w"
    line_buffering = True
    write_through = True

    def __init__(self, name: str, descriptor: int, take: Callable[[str], None], flush: Callable[[], None]) -> None:
        """`descriptor`: where what this process starts writes to when it is given this stream."""
        self.name = name
        self._descriptor = descriptor
        self._take = take
        self._flush = flush
        self._buffer = _Bytes(self)
        self.held: dict[int, str] = {}
        """By thread: text without a line end."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return ENCODING

    @property
    def errors(self) -> str:  # type: ignore[override]
        return ERRORS

    @property
    def buffer(self) -> "_Bytes":
        """For those who write bytes."""
        return self._buffer

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        thread = get_ident()
        held = self.held.get(thread, "")
        if "\n" not in text and len(held) + len(text) <= HELD_CHARACTERS:
            self.held[thread] = held + text
        elif held:
            self._take(self.held.pop(thread, "") + text)
        else:
            self._take(text)
        return len(text)

    def release(self, thread: int) -> None:
        """Hands over what this thread has written without a line end."""
        text = self.held.pop(thread, "")
        if text:
            self._take(text)

    def writelines(self, lines: Any, /) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        self._flush()

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **_: Any) -> None:
        """As files have it. There is nothing to change."""

    def detach(self) -> Any:
        """The bytes beneath, which go on to be this stream's."""
        return self._buffer

    def close(self) -> None:
        self.flush()


class _Bytes(io.BufferedIOBase):
    """The stream, for bytes."""

    mode = "wb"

    def __init__(self, stream: OutputStream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(ENCODING)(ERRORS)

    @property
    def name(self) -> str:
        return self._stream.name

    def write(self, data: Any, /) -> int:
        given = bytes(data)
        self._stream.write(self._decoder.decode(given))
        return len(given)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def detach(self) -> Any:
        raise io.UnsupportedOperation("there is nothing beneath the output of a job")

    def close(self) -> None:
        self.flush()

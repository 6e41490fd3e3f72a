"""Text, cut into lines as they are shown: long ones are shortened, what goes beyond an allowance is counted."""

from typing import NamedTuple

from farm_worker.pool.allowance import Allowance

MAX_LINE = 16 << 10
"""Characters of a line that are shown."""

NOTHING = (0, 0)
_KB = 1_000


class Piece(NamedTuple):
    """A line to be shown, or a mark: lines and characters that are not."""

    text: str
    dropped: tuple[int, int] = NOTHING


class LineCutter:
    """Takes text as it comes, gives whole lines. What a line wrote over itself (`\\r`) is not kept."""

    __slots__ = ("_allowance", "_beyond", "_in_gap", "_partial", "_returned", "_unseen_lines", "_unseen_size")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._partial = ""
        self._beyond = 0
        """Characters of the line that were too many to keep."""
        self._returned = False
        self._in_gap = False
        """True after a skip: the next line begins after a line end."""
        self._unseen_lines = self._unseen_size = 0

    def feed(self, text: str) -> list[Piece]:
        """The lines that are complete with this text."""
        pieces: list[Piece] = []
        if "\n" not in text and not self._in_gap:
            self._append(text)
            return pieces
        start = self._leave_gap(text) if self._in_gap else 0
        while (end := text.find("\n", start)) >= 0:
            if not self._allowance.take(min(len(self._partial) + end - start, MAX_LINE)):
                start = self._skip(text, start)
                break
            self._append(text[start:end])
            pieces += self._mark()
            pieces.append(Piece(self._take_line()))
            start = end + 1
        self._append(text[start:] if start else text)
        return pieces

    def skip(self, size: int) -> None:
        """So many characters are not shown, and nobody knows how many lines they are."""
        self._unseen_size += size + len(self._partial) + self._beyond
        self._take_line()
        self._in_gap = True

    def finish(self) -> list[Piece]:
        """Nothing follows: the last line, if it has no end, and how much was not shown."""
        if not self._partial and not self._beyond:
            return self._mark()
        if self._allowance.take(len(self._partial)):
            return [*self._mark(), Piece(self._take_line())]
        self._skip("", 0)
        self._unseen_lines += 1
        return self._mark()

    def _leave_gap(self, text: str) -> int:
        after = text.find("\n") + 1
        self._in_gap = not after
        self._unseen_size += after or len(text)
        return after or len(text)

    def _append(self, text: str) -> None:
        if "\r" not in text and not self._returned and len(self._partial) + len(text) <= MAX_LINE:
            self._partial += text
            return
        body = text.rstrip("\r")
        if body:
            if self._returned or "\r" in body:
                self._partial, self._beyond = "", 0
                body = body.rpartition("\r")[2]
            room = MAX_LINE - len(self._partial)
            self._partial += body[:room]
            if len(body) > room:
                self._beyond += len(body) - room
        if text:
            self._returned = len(body) != len(text)

    def _skip(self, text: str, start: int) -> int:
        """Leaves out the line under way and all that end in `text`. Returns where the next begins."""
        after = text.rfind("\n") + 1
        self._unseen_lines += text.count("\n", start, after)
        self._unseen_size += len(self._partial) + self._beyond + after - start
        self._take_line()
        return after

    def _take_line(self) -> str:
        line, beyond = self._partial, self._beyond
        self._partial, self._beyond, self._returned = "", 0, False
        return f"{line} … {beyond:,} more characters not shown" if beyond else line

    def _mark(self) -> list[Piece]:
        if not self._unseen_size and not self._unseen_lines:
            return []
        unseen = self._unseen_lines, self._unseen_size
        self._unseen_lines = self._unseen_size = 0
        return [Piece("", unseen)]


def mark(dropped: tuple[int, int]) -> str:
    """`… 12,345 lines (1.0 GB) not shown`. Without lines where nobody counted them."""
    lines, size = dropped
    if not lines:
        return f"… {_amount(size)} not shown"
    return f"… {lines:,} {'line' if lines == 1 else 'lines'} ({_amount(size)}) not shown"


def _amount(size: float) -> str:
    if size < _KB:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB"):
        size /= _KB
        if size < _KB:
            return f"{size:.1f} {unit}"
    return f"{size / _KB:.1f} GB"

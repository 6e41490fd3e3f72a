"""How text becomes lines, and how much of it may be said."""

from hypothesis import given
from hypothesis import strategies as st

from farm_worker.pool.allowance import Allowance, Rate
from farm_worker.pool.output_lines import MAX_LINE, LineCutter, Piece, mark

PLENTY = Rate(1_000_000, 1 << 40, 1, 1)
FEW = Rate(lines=3, size=100, lines_per_second=2, size_per_second=50)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def texts(pieces: list[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


@given(st.lists(st.text(st.sampled_from("ab\n"), max_size=20), max_size=20))
def test_lines_are_the_same_however_they_come(parts: list[str]) -> None:
    cutter = LineCutter(Allowance(PLENTY))
    pieces = [piece for part in parts for piece in cutter.feed(part)] + cutter.finish()

    whole = "".join(parts).split("\n")
    assert texts(pieces) == (whole if whole[-1] else whole[:-1])


@given(st.lists(st.text(st.sampled_from("ab\n\r"), max_size=20), max_size=20), st.integers(0, 5))
def test_each_line_is_shown_or_counted(parts: list[str], allowed: int) -> None:
    cutter = LineCutter(Allowance(Rate(allowed, 1 << 30, 1, 1), clock=Clock()))
    pieces = [piece for part in parts for piece in cutter.feed(part)]

    ended = "".join(parts).count("\n")
    dropped = sum(piece.dropped[0] for piece in pieces + cutter.finish())
    shown = len([piece for piece in pieces if piece.dropped == (0, 0)])
    assert shown == min(allowed, ended)
    assert dropped in (ended - shown, ended - shown + 1), "one more if the last line has no end"


def test_what_a_line_wrote_over_itself_is_not_shown() -> None:
    cutter = LineCutter(Allowance(PLENTY))

    assert texts(cutter.feed("10 %\r20 %\r")) == []
    assert texts(cutter.feed("100 %\r\nnext\r\n")) == ["100 %", "next"]


def test_a_line_without_end_takes_no_more_room_than_a_long_one() -> None:
    cutter = LineCutter(Allowance(PLENTY))
    for _ in range(1000):
        assert cutter.feed("x" * 10_000) == []

    assert texts(cutter.feed("\n")) == ["x" * MAX_LINE + f" … {10_000_000 - MAX_LINE:,} more characters not shown"]


def test_after_a_gap_the_first_whole_line_is_shown() -> None:
    cutter = LineCutter(Allowance(PLENTY))
    cutter.feed("begun and ")
    cutter.skip(500)

    assert cutter.feed("the end of another") == []
    assert cutter.feed(" one\nwhole\n") == [Piece("", (0, 10 + 500 + 18 + 5)), Piece("whole")]


def test_an_allowance_comes_back_by_the_second() -> None:
    clock = Clock()
    allowance = Allowance(FEW, clock=clock)
    assert [allowance.take(1) for _ in range(5)] == [True, True, True, False, False]

    clock.now = 0.9
    assert not allowance.take(1), "not yet a second's worth"
    clock.now = 1.0
    assert [allowance.take(1) for _ in range(3)] == [True, True, False]
    clock.now = 1000.0
    assert [allowance.take(1) for _ in range(4)] == [True, True, True, False], "no more than at the beginning"


def test_a_large_line_uses_up_what_many_small_ones_would() -> None:
    clock = Clock()
    allowance = Allowance(FEW, clock=clock)

    assert allowance.take(120)
    assert allowance.is_spent()
    clock.now = 2.0
    assert not allowance.is_spent()


def test_an_allowance_ends_with_the_one_above_it() -> None:
    clock = Clock()
    above = Allowance(FEW, clock=clock)
    one, other = Allowance(FEW, above, clock), Allowance(FEW, above, clock)

    assert [one.take(1), one.take(1), other.take(1), other.take(1), one.take(1)] == [True, True, True, False, False]
    assert other.is_spent()


def test_a_mark_is_read_easily() -> None:
    assert mark((12_345, 1_000_000_000)) == "… 12,345 lines (1.0 GB) not shown"
    assert mark((1, 7)) == "… 1 line (7 bytes) not shown"
    assert mark((0, 2_500)) == "… 2.5 kB not shown"

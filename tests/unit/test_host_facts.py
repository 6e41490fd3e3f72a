"""What a host says to its processes in shared memory: whole, at once, and never half of one and half of another."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import farm
from farm import context, facts
from farm.context import CurrentProcess
from farm.errors import FarmError
from farm.facts import BLOCK_BYTES, HALF_BYTES, TURN, HostFacts
from farm_worker.facts_board import FactsBoard

FACTS = HostFacts(host="one", state="full", load=0.8, pressure_cpu=0.25, memory=3, memory_total=4, sources={"a": "b"})


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[FactsBoard]:
    """A board, in a process of the host that has it."""
    made = FactsBoard(FACTS)
    monkeypatch.setattr(context, "_process", CurrentProcess("one", 1, os.getpid(), facts=made.path))
    yield made
    made.close()
    facts._blocks.clear()


def test_what_the_host_says_is_what_its_processes_read(board: FactsBoard) -> None:
    assert farm.host_facts() == FACTS
    assert farm.host_facts().memory_share == 0.75
    board.write(HostFacts(host="one", load=0.1))
    assert farm.host_facts().load == 0.1
    assert farm.host_facts().pressure_cpu is None


def test_a_process_that_closed_all_descriptors_still_reads(board: FactsBoard) -> None:
    assert farm.host_facts().load == 0.8
    board.write(HostFacts(load=0.2))
    os.close(board._descriptor)
    try:
        assert farm.host_facts().load == 0.2
    finally:
        board._descriptor = os.open(os.devnull, os.O_RDONLY)


def test_outside_of_a_host_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_process", None)
    with pytest.raises(FarmError, match="outside of a host"):
        farm.host_facts()


def test_a_process_without_a_board_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_process", CurrentProcess("one", 1, 1))
    with pytest.raises(FarmError, match="outside of a host"):
        farm.host_facts()


def test_a_host_that_is_gone_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_process", CurrentProcess("one", 1, 1, facts="/nowhere/facts"))
    with pytest.raises(FarmError, match=r"can't be read: .*No such file"):
        farm.host_facts()


def test_a_block_that_nobody_wrote_to_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "facts"
    file.write_bytes(bytes(BLOCK_BYTES))
    monkeypatch.setattr(context, "_process", CurrentProcess("one", 1, 1, facts=str(file)))
    with pytest.raises(FarmError, match="has not said anything"):
        farm.host_facts()


def test_facts_that_are_torn_are_not_believed(board: FactsBoard) -> None:
    turn = board._turn
    os.pwrite(board._descriptor, b"9", TURN.size + (turn % 2) * HALF_BYTES + 40)
    with pytest.raises(FarmError, match="has not said anything of itself that can be read"):
        farm.host_facts()
    board.write(FACTS)
    assert farm.host_facts() == FACTS


def test_numbers_are_there_even_where_paths_are_endless(board: FactsBoard) -> None:
    board.write(HostFacts(load=0.3, sources={"cpu": "x" * BLOCK_BYTES}))
    assert (farm.host_facts().load, farm.host_facts().sources) == (0.3, {})


def test_a_look_while_the_host_writes_sees_one_or_the_other(board: FactsBoard) -> None:
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            board.write(HostFacts(memory=number, memory_total=number, sources={"a": "x" * (number % 3000)}))

    writer = threading.Thread(target=write)
    board.write(HostFacts())
    writer.start()
    try:
        for _ in range(2000):
            seen = farm.host_facts()
            assert seen.memory == seen.memory_total
    finally:
        ended.set()
        writer.join()


def test_facts_from_a_host_with_more_of_them_are_read_as_far_as_they_are_known() -> None:
    assert facts.from_fields({"load": 0.5, "phase_of_the_moon": 1}) == HostFacts(load=0.5)

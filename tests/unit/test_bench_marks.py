"""Marks: what the benchmark's jobs say of themselves, and who takes part in what."""

import time
from pathlib import Path

from tests.bench.peers.marks import Marks
from tests.bench.run import run, turns
from tests.bench.stage import TurnFailed
from tests.bench.systems import FARM, SYSTEMS, System, chosen, is_this_project
from tests.bench.workload import Figures, Scale, Workload

OTHER = System("other", "no_such_adapter")


def test_a_mark_is_seen_by_another_who_maps_the_file(tmp_path: Path) -> None:
    ours = Marks.create(tmp_path / "marks", 3)
    theirs = Marks(tmp_path / "marks")
    begun = time.monotonic_ns()

    theirs.write(1, begun, cpu=5)

    assert ours.row(1)[0] == begun
    assert ours.row(1)[1] >= begun
    assert ours.row(0) == (0, 0, 0)
    assert (ours.cpu(0), ours.cpu(1)) == (0, 5)
    assert ours.number_done(0, 3) == 1


def test_all_are_done_when_each_has_marked_itself(tmp_path: Path) -> None:
    marks = Marks.create(tmp_path / "marks", 5)
    answers = []
    for index in (2, 4, 3):
        marks.write(index, 1)
        answers.append(marks.all_done(2, 3))

    assert answers == [False, False, True]
    assert not marks.all_done(0, 2), "others were asked for before"


def test_peers_are_chosen_by_the_beginnings_of_their_names() -> None:
    assert [each.name for each in chosen(["rq", "huey"])][:2] == ["farm", "rq worker"]
    assert chosen([]) == list(SYSTEMS)


def test_a_system_that_fails_is_recorded_and_stops_nobody() -> None:
    def turn(system: System, mode: str, scale: Scale) -> Figures:
        if mode == "broken":
            raise TurnFailed("it ended")
        if mode == "odd":
            raise KeyError("nobody thought of this")
        return {"rate": 1.0}

    workload = Workload("drain", "", (), turn, is_this_project, modes_of_ours=("broken", "odd", "sound"))

    records = list(run([workload], [FARM, OTHER], 2, Scale()))

    assert turns(workload, [FARM, OTHER]) == [(FARM, "broken"), (FARM, "odd"), (FARM, "sound")]
    assert {(record.round, record.mode): record.error for record in records} == {
        (round_, mode): error
        for round_ in (1, 2)
        for mode, error in {"broken": "it ended", "odd": "KeyError: 'nobody thought of this'", "sound": ""}.items()
    }
    assert [record.mode for record in records[:3]] != [record.mode for record in records[3:]], "the order changes"

"""What a host publishes of itself with each beat."""

from dataclasses import replace

from farm.store.hosts import Registration
from farm_worker.admission import AdmissionState
from farm_worker.load.facts import Facts
from farm_worker.published import PRESSURES, HostRecord

WHO = Registration("one", "1-aa")
RECORD = HostRecord(("default",), (), 0.75, 7, "machine", "boot", "4026531836", "2026-01-02T03:04:05.000000Z")
FACTS = Facts(0.5, 0.5, 0.5, 0.0, 1.0, 0, 0, pressure_cpu=0.25, pressure_memory=0.0, pressure_io=0.125)


def published(facts: Facts) -> dict[str, str | int | float]:
    known = RECORD.host_facts("one", AdmissionState(), 0.5, facts, 0)
    return RECORD.fields(WHO, AdmissionState(), known)


def test_a_pressure_that_the_kernel_stops_telling_takes_the_place_of_the_last_one() -> None:
    told = published(FACTS)
    silent = published(replace(FACTS, pressure_cpu=None, pressure_memory=None, pressure_io=None))

    assert [told[name] for name in PRESSURES] == [0.25, 0.0, 0.125]
    assert [silent[name] for name in PRESSURES] == ["", "", ""]
    assert told.keys() == silent.keys()

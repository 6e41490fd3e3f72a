"""`farm capacity --host`: what a live host's machine takes."""

import json

from tests.support.farm import Farm


def test_a_live_host_is_asked_for_its_machine(farm: Farm) -> None:
    farm.host("one", processes=3)
    published = farm.published("one")

    run = farm.command("capacity", "--host", "one", "--cpu-seconds", "0.1", "--wall", "10", "--json")

    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["machine"]["name"] == "that of host one"
    assert said["machine"]["cores"] == float(published["cpu_count"])
    assert said["machine"]["memory"] == int(published["memory_total"])
    assert (said["settings"]["slots"], said["result"]["binding"]) == (3, "slots")
    assert said["host"]["process_memory"] > 1_000_000

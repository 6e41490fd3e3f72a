"""A host with many processes needs many descriptors; jobs have the limit that the host was started with."""

import resource
import subprocess
import sys

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until

FEW = 256
"""Seven for each of forty processes are more."""
LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def few_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= FEW * 4:
        pytest.skip(f"the hard limit of descriptors is {hard} here: nothing to raise")


def test_a_host_with_many_processes_raises_its_own_limit_and_not_that_of_jobs(
    farm: Farm, few_descriptors: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen
    limited = [sys.executable, "-c", LIMITED]
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: start([*limited, *command], **options))
    farm.host(processes=40, idle_processes=40, threshold=1)

    job = farm.queue().enqueue("resource.getrlimit", resource.RLIMIT_NOFILE)

    assert farm.wait_for(job).return_value()[0] == FEW
    wait_until(lambda: farm.published("one")["idle"] == "40", "all are warm", 40)

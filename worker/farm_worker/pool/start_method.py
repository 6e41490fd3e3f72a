"""Which way of bringing up processes the settings ask for."""

import sys
from collections.abc import Callable, Mapping

from farm_settings import PoolSettings
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.starter import Spawner, Starter
from farm_worker.pool.template import Template
from farm_worker.pool.threads import Threads


def starter_for(
    settings: PoolSettings, initialize: Callable[[int], Initialize], environment: Mapping[str, str] | None
) -> Starter:
    """By EXECUTOR and START_METHOD. Only Linux lets one process fork for another: elsewhere processes are spawned."""
    if settings.executor == "thread":
        return Threads(settings, lambda: initialize(0), environment)
    if settings.start_method == "template" and sys.platform == "linux":
        return Template(settings, lambda: initialize(0), environment)
    return Spawner(environment)

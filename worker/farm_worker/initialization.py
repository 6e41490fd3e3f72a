"""The first message to a process of this host: what it needs to warm up."""

from collections.abc import Mapping
from types import MappingProxyType

from farm_settings import Settings
from farm_worker.descriptor_limit import found_limit
from farm_worker.pool.protocol import Initialize

NO_RUNNERS: Mapping[str, str] = MappingProxyType({})


def first_message(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    redis_url: str,
    host: str,
    process: int,
    runners: Mapping[str, str] = NO_RUNNERS,
    facts: str = "",
) -> Initialize:
    """For process number `process` of `host`; 0 is none of the pool. `environment`: what the host was started with.

    `runners`: name → path of the socket. `facts`: path of the host's `FactsBoard`.
    """
    return Initialize(
        redis_url=redis_url,
        rq_prefix=settings.redis.rq_prefix,
        host=host,
        process=process,
        path=list(settings.host.path),
        python_path=environment.get("FARM_USER_PYTHONPATH"),
        app=settings.host.app,
        serializer=settings.jobs.serializer,
        job_class=settings.jobs.job_class,
        result_ttl=settings.jobs.result_ttl,
        exception_handlers=list(settings.jobs.exception_handlers),
        log_level=settings.logs.log_level,
        async_concurrency=settings.pool.async_concurrency,
        close_timeout=settings.pool.close_timeout,
        http_proxy=settings.pool.http_proxy,
        runners=dict(runners),
        facts=facts,
        descriptor_limit=found_limit(),
    )

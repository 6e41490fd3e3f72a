"""Every Redis key that the farm reads or writes, with its type and lifetime.

`Keys` holds our own keys (prefix `farm`), `RqKeys` those of RQ's data model (prefix `rq`, RQ's `RQ_KEY_PREFIX`).
No other module spells a key. Scripts that build job keys of ids popped inside take `RqKeys.prefix` as an argument.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of the farm. `prefix` is the setting `PREFIX`."""

    prefix: str = "farm"

    @property
    def load(self) -> str:
        """zset, host → load 0..1. Members live as long as their host."""
        return f"{self.prefix}:load"

    @property
    def hosts(self) -> str:
        """zset, host → last beat in seconds by Redis's clock. A lost host leaves when it is fenced."""
        return f"{self.prefix}:hosts"

    @property
    def identities(self) -> str:
        """hash, permanent: host → identity that holds its lease now. A fenced host has none."""
        return f"{self.prefix}:identities"

    @property
    def epochs(self) -> str:
        """hash, permanent: host → number of its last registration; `:coordinator` → the last leader's epoch."""
        return f"{self.prefix}:epochs"

    @property
    def lost(self) -> str:
        """zset, `<host>:<identity>` → when it was fenced. A member leaves when all its jobs were given back."""
        return f"{self.prefix}:lost"

    @property
    def coordinator(self) -> str:
        """string, TTL `LEADER_TTL`: `<epoch>:<token>:<name>` of the leader."""
        return f"{self.prefix}:coordinator"

    @property
    def campaign(self) -> str:
        """string, TTL a few seconds: the host that spawns a coordinator because nobody leads."""
        return f"{self.prefix}:coordinator:campaign"

    @property
    def events(self) -> str:
        """stream, about 10,000 entries: rare things only."""
        return f"{self.prefix}:events"

    @property
    def quarantine(self) -> str:
        """zset, id → when: jobs whose record cannot be read."""
        return f"{self.prefix}:quarantine"

    @property
    def quarantine_reasons(self) -> str:
        """hash, id → why it is in quarantine."""
        return f"{self.prefix}:quarantine:reasons"

    @property
    def bell(self) -> str:
        """list, capped: wakes the coordinator."""
        return f"{self.prefix}:bell"

    @property
    def room(self) -> str:
        """list, capped: a bell for a coordinator that has jobs and found no room for them: there may be some."""
        return f"{self.prefix}:room"

    @property
    def reserved(self) -> str:
        """hash, TTL: queue → `host|identity` that takes its next jobs by itself."""
        return f"{self.prefix}:reserved"

    @property
    def sole(self) -> str:
        """hash, TTL: host → identity that may take from its queues by itself whenever: no other host serves them."""
        return f"{self.prefix}:sole"

    @property
    def aside(self) -> str:
        """hash, TTL: queue → its groups of jobs that fit nowhere now, in JSON (see `aside.AsideGroup`)."""
        return f"{self.prefix}:aside"

    @property
    def dependents(self) -> str:
        """zset, permanent: `<outcome>:<id>` → when: ended jobs that still have dependents to release, in pages."""
        return f"{self.prefix}:dependents"

    @property
    def follow_ups(self) -> str:
        """zset, TTL: `<kind>|<begun>|<token>|<id>` → when it is due: what is to be called of jobs that ended alone."""
        return f"{self.prefix}:follow_ups"

    @property
    def mended(self) -> str:
        """hash, permanent: kind of what was left over → how many the coordinator has mended."""
        return f"{self.prefix}:mended"

    def host_bell(self, host: str) -> str:
        """list, capped, TTL: wakes one host."""
        return f"{self.prefix}:bell:{host}"

    def host(self, host: str) -> str:
        """hash, TTL: what the host published with its last beat."""
        return f"{self.prefix}:host:{host}"

    def processes(self, host: str) -> str:
        """hash, TTL: number of a process, or `<runner>/<copy>` → what it does, in JSON; `at` → when that was so."""
        return f"{self.prefix}:host:{host}:processes"

    def desired(self, host: str) -> str:
        """hash, TTL: what operators want of the host. It reads this with its beat's reply, and renews it."""
        return f"{self.prefix}:host:{host}:desired"

    def inbox(self, host: str, identity: str) -> str:
        """list: ids placed on the host and not started; lives until the host is recovered."""
        return f"{self.prefix}:host:{host}:{identity}:inbox"

    def running(self, host: str, identity: str) -> str:
        """hash, id → lease (see `records.Lease`); lives until the host is recovered."""
        return f"{self.prefix}:host:{host}:{identity}:running"

    def receipts(self, host: str, identity: str) -> str:
        """hash, TTL: answers to the last 64 finish batches, and to the last start batch (field `start`); `usage`."""
        return f"{self.prefix}:host:{host}:{identity}:receipts"

    def deferral(self, queue: str) -> str:
        """hash, while the queue is deferred: since, reason, hosts, count."""
        return f"{self.prefix}:deferral:{queue}"

    def deferred(self, queue: str) -> str:
        """zset, while the queue is deferred: the first 10,000 ids → since when."""
        return f"{self.prefix}:deferred:{queue}"

    def counts(self, queue: str) -> str:
        """hash, permanent: how many jobs of the queue ended how."""
        return f"{self.prefix}:counts:{queue}"

    def usage(self, queue: str) -> str:
        """hash, TTL: function → what its jobs use, one JSON text; the thousand that were seen last."""
        return f"{self.prefix}:usage:{queue}"


@dataclass(frozen=True, slots=True)
class RqKeys:
    """Keys of RQ's data model (RQ 3.0)."""

    prefix: str = "rq"

    @property
    def queues(self) -> str:
        """set of queue keys."""
        return f"{self.prefix}:queues"

    @property
    def workers(self) -> str:
        """set of worker keys."""
        return f"{self.prefix}:workers"

    @property
    def suspended(self) -> str:
        """string: set by `rq suspend`."""
        return f"{self.prefix}:suspended"

    def queue(self, name: str) -> str:
        """list of job ids, head is next."""
        return f"{self.prefix}:queue:{name}"

    def job(self, job_id: str) -> str:
        """hash: the job."""
        return f"{self.prefix}:job:{job_id}"

    def execution(self, name: str) -> str:
        """hash, TTL: one run, `name` being `<job>:<execution>`."""
        return f"{self.prefix}:execution:{name}"

    def results(self, job_id: str) -> str:
        """stream: one entry per result."""
        return f"{self.prefix}:results:{job_id}"

    def worker(self, name: str) -> str:
        """hash: one worker, here a host."""
        return f"{self.prefix}:worker:{name}"

    def worker_executions(self, name: str) -> str:
        """set of `<job>:<execution>` that the worker runs."""
        return f"{self.prefix}:worker:{name}:executions"

    def queue_workers(self, queue: str) -> str:
        """set of worker keys that listen on the queue."""
        return f"{self.prefix}:workers:{queue}"

    def channel(self, worker: str) -> str:
        """channel of commands to one worker."""
        return f"{self.prefix}:pubsub:{worker}"

    def started(self, queue: str) -> str:
        """zset, `<job>:<execution>` → when its lease expires."""
        return f"{self.prefix}:wip:{queue}"

    def finished(self, queue: str) -> str:
        """zset, id → when its result expires."""
        return f"{self.prefix}:finished:{queue}"

    def failed(self, queue: str) -> str:
        """zset, id → when it expires."""
        return f"{self.prefix}:failed:{queue}"

    def dependent(self, queue: str) -> str:
        """zset of jobs that wait for other jobs. RQ calls them deferred."""
        return f"{self.prefix}:deferred:{queue}"

    def ready(self, queue: str) -> str:
        """zset of jobs whose dependencies are met and that are not queued yet."""
        return f"{self.prefix}:ready:{queue}"

    def scheduled(self, queue: str) -> str:
        """zset, id → due time in whole seconds."""
        return f"{self.prefix}:scheduled:{queue}"

    def canceled(self, queue: str) -> str:
        """zset, id → when it was canceled."""
        return f"{self.prefix}:canceled:{queue}"

    def intermediate(self, queue: str) -> str:
        """list of ids popped by a stock worker and not started yet."""
        return f"{self.prefix}:queue:{queue}:intermediate"

    @property
    def rate_limit_keys(self) -> str:
        """set of the keys of all rate limits."""
        return f"{self.prefix}:rl-keys"

    def rate_limited(self, key: str) -> str:
        """zset, id → since when it waits for a slot of the rate limit."""
        return f"{self.prefix}:rl:{key}:rate_limited"

    def cleaning_lock(self, queue: str) -> str:
        """string, TTL: RQ's lock for registry maintenance."""
        return f"{self.prefix}:clean_registries:{queue}"

    def scheduler_lock(self, queue: str) -> str:
        """string, TTL: RQ's lock for moving scheduled jobs."""
        return f"{self.prefix}:scheduler-lock:{queue}"

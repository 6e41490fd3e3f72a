"""The scripts against a model: whatever hosts, owners and the coordinator do, each job has one place."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from rq import Queue
from rq.job import Job, JobStatus

from farm.coordinator.placement import plan
from farm.coordinator.waiting import dealt_blind
from farm.ending import Ending
from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.store import evidence
from farm.store.connection import connect, connect_async
from farm.store.execution import ExecutionStore, FinishBatch, StartBatch, new_batch_name
from farm.store.hosts import HostStore, Registration
from farm.store.leadership import LeaderScripts
from farm.store.placement import PlacementStore
from farm.store.queue_watch import TakeRequest
from farm.store.recovery import RecoveryStore, SilentHost
from farm.store.started import StartedJob
from farm.store.upkeep import UpkeepStore
from farm_worker.beginnings import acceptance
from tests.support.coordinated import LEADER, lead
from tests.support.outcomes import ending
from tests.support.state_machine import run_model

KEYS, RQ_KEYS = Keys(), RqKeys()
QUEUES = ("high", "low")
HOSTS = ("one", "two")
CAPACITY = 3
LONG = 3600.0
MAX_CRASHES, MAX_LOSSES = 2, 2

T = TypeVar("T")
Held = tuple[Registration, StartedJob]
hosts = st.sampled_from(HOSTS)
queues = st.sampled_from(QUEUES)


class Farm(RuleBasedStateMachine):
    """Two hosts, two queues. What the model remembers is only what Redis cannot tell."""

    jobs: Bundle[str] = Bundle("jobs")
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis: redis.Redis = connect(self.url)
        self.redis.flushall()
        lead(self.redis)
        self.client = connect_async(self.url)
        self.leader = LeaderScripts(self.client, KEYS, LEADER)
        self.host_store = HostStore(self.client, KEYS, RQ_KEYS, host_timeout=LONG)
        self.store = ExecutionStore(
            self.client,
            KEYS,
            RQ_KEYS,
            max_crashes=MAX_CRASHES,
            on_lost="rerun",
            on_lost_of_queues={},
            queues=QUEUES,
        )
        self.watch = self.store.watch(self.client, QUEUES[0])
        self.placement = PlacementStore(self.client, KEYS, RQ_KEYS)
        self.recovery = RecoveryStore(self.client, KEYS, RQ_KEYS)
        self.upkeep = UpkeepStore(self.client, KEYS, RQ_KEYS)
        self.who: dict[str, Registration] = {}
        self.given_up: list[Registration] = []
        self.held: list[Held] = []
        """What hosts believe that they run, in the order of starting."""
        self.accepted: set[str] = set()
        self.planted_twice: set[str] = set()
        self.forgotten: set[str] = set()
        """Jobs whose start Redis lost: their host holds no lease any more, unless it takes it again."""
        self.fences: dict[bytes, int] = {}
        self.saved: set[str] = set()
        self.deleted: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.batches = 0
        for name in HOSTS:
            self.register(name)

    def teardown(self) -> None:
        self.wait(self.client.aclose())
        self.loop.close()
        self.redis.close()

    def wait(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def register(self, name: str) -> None:
        who = self.wait(self.host_store.register(name))
        assert isinstance(who, Registration)
        self.who[name] = who
        record = {"load": 0.0, "state": "available", "slots": 2, "capacity": CAPACITY, "queues": ",".join(QUEUES)}
        self.wait(self.host_store.beat(who, record, "idle", campaigns=False))

    # --- the owners of jobs

    @rule(target=jobs, queue=queues, fails_when_lost=st.booleans(), at_front=st.booleans())
    def enqueue(self, queue: str, fails_when_lost: bool, at_front: bool) -> str:
        job_id = f"job-{len(self.accepted)}"
        job = Queue(queue, connection=self.redis).enqueue("time.time", job_id=job_id, at_front=at_front)
        if fails_when_lost:
            self.redis.hset(job.key, "farm_on_lost", "fail")
        self.accepted.add(job_id)
        return job_id

    @rule(job_id=jobs, queue=queues)
    def enqueue_again(self, job_id: str, queue: str) -> None:
        Queue(queue, connection=self.redis).enqueue("time.time", job_id=job_id)
        self.planted_twice.add(job_id)
        self.deleted.discard(job_id)

    @rule(job_id=jobs)
    def save_an_older_copy_while_it_runs(self, job_id: str) -> None:
        job = Job.fetch(job_id, connection=self.redis) if self.status(job_id) == "started" else None
        if job is not None:
            job.set_status(JobStatus.QUEUED)
            self.saved.add(job_id)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        if self.status(job_id) == "queued":
            Job.fetch(job_id, connection=self.redis).cancel()

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        if self.status(job_id):
            Job.fetch(job_id, connection=self.redis).delete()
            self.deleted.add(job_id)

    # --- the coordinator

    @rule()
    def place(self) -> None:
        survey = self.wait(self.placement.survey())
        able = [host for host in survey.hosts if host.room > 0]
        order = plan(able, dealt_blind(survey.waiting)).order
        if order:
            self.wait(self.placement.place(self.leader, able, order, LONG))
        for who in self.who.values():
            inbox, running = self.redis.llen(self.inbox(who)), self.redis.hlen(self.running(who))
            assert inbox + running <= CAPACITY

    @rule(queue=queues, name=st.none() | hosts, sole=st.none() | hosts)
    def reserve(self, queue: str, name: str | None, sole: str | None) -> None:
        views = {host.name: host for host in self.wait(self.placement.survey()).hosts}
        changes = {queue: views.get(name or "")}
        self.wait(self.placement.reserve(self.leader, changes, [views[sole]] if sole in views else []))

    @rule(name=hosts)
    def lose_a_host(self, name: str) -> None:
        who = self.who[name]
        if who in self.given_up:
            return
        self.redis.zincrby(KEYS.hosts, -2 * LONG, name)
        assert self.wait(self.recovery.fence(self.leader, SilentHost(name, who.identity), LONG))
        self.given_up.append(who)
        self.register(name)

    @rule(name=hosts)
    def leave_and_return(self, name: str) -> None:
        who = self.who[name]
        self.wait(self.host_store.leave(who))
        self.given_up.append(who)
        self.register(name)

    @rule()
    def recover(self) -> None:
        for member in self.wait(self.recovery.lost()):
            host, _, identity = member.rpartition(":")
            before = {queue: self.waiting(queue) for queue in QUEUES}
            back = [one for one in self.expected_back(Registration(host, identity)) if one not in self.planted_twice]
            page = self.wait(self.recovery.recover(self.leader, member, MAX_LOSSES, 0))
            assert page.left == 0
            self.counts["recovered"] += page.given_back
            self.counts["failed"] += page.failed
            for queue in QUEUES:
                returned = self.waiting(queue)[: len(self.waiting(queue)) - len(before[queue])]
                assert self.waiting(queue) == returned + before[queue]
                assert [job_id for job_id in back if job_id in returned] == [one for one in returned if one in back]

    @rule()
    def release_scheduled(self) -> None:
        self.wait(self.upkeep.release_scheduled(self.leader, QUEUES))

    # --- the hosts

    @rule(name=hosts, may_hold=st.integers(1, 4), replies_lost=st.integers(0, 2))
    def take(self, name: str, may_hold: int, replies_lost: int) -> None:
        who, request = self.who[name], TakeRequest(self.who[name], new_batch_name(), may_hold)
        if who in self.given_up:
            with pytest.raises(HostFenced):
                self.wait(self.watch.ask(request, lambda _: None))
            return
        before = {queue: self.waiting(queue) for queue in QUEUES}
        expected = self.to_take(who, may_hold, before)
        answers = [self.wait(self.watch.ask(request, lambda _: None)) for _ in range(replies_lost + 1)]
        assert answers[0].count == len(expected)
        tokens = [[job.token for job in answer.started] for answer in answers]
        assert all(each == tokens[0] for each in tokens), "the same request brings the same jobs"
        after = [job_id for queue in QUEUES for job_id in self.waiting(queue)]
        assert expected + after == [job_id for queue in QUEUES for job_id in before[queue]]
        self.note_started(who, answers[-1].started)

    def all_waiting(self) -> list[str]:
        return [job_id for queue in QUEUES for job_id in self.waiting(queue)]

    def to_take(self, who: Registration, may_hold: int, waiting: dict[str, list[str]]) -> list[str]:
        expected: list[str] = []
        for queue in QUEUES:
            owner = (self.redis.hget(KEYS.reserved, queue) or b"").decode()
            if waiting[queue] and owner != f"{who.host}|{who.identity}":
                break
            expected += waiting[queue]
        capacity, state = self.redis.hmget(KEYS.host(who.host), "capacity", "state")
        room = min(may_hold, int(capacity or 0)) - self.redis.hlen(self.running(who))
        is_free = state == b"available" and not self.redis.llen(self.inbox(who))
        return expected[: max(0, room)] if is_free else []

    def note_started(self, who: Registration, started: Sequence[StartedJob]) -> None:
        for job in started:
            self.held.append((who, job))
            assert fence_of(job) > self.fences.get(job.job_id, 0), "it grows with each start, of a record made anew too"
            self.fences[job.job_id] = fence_of(job)

    @rule(name=hosts, limit=st.integers(1, 3), replies_lost=st.integers(0, 2), from_queues=st.booleans())
    def start(self, name: str, limit: int, replies_lost: int, from_queues: bool) -> None:
        who, batch = self.who[name], StartBatch(new_batch_name(), limit, from_queues)
        if self.who[name] in self.given_up:
            with pytest.raises(HostFenced):
                self.wait(self.store.exchange(self.who[name], None, batch, 9))
            return
        waited = self.all_waiting()
        inbox, running = self.redis.llen(self.inbox(who)), self.redis.hlen(self.running(who))
        answers = [self.wait(self.store.exchange(who, None, batch, 9)) for _ in range(replies_lost + 1)]
        number, left = len(answers[0].started) + answers[0].dropped, self.all_waiting()
        from_queues = from_queues and self.redis.hget(KEYS.sole, name) == who.identity.encode()
        assert self.redis.llen(self.inbox(who)) == max(0, inbox - limit)
        assert waited[len(waited) - len(left) :] == left, "heads alone are taken, and in the order of the queues"
        assert len(waited) - len(left) <= (max(0, min(limit - inbox, CAPACITY - running)) if from_queues else 0)
        assert answers[0].waits == bool(from_queues and left and inbox <= limit)
        if answers[0].waits and not inbox:
            assert number >= limit or self.redis.hlen(self.running(who)) == CAPACITY, "as much as there is room for"
        tokens = [[job.token for job in answer.started] for answer in answers]
        assert all(each == tokens[0] for each in tokens), "the same batch brings the same jobs"
        fences = [[fence_of(job) for job in answer.started] for answer in answers]
        assert all(each == fences[0] for each in fences), "the same start has the same fence token"
        self.note_started(who, answers[-1].started)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["finished", "failed", "crashed"]),
        replies_lost=st.integers(0, 1),
        again=st.sampled_from(["", "", "back", "front", "scheduled"]),
        kept=st.booleans(),
    )
    def finish(self, data: Any, kind: str, replies_lost: int, again: str, kept: bool) -> None:
        who, job = held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        end = ending(
            job.job_id,
            job.token,
            kind,
            result_type=1 if kind == "finished" else 2,
            again="" if kind == "crashed" else again,
            ttl=500 if kept else 0,
            accepted=acceptance(job.fields),
        )
        self.batches += 1
        batch = FinishBatch(self.batches, new_batch_name(), [end])
        if who in self.given_up:
            with pytest.raises(HostFenced):
                self.wait(self.store.exchange(who, batch, None, 0))
            return
        answers = [tuple(self.wait(self.store.exchange(who, batch, None, 0)).answers) for _ in range(replies_lost + 1)]
        assert len(set(answers)) == 1, "the same batch gets the same answers"
        self.note(job.job_id.decode(), end, answers[0][0], kept)

    @rule(name=hosts, data=st.data(), counted_as=st.sampled_from(["", "drained"]))
    def hand_back(self, name: str, data: Any, counted_as: str) -> None:
        who = self.who[name]
        if who in self.given_up:
            with pytest.raises(HostFenced):
                self.wait(self.store.hand_back(who, [], 100))
            return
        mine = [job for owner, job in self.held if owner == who]
        unbegun = mine[data.draw(st.integers(0, len(mine))) :]
        back = self.expected_back(who, {job.job_id.decode() for job in unbegun})
        before = {queue: self.waiting(queue) for queue in QUEUES}
        for _ in range(2):
            self.wait(self.store.hand_back(who, [(job.job_id, job.token) for job in unbegun], 100, counted_as))
        self.held = [one for one in self.held if one[1] not in unbegun]
        for queue in QUEUES:
            returned = [job_id for job_id in back if self.origin(job_id) == queue]
            if not self.planted_twice & set(returned):
                assert self.waiting(queue) == returned + before[queue]

    # --- what holds at any time

    @invariant()
    def each_job_has_one_place(self) -> None:
        places = self.places()
        for job_id in self.accepted:
            status, found = self.status(job_id), places[job_id]
            active = sum(found.values())
            if job_id not in self.planted_twice:
                assert active <= 1, f"{job_id} ({status}) is in {found}"
            if status == "queued":
                also = found["running"] if job_id in self.saved else 0
                assert found["queue"] + found["inbox"] + also >= 1, f"{job_id} is nowhere: {found}"
            elif status == "started":
                assert found["running"] >= 1, f"{job_id} is nowhere: {found}"
            elif status == "scheduled":
                assert found["scheduled"] >= 1, f"{job_id} is nowhere: {found}"
            elif status in ("finished", "failed") and job_id not in self.planted_twice:
                assert active == 0, f"{job_id} has ended and is in {found}"
            elif not status:
                assert job_id in self.deleted, f"{job_id} is gone and nobody deleted it"

    @invariant()
    def all_counts_add_up(self) -> None:
        counted: Counter[str] = Counter()
        for queue in QUEUES:
            counted.update({key.decode(): int(value) for key, value in self.redis.hgetall(KEYS.counts(queue)).items()})
        for what in ("finished", "failed", "recovered"):
            assert counted[what] == self.counts[what], what
        assert self.redis.zcard(KEYS.quarantine) == 0

    @invariant()
    def each_counted_crash_and_loss_has_its_evidence(self) -> None:
        for job_id in self.accepted:
            kept = self.redis.hmget(RQ_KEYS.job(job_id), "farm_crashes", "farm_losses", "farm_evidence")
            assert len(evidence.parse(kept[2])) == int(kept[0] or 0) + int(kept[1] or 0)

    # --- reading

    def note(self, job_id: str, ending: Ending, answer: str, kept: bool) -> None:
        """What the answer to an outcome means for the counts, and for the job's record."""
        assert answer in ("finished", "failed", "again", "recovered", "poisoned", "deleted", "refused")
        if answer == "refused":
            assert job_id in self.planted_twice | self.forgotten, "only a lease that a second start replaced is refused"
        elif answer == "finished" or (answer == "again" and ending.kind == "finished"):
            self.counts["finished"] += 1
        elif answer in ("failed", "poisoned"):
            self.counts["failed"] += 1
        if answer in ("finished", "failed", "poisoned") and not self.status(job_id):
            assert not kept
            self.deleted.add(job_id)

    def status(self, job_id: str) -> str:
        return (self.redis.hget(RQ_KEYS.job(job_id), "status") or b"").decode()

    def origin(self, job_id: str) -> str:
        return (self.redis.hget(RQ_KEYS.job(job_id), "origin") or b"").decode()

    def waiting(self, queue: str) -> list[str]:
        return [job_id.decode() for job_id in self.redis.lrange(RQ_KEYS.queue(queue), 0, -1)]

    def inbox(self, who: Registration) -> str:
        return KEYS.inbox(who.host, who.identity)

    def running(self, who: Registration) -> str:
        return KEYS.running(who.host, who.identity)

    def expected_back(self, who: Registration, leases: set[str] | None = None) -> list[str]:
        """What `who` would give back, in order: leases (all, or these), then the inbox."""
        running = {
            key.decode(): int(text.decode().rpartition("|")[2])
            for key, text in self.redis.hgetall(self.running(who)).items()
        }
        started = sorted((one for one in running if leases is None or one in leases), key=lambda one: running[one])
        inbox = [job_id.decode() for job_id in self.redis.lrange(self.inbox(who), 0, -1)]
        return [one for one in started if self.status(one) == "started"] + [
            one for one in inbox if self.status(one) == "queued"
        ]

    def places(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {job_id: Counter() for job_id in self.accepted}
        for queue in QUEUES:
            for job_id in self.waiting(queue):
                found[job_id]["queue"] += 1
            for job_id in self.redis.zrange(RQ_KEYS.scheduled(queue), 0, -1):
                found[job_id.decode()]["scheduled"] += 1
        for who in {*self.who.values(), *self.given_up}:
            for job_id in self.redis.lrange(self.inbox(who), 0, -1):
                found[job_id.decode()]["inbox"] += 1
            for job_id in self.redis.hkeys(self.running(who)):
                found[job_id.decode()]["running"] += 1
        return found


def fence_of(job: StartedJob) -> int:
    return int(dict(zip(job.fields[::2], job.fields[1::2], strict=True))[b"farm_fence"])


@pytest.mark.slow  # test_model_of_losses.py does all this, and more
@pytest.mark.keys_without_ttl("*")
@pytest.mark.timeout(120)
def test_each_job_has_one_place_whatever_happens(redis_url: str) -> None:
    class Here(Farm):
        url = redis_url

    run_model(Here, 40)

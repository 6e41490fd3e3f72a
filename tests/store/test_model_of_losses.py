"""The model of the scripts once more, where more goes wrong: hosts that stay away, recovery in pages, leaders that were
replaced, starts that Redis forgot.
"""

from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from rq.job import Job

from farm.coordinator.placement import plan
from farm.coordinator.waiting import dealt_blind
from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.records import Lease
from farm.store import recovery
from farm.store.hosts import Registration
from farm.store.leadership import LeaderScripts, LeadershipStore, NotLeader
from farm.store.recovery import SilentHost
from tests.store.test_model import LONG, MAX_LOSSES, QUEUES, Farm, hosts
from tests.support.state_machine import run_model

KEYS, RQ_KEYS = Keys(), RqKeys()


class FarmWithLosses(Farm):
    """All that `Farm` does, and what follows."""

    jobs = Farm.jobs

    def __init__(self) -> None:
        super().__init__()
        self.leadership = LeadershipStore(self.client, KEYS, RQ_KEYS)
        self.epoch = 0
        self.counts["recovered"] = 0

    # --- hosts that are given up and do not know it

    @rule(name=hosts)
    def give_up_a_host(self, name: str) -> None:
        """It stays away; until it registers anew it can write nothing."""
        who = self.who[name]
        assume(who not in self.given_up)
        self.redis.zincrby(KEYS.hosts, -2 * LONG, name)
        assert self.wait(self.recovery.fence(self.leader, SilentHost(name, who.identity), LONG))
        assert not self.wait(self.recovery.fence(self.leader, SilentHost(name, who.identity), LONG))
        self.given_up.append(who)

    @rule(name=hosts)
    def register_again(self, name: str) -> None:
        who = self.who[name]
        if who in self.given_up:
            with pytest.raises(HostFenced):
                self.wait(self.host_store.beat(who, {"load": 0.0, "capacity": 1}, "idle", campaigns=False))
            self.register(name)
            assert self.who[name].identity != who.identity

    @rule(size=st.integers(1, 2))
    def recover_a_page(self, size: int) -> None:
        """What is left of a lost host stays its own until the next page."""
        for member in self.wait(self.recovery.lost())[:1]:
            host, _, identity = member.rpartition(":")
            lost = Registration(host, identity)
            back = [job_id for job_id in self.expected_back(lost) if job_id not in self.planted_twice]
            before = {queue: self.waiting(queue) for queue in QUEUES}
            page = self.recover_page(member, size)
            self.counts["recovered"] += page.given_back
            self.counts["failed"] += page.failed
            assert page.given_back + page.failed + page.dropped + page.quarantined + 0 <= size
            left = self.redis.llen(self.inbox(lost)) + self.redis.hlen(self.running(lost))
            assert page.left == left
            assert (member in self.wait(self.recovery.lost())) is (left > 0)
            for queue in QUEUES:
                returned = self.waiting(queue)[: len(self.waiting(queue)) - len(before[queue])]
                assert self.waiting(queue) == returned + before[queue]
                assert [job_id for job_id in back if job_id in returned] == [one for one in returned if one in back]

    def recover_page(self, member: str, size: int) -> recovery.Recovered:
        usual, recovery.PAGE_SIZE = recovery.PAGE_SIZE, size
        try:
            return self.wait(self.recovery.recover(self.leader, member, MAX_LOSSES, 0))
        finally:
            recovery.PAGE_SIZE = usual

    # --- coordinators

    @rule(name=hosts)
    def another_coordinator_takes_over(self, name: str) -> None:
        """The one before it can write nothing any more."""
        old, self.leader = self.leader, self.elect()
        before = self.places()
        with pytest.raises(NotLeader):
            self.wait(self.recovery.fence(old, SilentHost(name, self.who[name].identity), LONG))
        for member in self.wait(self.recovery.lost()):
            with pytest.raises(NotLeader):
                self.wait(self.recovery.recover(old, member, MAX_LOSSES, 0))
        survey = self.wait(self.placement.survey())
        able = [host for host in survey.hosts if host.room > 0]
        if order := plan(able, dealt_blind(survey.waiting)).order:
            with pytest.raises(NotLeader):
                self.wait(self.placement.place(old, able, order, LONG))
        assert self.places() == before

    def elect(self) -> LeaderScripts:
        self.redis.delete(KEYS.coordinator)
        standing = self.wait(self.leadership.lead("", f"token-{self.epoch}", "another", 60.0))
        late = self.wait(self.leadership.lead("", "late", "late", 60.0))
        assert (standing.leads, late.leads, late.value) == (True, False, standing.value)
        epoch = int(standing.value.partition(":")[0])
        assert epoch > self.epoch, "an epoch is never given twice"
        self.epoch = epoch
        return LeaderScripts(self.client, KEYS, standing.value)

    # --- owners

    @rule(job_id=jobs)
    def requeue(self, job_id: str) -> None:
        assume(job_id not in self.planted_twice and self.status(job_id) == "failed")
        Job.fetch(job_id, connection=self.redis).requeue()

    # --- Redis comes back without its last writes

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def redis_forgets_a_start(self, data: Any) -> None:
        """Everything is as before the start, and the job runs."""
        who, job = data.draw(st.sampled_from(self.held))
        job_id = job.job_id.decode()
        assume(who not in self.given_up and self.holds(who, job.job_id, job.token) and self.status(job_id) == "started")
        assume(job_id not in self.planted_twice | self.saved)
        self.redis.hdel(self.running(who), job_id)
        self.redis.lpush(self.inbox(who), job_id)
        self.redis.hset(RQ_KEYS.job(job_id), mapping={"status": "queued", "started_at": "", "worker_name": ""})
        self.forgotten.add(job_id)

    @rule(name=hosts)
    def take_leases_again(self, name: str) -> None:
        """Those of jobs that still wait near their host; the others are not its own any more, and it stops them."""
        who = self.who[name]
        assume(who not in self.given_up)
        for held in [one for one in self.held if one[0] == who]:
            job, job_id = held[1], held[1].job_id.decode()
            lease = Lease(job.token, job.queue, job.attempt, 0, job.on_lost, len(self.held))
            holds = self.holds(who, job.job_id, job.token)
            is_unclaimed = not self.redis.hexists(self.running(who), job_id) and self.status(job_id) == "queued"
            inbox = self.redis.lrange(self.inbox(who), 0, -1)
            expected = holds or (is_unclaimed and (job.job_id in inbox or job_id in self.waiting(self.origin(job_id))))
            for _ in range(2):
                answer = self.wait(self.host_store.retake(who, {job.job_id: lease}))
                assert answer == {job.job_id: expected}
            assert self.holds(who, job.job_id, job.token) is expected
            if not expected:
                self.held.remove(held)

    def holds(self, who: Registration, job_id: bytes, token: str) -> bool:
        lease = self.redis.hget(self.running(who), job_id)
        return lease is not None and Lease.parse(lease.decode()).token == token


def _run(url: str, examples: int, steps: int) -> None:
    class Here(FarmWithLosses):
        pass

    Here.url = url
    run_model(Here, examples, steps)


@pytest.mark.keys_without_ttl("*")
@pytest.mark.timeout(120)
def test_each_job_has_one_place_whoever_is_lost(redis_url: str) -> None:
    _run(redis_url, 15, 40)


@pytest.mark.slow
@pytest.mark.keys_without_ttl("*")
@pytest.mark.timeout(900)
def test_each_job_has_one_place_whoever_is_lost_in_many_more_orders(redis_url: str) -> None:
    _run(redis_url, 200, 60)

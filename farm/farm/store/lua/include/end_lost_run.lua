-- Needs `-- include announce`, `crashes`, `release_dependents`, `fail_job` and `follow_up` before it.
-- end_lost_run(run) → true if the job is failed now, false if the caller has to give it back. Counts the loss of the host
-- that ran a job and keeps its evidence; fails a job that must not run twice, or that lost too many hosts.
--   run   prefix (of RQ's keys), counts (prefix of the counts), dependents, events, follow_ups (keys), id, queue, host, token (see
--         fail_job), on_lost, limit (MAX_HOST_LOSSES), evidence (a line), lost_text, poisoned_text, now, now_iso
local function end_lost_run(run)
  local job = run.prefix .. ':job:' .. run.id
  local losses = count_end(job, 'farm_losses')
  add_evidence(job, run.evidence)
  local must_not_run_twice = run.on_lost == 'fail'
  if not must_not_run_twice and losses <= run.limit then
    return false
  end
  redis.pcall('HINCRBY', run.counts .. run.queue, 'failed', 1)
  if not must_not_run_twice then
    redis.pcall('HINCRBY', run.counts .. run.queue, 'poisoned', 1)
  end
  local text = must_not_run_twice and run.lost_text or run.poisoned_text
  if fail_job(run.prefix, run.id, run.queue, text, run.host, run.token, run.now, run.now_iso) > 0 then
    redis.call('ZADD', run.dependents, run.now, 'failed:' .. run.id)
  end
  note_follow_up(run.follow_ups, 'failed', run.token, run.id, math.floor(run.now))
  if not must_not_run_twice then
    announce(run.events, run.now_iso, 'job.poisoned', 'job', run.id, 'queue', run.queue, 'host', run.host, 'losses', losses)
  end
  return true
end

-- How jobs end that did not simply return: for `finish.lua`, which says what its locals mean. Needs `announce`,
-- `quarantine`, `give_back`, `crashes`, `release_dependents`, `follow_up`.
local function delete_job(job, left)
  if left == 0 then
    redis.call('DEL', job.key .. ':dependents')
  end
  redis.call('DEL', job.key, rq_prefix .. ':job::' .. job.id .. ':dependencies', rq_prefix .. ':results:' .. job.id)
  if job.group ~= '' then
    redis.call('SREM', rq_prefix .. ':group:' .. job.group, job.id)
  end
end

-- Returns how many dependents are left to release; the coordinator does that in pages.
local function release_waiting(job, outcome)
  if not any_dependents or redis.call('EXISTS', job.key .. ':dependents') == 0 then
    return 0
  end
  local left = release_dependents(rq_prefix, job.id, outcome, now_iso, 100)
  if left > 0 then
    redis.call('ZADD', KEYS[9], now, outcome .. ':' .. job.id)
  end
  return left
end

local function go_again(job)
  if job.again == 'scheduled' then
    redis.call('HSET', job.key, 'status', 'scheduled')
    redis.call('ZADD', rq_prefix .. ':scheduled:' .. job.queue, now + job.delay, job.id)
    return
  end
  redis.call('HSET', job.key, 'status', 'queued', 'enqueued_at', now_iso)
  if job.again == 'front' then
    redis.call('LPUSH', rq_prefix .. ':queue:' .. job.queue, job.id)
  else
    redis.call('RPUSH', rq_prefix .. ':queue:' .. job.queue, job.id)
  end
end

local function failed(job, status)
  local ttl = job.ttl
  unsuccessful = unsuccessful + 1
  count(job.queue, status)
  local left = status == 'failed' and release_waiting(job, 'failed') or 0
  if job.result_type == -1 then
    return status -- the user's exception handlers see to what becomes of it
  end
  if ttl == 0 then
    delete_job(job, left)
    return status
  end
  write_result(job, job.result_type == 0 and 2 or job.result_type, ttl)
  register(':failed:', job, ttl)
  expire_job(job, ttl, left)
  return status
end

local function retried(job)
  unsuccessful = unsuccessful + 1
  if job.result_type == 4 then
    write_result(job, '4', job.ttl)
  end
  go_again(job)
  return 'again'
end

local function crashed(job)
  count(job.queue, 'crashed')
  local crashes = count_end(job.key, 'farm_crashes')
  add_evidence(job.key, job.evidence)
  if string.match(job.lease, '|([^|]*)|[^|]*$') == 'fail' then
    redis.call('HSET', job.key, 'status', 'failed', 'farm_ended', 1, 'ended_at', now_iso)
    return failed(job, 'failed')
  end
  if crashes < tonumber(ARGV[8]) then
    local outcome, why = give_back(rq_prefix, job.id)
    if outcome == 'unreadable' then
      error(why, 0)
    end
    return 'recovered'
  end
  redis.call('HSET', job.key, 'status', 'failed', 'farm_ended', 1, 'ended_at', now_iso)
  failed(job, 'failed')
  count(job.queue, 'poisoned')
  announce(KEYS[8], now_iso, 'job.poisoned', 'job', job.id, 'queue', job.queue, 'host', host, 'crashes', crashes,
    'reason', job.summary)
  return 'poisoned'
end

local waiting = { queued = true, scheduled = true, deferred = true, rate_limited = true, ready_to_enqueue = true }

-- Whether its owner enqueued the job anew while it ran. The status alone does not tell: `save` on the owner's older copy of
-- the job writes that it is queued, too, but not new times.
local function is_accepted_anew(job)
  if not waiting[job.status] or job.accepted == '' then
    return false
  end
  local times = redis.call('HMGET', job.key, 'created_at', 'enqueued_at')
  return (times[1] or '') .. (times[2] or '') ~= job.accepted
end

-- That run is still to come: of this one only the result is kept, the record belongs to the next.
local function superseded(job)
  if job.kind == 'finished' or job.again == '' then
    count(job.queue, job.kind)
  end
  if job.kind == 'crashed' then
    return 'recovered'
  end
  if job.result_type ~= 0 and job.ttl ~= 0 then
    write_result(job, job.result_type, job.ttl)
  end
  return job.again == '' and job.kind or 'again'
end

-- Ended without its process, for good: what is called of it is written down with its outcome.
local followed = { failed = 'failed', poisoned = 'failed', stopped = 'stopped' }

local function follow_up(job, answer)
  if followed[answer] then
    note_follow_up(KEYS[12], followed[answer], job.token, job.id, now)
  end
end

local function leave_rate_limit(job)
  if redis.call('HGET', job.key, 'status') ~= 'queued' then
    local base = rq_prefix .. ':rl:' .. job.rate_limit_key
    redis.call('ZREM', base .. ':allowed', job.id)
    promote_rate_limited(rq_prefix, job.rate_limit_key, tonumber(redis.call('HGET', base, 'concurrency')) or 0, now, now_iso)
  end
end

-- What a server says when it can write nothing at all: such a batch is sent again later.
local unavailable = { 'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'LOADING' }

local function unreadable(job, text)
  for _, word in ipairs(unavailable) do
    if string.find(text, word, 1, true) then
      error(text)
    end
  end
  quarantine({ KEYS[10], KEYS[11], KEYS[8] }, job.id, 'its outcome could not be recorded: ' .. text, now, now_iso)
  return 'unreadable'
end

-- An outcome of a run that this host does not hold, or not any more.
local function refuse(job)
  local origin = redis.pcall('HGET', job.key, 'origin')
  if type(origin) == 'string' then
    count(origin, 'refused')
  end
  announce(KEYS[8], now_iso, 'write.refused', 'host', host, 'job', job.id)
  return 'refused'
end

-- Enqueues failed and stopped jobs anew, at the ends of their queues.
--
-- KEYS   1 set of RQ's queues
--        and, by name, the jobs' hashes, queues, failed registries and rate limits
-- ARGV   1 RQ's prefix  2 queue whose failed registry named the ids, '' if nobody did  3 1: only those that failed, not
--        those that were stopped  4… ids, 100 at most
-- RETURN for each id its outcome and a detail, flat: {'requeued', queue}, {'gone', ''}, {'not failed', its status} or
--        {'unreadable', why}
--
-- GUARANTEE  A job leaves the registry in the step in which it is back in its queue, so it is requeued once, however many
--            ask. What is not failed is left alone. Crashes and lost hosts are forgotten; the retries that are left stay.
--            An id whose record is gone leaves the registry that named it.
-- include clock
-- include release_dependents
-- include forget_crashes
local prefix = ARGV[1]
local now, now_iso = read_clock()

local function is_limited(job)
  local fields = redis.call('HMGET', job, 'rate_limit_key', 'rate_limit_concurrency')
  return fields[1] and fields[1] ~= '' and (tonumber(fields[2] or '') or 0) > 0
end

local function enqueue(job, id, queue)
  local pushed = redis.pcall('RPUSH', prefix .. ':queue:' .. queue, id)
  if type(pushed) == 'table' then
    if not string.find(pushed.err, 'WRONGTYPE', 1, true) then error(pushed.err) end
    return false
  end
  redis.call('HSET', job, 'status', 'queued', 'enqueued_at', now_iso)
  redis.pcall('SADD', KEYS[1], prefix .. ':queue:' .. queue)
  return true
end

-- The time to live of its failure is not that of a job that waits.
local function lives_on(job, id)
  local ttl = read_ttl(redis.call('HGET', job, 'ttl'), 0)
  for _, key in ipairs({ job, job .. ':dependents', prefix .. ':job::' .. id .. ':dependencies' }) do
    if ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
  end
end

local function requeue(id)
  local job = prefix .. ':job:' .. id
  local fields = redis.pcall('HMGET', job, 'status', 'origin')
  if fields.err then return 'unreadable', 'the key of the job is not a hash' end
  local status, queue = fields[1], fields[2]
  if not status and redis.call('EXISTS', job) == 0 then
    if ARGV[2] ~= '' then redis.pcall('ZREM', prefix .. ':failed:' .. ARGV[2], id) end
    return 'gone', ''
  end
  if status ~= 'failed' and (status ~= 'stopped' or ARGV[3] == '1') then
    return 'not failed', status or 'no status'
  end
  if not queue or queue == '' then return 'unreadable', 'the record names no queue (origin)' end
  if redis.call('HEXISTS', job, 'data') == 0 then return 'unreadable', 'the record lacks what is to run (data)' end
  if is_limited(job) then
    redis.call('HSET', job, 'ended_at', '')
    redis.call('HDEL', job, 'enqueue_at_front')
    enqueue_waiting(prefix, id, queue, now, now_iso)
  elseif not enqueue(job, id, queue) then
    return 'unreadable', 'the key of queue ' .. queue .. ' is not a list'
  end
  redis.call('HSET', job, 'started_at', '', 'ended_at', '', 'worker_name', '')
  redis.call('HDEL', job, 'exc_info')
  forget_crashes(job)
  lives_on(job, id)
  redis.pcall('ZREM', prefix .. ':failed:' .. queue, id)
  return 'requeued', queue
end

local answers = {}
for i = 4, #ARGV do
  answers[#answers + 1], answers[#answers + 2] = requeue(ARGV[i])
end
return answers

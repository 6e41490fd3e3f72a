-- Needs `-- include release_dependents` before it.
-- fail_job(prefix, id, queue, text, worker, token, seconds, now_iso): the terminal failure of a job that nobody runs, with
-- RQ's bookkeeping: status, registry, result, times to live, rate limit, dependents that allow failure. The caller has
-- checked the job's status and has taken it from where it was.
--   text      RQ's `exc_string`: base64 of the compressed reason
--   worker, token   of the run that was lost; '' for a job that never ran
-- Returns how many dependents are left for another page (see release_dependents).
local DEFAULT_FAILURE_TTL = 31536000

local function fail_job(prefix, id, queue, text, worker, token, seconds, now_iso)
  local job = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', job, 'failure_ttl', 'rate_limit_key', 'rate_limit_concurrency')
  local ttl = read_ttl(fields[1], DEFAULT_FAILURE_TTL)
  redis.call('HSET', job, 'status', 'failed', 'ended_at', now_iso, 'farm_ended', 1)
  local result = prefix .. ':results:' .. id
  redis.pcall('XADD', result, 'MAXLEN', '~', 10, '*', 'type', '2', 'worker_name', worker, 'exc_string', text,
    'execution_id', token)
  redis.pcall('ZADD', prefix .. ':failed:' .. queue, ttl < 0 and '+inf' or math.floor(seconds) + ttl, id)
  local left = release_dependents(prefix, id, 'failed', now_iso, 100)
  local keys = { job, result, prefix .. ':job::' .. id .. ':dependencies' }
  -- What is left to release must not expire before it was: `release_page` sees to its end.
  if left == 0 then keys[#keys + 1] = job .. ':dependents' else redis.call('PERSIST', job .. ':dependents') end
  for _, key in ipairs(keys) do
    if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
  end
  local concurrency = tonumber(fields[3] or '')
  if fields[2] and fields[2] ~= '' and concurrency then
    redis.call('ZREM', prefix .. ':rl:' .. fields[2] .. ':allowed', id)
    promote_rate_limited(prefix, fields[2], concurrency, seconds, now_iso)
  end
  return left
end

-- Writes or renews RQ's execution records of jobs that run on, so that RQ's tools see them as started.
--
-- KEYS   1 identities  2 running  3 RQ worker executions
--        and, by name, the jobs' hashes and execution records
-- ARGV   1 host  2 identity  3 seconds until a record expires  4 now, ISO 8601  5 RQ's prefix  6… id, token
-- RETURN number of records written, -1 if the lease is gone
--
-- GUARANTEE  Only for leases that this host holds, and never for a job that was deleted: nothing is recreated. A key of
--            the wrong type is passed over: what is only shown must not hold up a beat.
local host, identity, ttl, rq_prefix = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return -1
end
local time = redis.call('TIME')
local now = tonumber(time[1])
local written = 0
for i = 6, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local lease = redis.call('HGET', KEYS[2], id)
  local key = rq_prefix .. ':job:' .. id
  if lease and string.match(lease, '^[^|]*') == token and redis.call('EXISTS', key) == 1 then
    local queue, since = string.match(lease, '^[^|]*|(.*)|[^|]*|([^|]*)|[^|]*|[^|]*$')
    local name = id .. ':' .. token
    local execution = rq_prefix .. ':execution:' .. name
    redis.pcall('HSET', execution, 'id', token, 'job_id', id, 'created_at', since, 'last_heartbeat', now, 'worker_name', host)
    redis.call('EXPIRE', execution, ttl)
    redis.pcall('ZADD', rq_prefix .. ':executions:' .. id, now + ttl + 60, token)
    redis.call('EXPIRE', rq_prefix .. ':executions:' .. id, ttl + 60)
    redis.pcall('ZADD', rq_prefix .. ':wip:' .. queue, now + ttl, name)
    redis.pcall('SADD', KEYS[3], name)
    redis.pcall('HSET', key, 'last_heartbeat', ARGV[4])
    written = written + 1
  end
end
if written > 0 then
  redis.call('EXPIRE', KEYS[3], ttl + 60)
end
return written

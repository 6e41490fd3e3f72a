-- Takes leases again on jobs that a host runs and Redis does not know of: it came back without their start.
--
-- KEYS   1 identities  2 inbox  3 running
--        and, by name, the jobs' hashes and queues
-- ARGV   1 host  2 identity  3 now, ISO 8601  4 RQ's prefix  5… id, lease, …: at most 100
-- RETURN {'fenced'} or {'ok', answer per job}: 1 the host holds the lease, 0 the job is not its own
--
-- GUARANTEE  A lease is taken only on a job that waits, in the inbox of this host or near the head of its queue, and in
--            the step in which it is removed from there. One that was placed elsewhere, or is not waiting, stays as it is.
local host, identity, rq_prefix = ARGV[1], ARGV[2], ARGV[4]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end

local NEAR = 1000

local function is_removed(id, origin)
  if redis.pcall('LREM', KEYS[2], 1, id) == 1 then
    return true
  end
  local queue = rq_prefix .. ':queue:' .. origin
  local place = redis.pcall('LPOS', queue, id, 'MAXLEN', NEAR)
  return type(place) == 'number' and redis.call('LREM', queue, 1, id) == 1
end

local function is_held(id, lease)
  local current = redis.call('HGET', KEYS[3], id)
  if current then
    return string.match(current, '^[^|]*') == string.match(lease, '^[^|]*')
  end
  local key = rq_prefix .. ':job:' .. id
  local fields = redis.pcall('HMGET', key, 'status', 'origin')
  if fields.err or fields[1] ~= 'queued' or not fields[2] or not is_removed(id, fields[2]) then
    return false
  end
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[3], 'last_heartbeat', ARGV[3], 'worker_name', host)
  redis.call('PERSIST', key)
  redis.call('HSET', KEYS[3], id, lease)
  return true
end

local answers = {}
for i = 5, #ARGV, 2 do
  answers[#answers + 1] = is_held(ARGV[i], ARGV[i + 1]) and 1 or 0
end
return { 'ok', unpack(answers) }

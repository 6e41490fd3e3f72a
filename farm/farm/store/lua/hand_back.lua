-- Gives jobs that a host has not begun, or gives up at its stop, back to the heads of their queues.
--
-- KEYS   1 identities  2 inbox  3 running  4 coordinator's bell  5 RQ worker executions
--        6 quarantine  7 quarantine reasons  8 events
--        and, by name, the jobs' hashes, queues and execution records
-- ARGV   1 host  2 identity  3 how many inbox ids at most  4 now, ISO 8601  5 RQ's prefix  6 prefix of the counts
--        7 what to count, '' for nothing; `drained`: the leases' jobs had begun, and ended as the host stops
--        8 event `job.drained` from this hand-back of one job on  9… id, token, in the order of starting
-- RETURN {'fenced'} or {'ok', given back, left in the inbox}
--
-- GUARANTEE  The order stays: leases first, then the inbox, as they were dealt. No attempt is counted. A lease that this
--            host no longer holds is left alone, so the call can be repeated. A drained job's field `farm_drains` counts
--            how often it was handed back like this.
-- include announce
-- include quarantine
-- include give_back
-- include end_own_lease
local host, identity, rq_prefix = ARGV[1], ARGV[2], ARGV[5]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end
local now = redis.call('TIME')[1]
local given = 0

-- The id was taken from where it was: from here on nothing may raise but a server that can write nothing.
local function back(id, expected)
  local outcome, detail = give_back(rq_prefix, id, expected)
  if outcome == 'queued' then
    given = given + 1
    if ARGV[7] ~= '' then
      redis.pcall('HINCRBY', ARGV[6] .. detail, ARGV[7], 1)
    end
  elseif outcome == 'unreadable' then
    quarantine({ KEYS[6], KEYS[7], KEYS[8] }, id, detail, now, ARGV[4])
  end
  return outcome == 'queued'
end

-- A job that again and again outlives the patience of hosts that stop: somebody should know.
local function drained(id, queue)
  local times = redis.pcall('HINCRBY', rq_prefix .. ':job:' .. id, 'farm_drains', 1)
  if type(times) ~= 'number' then -- no number was in it
    times = 1
    redis.pcall('HSET', rq_prefix .. ':job:' .. id, 'farm_drains', times)
  end
  if times >= tonumber(ARGV[8]) then
    announce(KEYS[8], ARGV[4], 'job.drained', 'job', id, 'queue', queue, 'host', host, 'times', times)
  end
end

for _ = 1, tonumber(ARGV[3]) do
  local id = redis.call('RPOP', KEYS[2])
  if not id then
    break
  end
  back(id, 'queued')
end
for i = #ARGV - 1, 9, -2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local queue = end_own_lease(rq_prefix, KEYS[3], KEYS[5], id, token)
  if queue then
    if back(id, 'started') and ARGV[7] == 'drained' then
      drained(id, queue)
    end
  end
end
if given > 0 then
  redis.pcall('LPUSH', KEYS[4], '1')
  redis.pcall('LTRIM', KEYS[4], 0, 0)
end
return { 'ok', given, redis.call('LLEN', KEYS[2]) }

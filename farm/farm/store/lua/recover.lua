-- Gives back one page of what a lost host held.
--
-- KEYS   1 coordinator  2 lost  3 inbox  4 running  5 receipts  6 quarantine  7 quarantine reasons  8 events
--        9 dependents  10 follow-ups
--        and, by name, the jobs' hashes, queues, registries, results and execution records, and the queues' counts
-- ARGV   1 own value  2 member of lost  3 host  4 RQ's prefix  5 prefix of the counts  6 MAX_HOST_LOSSES
--        7 how many at most  8 recovered so far  9 text for a poisoned job  10 text for one that must not run twice
--        11… id, text in place of the ninth, …
-- RETURN nil to a caller that does not lead, else {jobs left, given back, failed, dropped, quarantined}
--
-- GUARANTEE  Order stays: the inbox goes back tail first, then the leases, latest first, each to the head of its queue.
--            A job is in its queue, failed or in quarantine in the same step in which it leaves the host. A running job
--            is given back MAX_HOST_LOSSES times at most; each loss leaves its evidence on the job. What was canceled
--            or deleted meanwhile is dropped and counted. A call for an identity that is not lost writes nothing.
-- include leads
-- include clock
-- include announce
-- include quarantine
-- include give_back
-- include crashes
-- include release_dependents
-- include fail_job
-- include follow_up
-- include end_lost_run
if not redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return { 0, 0, 0, 0, 0 }
end
local host, rq_prefix, limit = ARGV[3], ARGV[4], tonumber(ARGV[7])
local now, now_iso = read_clock()
local given, failed, dropped, quarantined = 0, 0, 0, 0
local silent = tonumber(redis.pcall('HGET', KEYS[5], 'silent') or nil)
local poisoned_texts = {}
for i = 11, #ARGV, 2 do
  poisoned_texts[ARGV[i]] = ARGV[i + 1]
end

local function count(queue, what)
  redis.pcall('HINCRBY', ARGV[5] .. queue, what, 1)
end

local function back(id, expected, queue)
  local outcome, detail = give_back(rq_prefix, id, expected)
  if outcome == 'queued' then
    given = given + 1
    count(detail, 'recovered')
  elseif outcome == 'dropped' then
    dropped = dropped + 1
    queue = queue or redis.call('HGET', rq_prefix .. ':job:' .. id, 'origin')
    if queue then
      count(queue, 'dropped')
    end
  else
    quarantined = quarantined + 1
    quarantine({ KEYS[6], KEYS[7], KEYS[8] }, id, detail, now, now_iso)
  end
end

local function end_lease(id, lease)
  local job = rq_prefix .. ':job:' .. id
  redis.pcall('ZREM', rq_prefix .. ':wip:' .. lease.queue, id .. ':' .. lease.token)
  redis.pcall('ZREM', rq_prefix .. ':executions:' .. id, lease.token)
  redis.call('DEL', rq_prefix .. ':execution:' .. id .. ':' .. lease.token)
  local fields = redis.pcall('HMGET', job, 'status', 'worker_name')
  if fields[1] ~= 'started' then
    return back(id, nil, lease.queue)
  end
  if fields[2] and fields[2] ~= '' and fields[2] ~= host then
    -- Enqueued anew while it ran here, and started elsewhere: that host answers for it.
    dropped = dropped + 1
    return count(lease.queue, 'dropped')
  end
  local evidence = { at = now_iso, host = host, reason = 'host_lost', attempt = lease.attempt, silent = silent }
  if end_lost_run({ prefix = rq_prefix, counts = ARGV[5], dependents = KEYS[9], events = KEYS[8], follow_ups = KEYS[10], id = id,
    queue = lease.queue, host = host, token = lease.token, on_lost = lease.on_lost, limit = tonumber(ARGV[6]),
    evidence = cjson.encode(evidence), lost_text = ARGV[10], poisoned_text = poisoned_texts[id] or ARGV[9], now = now,
    now_iso = now_iso }) then
    failed = failed + 1
  else
    back(id, nil, lease.queue)
  end
end

local function read_leases()
  local entries, leases = redis.call('HGETALL', KEYS[4]), {}
  for i = 1, #entries, 2 do
    local token, queue, attempt, _, on_lost, sequence =
      string.match(entries[i + 1], '^([^|]*)|(.*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
    leases[#leases + 1] = { id = entries[i], token = token, queue = queue, on_lost = on_lost, attempt = tonumber(attempt),
      sequence = tonumber(sequence or '') or 0 }
  end
  table.sort(leases, function(one, other)
    if one.sequence ~= other.sequence then
      return one.sequence > other.sequence
    end
    return one.id > other.id
  end)
  return leases
end

local seen = 0
while seen < limit do
  local id = redis.call('RPOP', KEYS[3])
  if not id then
    break
  end
  seen = seen + 1
  back(id, 'queued')
end
local left = redis.call('LLEN', KEYS[3])
if seen < limit then
  local leases = read_leases()
  for i = 1, math.min(#leases, limit - seen) do
    local lease = leases[i]
    redis.call('HDEL', KEYS[4], lease.id)
    if lease.token then
      end_lease(lease.id, lease)
    else
      back(lease.id) -- an unreadable lease says nothing of the job, whose own record does
    end
  end
end
left = left + redis.call('HLEN', KEYS[4])

if left == 0 then
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
  redis.call('ZREM', KEYS[2], ARGV[2])
  if given + failed + tonumber(ARGV[8]) > 0 then
    announce(KEYS[8], now_iso, 'jobs.recovered', 'host', host, 'jobs', given + failed + tonumber(ARGV[8]))
  end
end
return { left, given, failed, dropped, quarantined }

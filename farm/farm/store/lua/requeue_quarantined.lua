-- Lets jobs out of quarantine whose records can be read by now: back to the heads of their queues.
--
-- KEYS   1 quarantine  2 quarantine reasons  3 identities  4 lost
--        and, by name, the jobs' hashes and queues, RQ's records of running jobs, the hosts' inboxes and leases
-- ARGV   1 RQ's prefix  2 what the keys of hosts begin with  3… ids, 100 at most, in the order in which they are to run
-- RETURN for each id its outcome and a detail, flat: {'absent', ''}, {'requeued', queue}, {'released', why it needed no
--        queue} or {'unreadable', why}
--
-- GUARANTEE  An id leaves the quarantine in the step in which it is back in its queue. One that cannot be read stays, with
--            the reason that holds now. A job that runs, ended or waits already is only let out.
-- include give_back
-- include whereabouts
-- include read_quarantined
local ask = whereabouts(ARGV[1], ARGV[2], KEYS[3], KEYS[4], tonumber(redis.call('TIME')[1]))

local function let_out(id)
  redis.call('ZREM', KEYS[1], id)
  redis.pcall('HDEL', KEYS[2], id)
end

local function requeue(id)
  if not redis.call('ZSCORE', KEYS[1], id) then return 'absent', '' end
  local kind, detail = read_quarantined(ARGV[1], ask, id)
  if kind == 'waiting' then
    local outcome, why = give_back(ARGV[1], id, nil)
    if outcome ~= 'queued' then kind, detail = 'unreadable', why end
  end
  if kind == 'unreadable' then
    redis.pcall('HSET', KEYS[2], id, detail)
    return kind, detail
  end
  let_out(id)
  if kind == 'waiting' then return 'requeued', detail end
  return 'released', kind == 'gone' and 'its record is gone' or detail
end

local answers = {}
for i = #ARGV, 3, -1 do
  answers[2 * (i - 3) + 1], answers[2 * (i - 3) + 2] = requeue(ARGV[i])
end
return answers

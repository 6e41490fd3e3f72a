-- Drops jobs that are in quarantine, for good.
--
-- KEYS   1 quarantine  2 quarantine reasons  3 identities  4 lost
--        and, by name, the jobs' hashes and queues, RQ's records of running jobs, the hosts' inboxes and leases
-- ARGV   1 RQ's prefix  2 what the keys of hosts begin with  3… ids, 100 at most
-- RETURN for each id its outcome and a detail, flat: {'absent', ''}, {'dropped', ''}, {'dropped', what was left} or
--        {'released', why the job was kept}
--
-- GUARANTEE  The id and its reason go first, then the job's hash. A job that has gone another way (it runs, it ended, it
--            waits in its queue) is only let out of the quarantine. A key of the job that is no hash is left as it is.
-- include whereabouts
-- include read_quarantined
local ask = whereabouts(ARGV[1], ARGV[2], KEYS[3], KEYS[4], tonumber(redis.call('TIME')[1]))

local function drop(id)
  if not redis.call('ZSCORE', KEYS[1], id) then return 'absent', '' end
  local kind, detail = read_quarantined(ARGV[1], ask, id)
  redis.call('ZREM', KEYS[1], id)
  redis.pcall('HDEL', KEYS[2], id)
  if kind == 'elsewhere' then return 'released', detail end
  local job = ARGV[1] .. ':job:' .. id
  local found = redis.call('TYPE', job).ok
  if found ~= 'hash' and found ~= 'none' then
    return 'dropped', 'its key is a ' .. found .. ', no job, and was left'
  end
  redis.call('DEL', job)
  return 'dropped', ''
end

local answers = {}
for i = 3, #ARGV do
  answers[#answers + 1], answers[#answers + 2] = drop(ARGV[i])
end
return answers

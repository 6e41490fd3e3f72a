-- Starts jobs: from the host's inbox to its running leases, with RQ's start fields written. For a host whose queues no other
-- host serves, it goes on with the heads of these.
--
-- KEYS   1 identities  2 inbox  3 running  4 receipts  5 rq:suspended  6 quarantine  7 quarantine reasons  8 events
--        9 sole  10 host hash  11 coordinator's bell; then 3 for each queue of the host: its list, deferral, deferred index; and, by name, the
--        hashes of the jobs popped inside
-- ARGV   1 host  2 identity  3 batch, 24 hex digits: 8 more make each job's token  4 how many at most
--        5 bytes of payload after which the batch ends  6 RQ's prefix  7 prefix of the counts
--        8 number of queues, 0 to take from none; 9 ON_LOST of this host  10… queue, its ON_LOST, …
-- RETURN {'fenced'} or {'ok', jobs left in the inbox, 1 if more may be taken from the queues, dropped, jobs…}, a job being
--        {id, lease, timeout, what its description calls, 'callbacks' if it has any, its hash in MessagePack, with the
--        fence token of this start, 'large' if its payload is left out there: its process reads it by itself}
--
-- GUARANTEE  A job starts only from status `queued` or `created`, with a payload, and only under a current lease. Ids
--            that were canceled, deleted or started elsewhere are dropped and counted; unreadable ones go to quarantine. The same
--            batch sent again returns the same jobs and starts no others. A job's fence token grows with each of its
--            starts. Crashes and losses of a job that has ended since, and was enqueued anew, don't count. From queues it
--            takes only for the identity that is sole, while that is available, after all that was placed before, in
--            the order of each queue and of the host's list, and no more than the host's published capacity. What only some
--            hosts may have it leaves to the coordinator, and rings.
-- include quarantine
-- include forget_crashes
-- include clock
-- include keep_receipt
-- include ring
local host, identity, batch = ARGV[1], ARGV[2], ARGV[3]
local rq_prefix, counts_prefix, on_lost_from = ARGV[6], ARGV[7], 9
local queues = tonumber(ARGV[8])
local places = { KEYS[6], KEYS[7], KEYS[8] }
-- include start_jobs
-- include take_waiting
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end
local ids = ids_of(redis.call('HGET', KEYS[4], 'start'))
if ids then
  return { 'ok', redis.call('LLEN', KEYS[2]), math.min(1, queues), 0, unpack(repeated(KEYS[3], ids)) }
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 'ok', redis.call('LLEN', KEYS[2]), 0, 0 }
end

local limit, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])

local function start_placed()
  local waiting, taken = redis.call('LRANGE', KEYS[2], '0', limit - 1), 0
  for _, id in ipairs(waiting) do
    if started_bytes >= bytes then
      break
    end
    begin(id)
    taken = taken + 1
  end
  if taken > 0 then
    redis.call('LPOP', KEYS[2], taken)
  end
  return taken
end

local function start_waiting(most)
  local taken = 0
  for i = 1, queues do
    local key = 9 + 3 * i
    local waiting = redis.pcall('LLEN', KEYS[key])
    if type(waiting) == 'number' and waiting > 0 then
      local got = 0
      if most > taken then
        got = take_from(KEYS[key], KEYS[key + 1], KEYS[key + 2], math.min(most - taken, waiting), bytes)
        taken = taken + got
      end
      if got < waiting then
        if was_left then
          ring(KEYS[11])
        end
        return 1
      end
    end
  end
  return 0
end

local placed = start_placed()
local left, is_any_left = redis.call('LLEN', KEYS[2]), 0
if queues > 0 and left == 0 and redis.pcall('HGET', KEYS[9], host) == identity then
  is_any_left = start_waiting(math.min(limit - placed, room_of(KEYS[10], KEYS[3]) - #started_jobs))
end
keep_started(KEYS[3], KEYS[4], 'start')
return { 'ok', left, is_any_left, dropped, unpack(started_jobs) }

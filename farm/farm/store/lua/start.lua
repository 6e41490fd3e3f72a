-- Starts jobs: from the host's inbox to its running leases, with RQ's start fields written.
--
-- KEYS   1 identities  2 inbox  3 running  4 receipts  5 rq:suspended  6 quarantine  7 quarantine reasons  8 events
--        and, by name, the hashes of the jobs popped inside
-- ARGV   1 host  2 identity  3 batch, 24 hex digits: 8 more make each job's token  4 how many at most
--        5 bytes of payload after which the batch ends  6 RQ's prefix  7 prefix of the counts
--        8 ON_LOST of this host  9… queue, its ON_LOST, …
-- RETURN {'fenced'} or {'ok', jobs left in the inbox, dropped, jobs…}, a job being {id, lease, timeout, what its
--        description calls, 'callbacks' if it has any, its hash in MessagePack, with the fence token of this start,
--        'large' if its payload is left out there: its process reads it by itself}
--
-- GUARANTEE  A job starts only from status `queued` or `created`, with a payload, and only under a current lease. Ids
--            that were canceled, deleted or started elsewhere are dropped and counted; unreadable ones go to quarantine. The same
--            batch sent again returns the same jobs and starts no others. A job's fence token grows with each of its
--            starts. Crashes and losses of a job that has ended since, and was enqueued anew, don't count.
-- include quarantine
-- include forget_crashes
-- include clock
-- include keep_receipt
local host, identity, batch = ARGV[1], ARGV[2], ARGV[3]
local rq_prefix, counts_prefix, on_lost_from = ARGV[6], ARGV[7], 8
local places = { KEYS[6], KEYS[7], KEYS[8] }
-- include start_jobs
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end
local ids = ids_of(redis.call('HGET', KEYS[4], 'start'))
if ids then
  return { 'ok', redis.call('LLEN', KEYS[2]), 0, unpack(repeated(KEYS[3], ids)) }
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 'ok', redis.call('LLEN', KEYS[2]), 0 }
end

local waiting, taken = redis.call('LRANGE', KEYS[2], '0', tonumber(ARGV[4]) - 1), 0
for _, id in ipairs(waiting) do
  if started_bytes >= tonumber(ARGV[5]) then
    break
  end
  begin(id)
  taken = taken + 1
end
keep_started(KEYS[3], KEYS[4], 'start')
if taken > 0 then
  redis.call('LPOP', KEYS[2], taken)
end
return { 'ok', redis.call('LLEN', KEYS[2]), dropped, unpack(started_jobs) }

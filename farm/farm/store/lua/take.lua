-- Takes and starts jobs for a host that they were reserved for: from the heads of its queues to its running leases.
--
-- KEYS   1 identities  2 inbox  3 running  4 receipts  5 rq:suspended  6 quarantine  7 quarantine reasons  8 events
--        9 reserved  10 host hash  11 coordinator's bell; then 3 for each queue of the host: its list, deferral, deferred
--        index; and, by name, the hashes of the jobs taken inside
-- ARGV   1 host  2 identity  3 batch, 24 hex digits, greater than those of the requests before it: 8 more make each job's
--        token  4 how many jobs the host may then hold; 0 takes nothing, and never will under this name
--        5 which of the host's requests for jobs this is  6 RQ's prefix  7 prefix of the counts  8 number of queues, n
--        9… their names, in the host's own order; then ON_LOST of this host; then queue, its ON_LOST, …
-- RETURN {'fenced'} or {'ok', taken, 1 if jobs were left, dropped, jobs…}, the jobs as from `start.lua`
--
-- GUARANTEE  As `place` and `start` in one: an id moves in one step and in the queue's order, after all that was placed
--            before; a host never holds more than its published capacity; nothing moves while RQ is suspended or the
--            host is not available. A host takes only from queues that are reserved for its current identity, and from
--            none while a queue before it has jobs. The same batch of the same request sent again returns the same jobs
--            and takes no others; one that is run after a later one takes nothing. Rings the coordinator when jobs
--            are left behind, or one more could not begin.
-- include quarantine
-- include forget_crashes
-- include clock
-- include ring
-- include keep_receipt
local host, identity, batch = ARGV[1], ARGV[2], ARGV[3]
local rq_prefix, counts_prefix, queues = ARGV[6], ARGV[7], tonumber(ARGV[8])
local on_lost_from = 9 + queues
local places = { KEYS[6], KEYS[7], KEYS[8] }
-- include start_jobs
-- include take_waiting
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end
local name = 'take' .. ARGV[5]
local receipt = redis.call('HGET', KEYS[4], name)
local ids = ids_of(receipt)
if ids then
  return { 'ok', #ids, 1, 0, unpack(repeated(KEYS[3], ids)) }
end
if receipt and string.sub(receipt, 1, 24) > batch then
  return { 'ok', 0, 0, 0 }
end
if ARGV[4] == '0' then
  keep_ids(KEYS[4], name)
  return { 'ok', 0, 0, 0 }
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 'ok', 0, 0, 0 }
end

local room, taken, is_any_left = 0, 0, false
if redis.call('LLEN', KEYS[2]) == 0 then -- what was placed before comes first
  room = math.min(room_of(KEYS[10], KEYS[3]), tonumber(ARGV[4]) - redis.call('HLEN', KEYS[3]))
end
for i = 0, queues - 1 do
  local queue = 12 + 3 * i
  local waiting = redis.pcall('LLEN', KEYS[queue])
  if type(waiting) == 'number' and waiting > 0 then
    local got = 0
    if room > taken and redis.pcall('HGET', KEYS[9], ARGV[9 + i]) == host .. '|' .. identity then
      got = take_from(KEYS[queue], KEYS[queue + 1], KEYS[queue + 2], math.min(room - taken, waiting), math.huge)
      taken = taken + got
    end
    if got < waiting then
      is_any_left = true
      break
    end
  end
end
keep_started(KEYS[3], KEYS[4], name)
if is_any_left or (taken > 0 and taken >= room) then
  ring(KEYS[11])
end
return { 'ok', taken, is_any_left and 1 or 0, dropped, unpack(started_jobs) }

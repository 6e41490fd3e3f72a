-- Says which jobs fit nowhere now, and why: for those who ask, and for the limit of deferrals.
--
-- KEYS   1 coordinator  2 aside  3 events, then 2 for each queue that is told of: deferred index, counts
-- ARGV   1 own value  2 TTL in seconds  3 number of queues in the record, then queue, its groups, …; then what is news:
--        number of events, then for each event, queue, needs, reason, count, seconds; then for each queue that is told of
--        how many ids come into its index, id, since, …, how many leave it, id, …
-- RETURN nil to a caller that does not lead, else 1
--
-- GUARANTEE  No job moves. The record is that of the present leader, and ends soon after it. An id that is in the index
--            keeps its `since`.
-- include leads
-- include clock
-- include announce
local _, now_iso = read_clock()
local position = 3
local function next_argument()
  position = position + 1
  return ARGV[position]
end

redis.call('DEL', KEYS[2])
for _ = 1, tonumber(ARGV[3]) do
  local queue = next_argument()
  redis.call('HSET', KEYS[2], queue, next_argument())
end
redis.call('EXPIRE', KEYS[2], ARGV[2])

for _ = 1, tonumber(next_argument()) do
  local event, queue, needs, reason, count, seconds = next_argument(), next_argument(), next_argument(), next_argument(),
    next_argument(), next_argument()
  announce(KEYS[3], now_iso, event, 'queue', queue, 'needs', needs, 'reason', reason, 'count', count, 'seconds', seconds)
end

for i = 4, #KEYS, 2 do
  local added = 0
  for _ = 1, tonumber(next_argument()) do
    local id, since = next_argument(), next_argument()
    local answer = redis.pcall('ZADD', KEYS[i], 'NX', since, id)
    added = added + (type(answer) == 'number' and answer or 0)
  end
  for _ = 1, tonumber(next_argument()) do
    redis.pcall('ZREM', KEYS[i], next_argument())
  end
  if added > 0 then
    redis.pcall('HINCRBY', KEYS[i + 1], 'deferred', added)
  end
end
return 1

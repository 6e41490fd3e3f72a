-- Marks a queue as deferred, or keeps the mark true, and adds one page of its waiting ids to the index.
--
-- KEYS   1 coordinator  2 queue  3 deferral  4 deferred index  5 counts  6 events
--        and, by name, the hashes of the jobs newly added
-- ARGV   1 own value  2 queue's name  3 reason  4 hosts, as host=load with commas between  5 RQ's prefix
--        6 rank of the page's first id  7 page size  8 how many ids the index holds at most
-- RETURN nil to a caller that does not lead, else {queue's length, ids in the index, ids added, 1 if it begins with this}
--
-- GUARANTEE  No job moves. An empty queue is not marked. `since` of the queue is set once, at the beginning; an id's since
--            is the later one of that and its `enqueued_at`, and stays. One event at the beginning.
-- include leads
-- include clock
-- include announce
local ids_at_most = tonumber(ARGV[8])
local length = redis.call('LLEN', KEYS[2])
if length == 0 then
  return { 0, redis.call('ZCARD', KEYS[4]), 0, 0 }
end
local now, now_iso = read_clock()
local begins = redis.call('HSETNX', KEYS[3], 'since', string.format('%.3f', now))
redis.call('HSET', KEYS[3], 'reason', ARGV[3], 'hosts', ARGV[4], 'count', length)
if begins == 1 then
  announce(KEYS[6], now_iso, 'deferral.began', 'queue', ARGV[2], 'reason', ARGV[3], 'hosts', ARGV[4], 'count', length)
end

local since = tonumber(redis.call('HGET', KEYS[3], 'since')) or now
local first = tonumber(ARGV[6])
local page = redis.call('LRANGE', KEYS[2], first, math.min(first + tonumber(ARGV[7]), ids_at_most) - 1)
local added = 0
if #page > 0 then
  local known = redis.call('ZMSCORE', KEYS[4], unpack(page))
  for i, id in ipairs(page) do
    if not known[i] then
      local enqueued_at = redis.pcall('HGET', ARGV[5] .. ':job:' .. id, 'enqueued_at')
      local from = type(enqueued_at) == 'string' and from_iso(enqueued_at) or since
      added = added + redis.call('ZADD', KEYS[4], 'NX', string.format('%.3f', math.max(since, from)), id)
    end
  end
end
if added > 0 then
  redis.pcall('HINCRBY', KEYS[5], 'deferred', added)
end
return { length, redis.call('ZCARD', KEYS[4]), added, begins }

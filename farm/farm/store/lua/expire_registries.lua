-- Removes ids from RQ's finished and failed registries whose time is over.
--
-- KEYS   1 coordinator, then 3 for each queue: lock of RQ's cleaners, finished registry, failed registry
-- ARGV   1 own value  2 how many at most of each registry
-- RETURN nil to a caller that does not lead, else {removed, 1 if a registry has more}
--
-- GUARANTEE  A queue that a stock worker cleans at this moment is left to it. Entries without an end stay.
-- include leads
local limit = tonumber(ARGV[2])
local now = redis.call('TIME')[1]
local removed, more = 0, 0

local function expire(registry)
  local first = redis.call('ZCOUNT', registry, '-inf', '(0')
  local over = redis.call('ZCOUNT', registry, 0, now)
  local count = math.min(over, limit)
  if count > 0 then
    redis.call('ZREMRANGEBYRANK', registry, first, first + count - 1)
    removed = removed + count
  end
  if over > limit then
    more = 1
  end
end

for i = 2, #KEYS, 3 do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    pcall(expire, KEYS[i + 1])
    pcall(expire, KEYS[i + 2])
  end
end
return { removed, more }

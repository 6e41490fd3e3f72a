-- How much is left to do, as of one moment. Writes nothing.
--
-- KEYS   1 inbox  2 running  3… lists of queues
-- RETURN jobs in all of them. A key of the wrong type holds none.
local function length(command, key)
  local found = redis.pcall(command, key)
  return type(found) == 'number' and found or 0
end

local total = length('LLEN', KEYS[1]) + length('HLEN', KEYS[2])
for i = 3, #KEYS do
  total = total + length('LLEN', KEYS[i])
end
return total

-- is_particular(prefix, id) → whether only some hosts may have the job: it requires labels or memory, or was declined.
--   prefix   of RQ's keys
local function is_particular(prefix, id)
  local fields = redis.pcall('HMGET', prefix .. ':job:' .. id, 'farm_requires', 'farm_memory_mb', 'farm_declined')
  return not fields.err and (fields[1] or fields[2] or fields[3]) and true or false
end

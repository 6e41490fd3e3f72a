-- end_own_lease(rq_prefix, running, executions, id, token) → queue. Ends a lease that the host holds, with RQ's records of
-- the run; nil for a lease under another token or none, which is left alone.
local function end_own_lease(rq_prefix, running, executions, id, token)
  local lease = redis.call('HGET', running, id)
  if not lease or string.match(lease, '^[^|]*') ~= token then
    return nil
  end
  local queue = string.match(lease, '^[^|]*|(.*)|[^|]*|[^|]*|[^|]*|[^|]*$')
  redis.call('HDEL', running, id)
  redis.pcall('ZREM', rq_prefix .. ':wip:' .. queue, id .. ':' .. token)
  redis.pcall('ZREM', rq_prefix .. ':executions:' .. id, token)
  redis.call('DEL', rq_prefix .. ':execution:' .. id .. ':' .. token)
  redis.pcall('SREM', executions, id .. ':' .. token)
  return queue
end

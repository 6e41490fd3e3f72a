-- Taking jobs from the heads of a host's queues. Needs `start_jobs`.
--
-- room_of(host_hash, running) → how many more jobs the host may hold, by what it published; none unless it is available.
-- take_from(list, deferral, deferred, number, bytes): starts the first so many jobs of a queue, until their payloads come
-- to so many bytes, or to one that only some hosts may have. Returns how many were taken.
local function room_of(host_hash, running)
  local told = redis.pcall('HMGET', host_hash, 'capacity', 'state')
  if told.err or told[2] ~= 'available' then
    return 0
  end
  return (tonumber(told[1] or '') or 0) - redis.call('HLEN', running)
end

local was_left = false -- whether a job was, that only some hosts may have

local function take_from(list, deferral, deferred, number, bytes)
  local taken = {}
  for i, id in ipairs(redis.call('LRANGE', list, '0', number - 1)) do
    if started_bytes >= bytes then
      break
    end
    if not begin(id, true) then
      was_left = true
      break
    end
    taken[i] = id
  end
  if #taken > 0 then
    redis.call('LPOP', list, #taken)
    if redis.call('EXISTS', deferral) == 1 then
      redis.pcall('ZREM', deferred, unpack(taken))
    end
  end
  return #taken
end

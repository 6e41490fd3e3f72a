-- What placing needs of hosts. Reads KEYS (3 hosts, 4 identities; after these 3 for each queue, then 4 for each host: its
-- hash, inbox, running, bell), ARGV[2] (SUSPECT_AFTER seconds), and the local `queue_count`.
--
-- host_key(i, which) → the key. room_of(i, name, identity) → how many more jobs host i may hold by what it published; 0 when
-- its identity is not current, its beat is old, or its keys are of a wrong type. wake_host(i): rings its bell.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function host_key(i, which)
  return KEYS[4 + 3 * queue_count + 4 * (i - 1) + which]
end

local function room_of(i, name, identity)
  local readable, room = pcall(function()
    local beat = tonumber(redis.call('ZSCORE', KEYS[3], name))
    if not beat or now - beat >= tonumber(ARGV[2]) or redis.call('HGET', KEYS[4], name) ~= identity then
      return 0
    end
    local capacity = tonumber(redis.call('HGET', host_key(i, 1), 'capacity') or '') or 0
    return capacity - redis.call('LLEN', host_key(i, 2)) - redis.call('HLEN', host_key(i, 3))
  end)
  return readable and room or 0
end

local function wake_host(i)
  redis.pcall('LPUSH', host_key(i, 4), '1')
  redis.pcall('LTRIM', host_key(i, 4), 0, 0)
  redis.pcall('EXPIRE', host_key(i, 4), 60)
end

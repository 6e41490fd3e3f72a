-- whereabouts(prefix, host_prefix, identities, lost, now, quarantine) → questions about one job. They only read.
--   prefix             of RQ's keys;  host_prefix  of the farm's keys of hosts (ends with a colon)
--   identities, lost   keys of the hosts that hold leases, and of those whose jobs are being given back
--   quarantine         key of the ids set aside; only `is_set_aside` needs it
-- What is asked for more than once in a call is read once. Work on long lists is bounded: `is_listed` then cannot tell.
local LISTED_LOOKED_AT, RUNNING_LOOKED_AT = 100000, 10000

local function whereabouts(prefix, host_prefix, identities, lost, now, quarantine)
  local holders, identity_of, placed, executing, floors, left = nil, {}, nil, {}, {}, 4 * LISTED_LOOKED_AT
  local ask = {}

  local function read_holders()
    if holders then return end
    holders = {}
    local current, given_up = redis.pcall('HGETALL', identities), redis.pcall('ZRANGE', lost, 0, -1)
    for i = 1, current.err and 0 or #current, 2 do
      identity_of[current[i]] = current[i + 1]
      holders[#holders + 1] = host_prefix .. current[i] .. ':' .. current[i + 1]
    end
    for i = 1, given_up.err and 0 or #given_up do
      holders[#holders + 1] = host_prefix .. given_up[i]
    end
  end

  -- Whether some host has the job among its running ones. `worker` is looked at first.
  function ask.is_leased(id, worker)
    read_holders()
    local identity = identity_of[worker or '']
    if identity and redis.pcall('HEXISTS', host_prefix .. worker .. ':' .. identity .. ':running', id) == 1 then
      return true
    end
    for _, holder in ipairs(holders) do
      if redis.pcall('HEXISTS', holder .. ':running', id) == 1 then return true end
    end
    return false
  end

  -- Whether the id is in quarantine: operators decide what becomes of it.
  function ask.is_set_aside(id)
    return type(redis.pcall('ZSCORE', quarantine, id)) == 'string'
  end

  -- Whether the job is in some host's inbox.
  function ask.is_placed(id)
    read_holders()
    if not placed then
      placed = {}
      for _, holder in ipairs(holders) do
        local ids = redis.pcall('LRANGE', holder .. ':inbox', 0, -1)
        for i = 1, ids.err and 0 or #ids do placed[ids[i]] = true end
      end
    end
    return placed[id] or false
  end

  -- Whether a worker of RQ that is no host has this name and is registered. `sync` runs in the process that enqueued.
  function ask.is_served_elsewhere(worker)
    read_holders()
    if not worker or worker == '' or identity_of[worker] then return false end
    return worker == 'sync' or redis.call('EXISTS', prefix .. ':worker:' .. worker) == 1
  end

  -- Whether one of RQ's records says that the job is being run, and is not over. True if there are too many to tell.
  function ask.is_executed(id, queue)
    if not executing[queue] then
      local ids = {}
      local members = redis.pcall('ZRANGEBYSCORE', prefix .. ':wip:' .. queue, string.format('(%.6f', now), '+inf',
        'LIMIT', 0, RUNNING_LOOKED_AT)
      for i = 1, members.err and 0 or #members do
        ids[members[i]] = true -- RQ before 2.0 has the id alone
        ids[string.match(members[i], '^(.*):[^:]*$') or members[i]] = true
      end
      ids[1] = not members.err and #members == RUNNING_LOOKED_AT
      executing[queue] = ids
    end
    return executing[queue][1] or executing[queue][id] or false
  end

  -- Whether the id is in the queue's list, or among those that a stock worker has popped. nil if that cannot be told.
  function ask.is_listed(id, queue)
    local key = prefix .. ':queue:' .. queue
    local length = redis.pcall('LLEN', key)
    if type(length) ~= 'number' then return nil end
    if type(redis.pcall('LPOS', key .. ':intermediate', id, 'MAXLEN', 1000)) == 'number' then return true end
    for _, limit in ipairs({ 1000, LISTED_LOOKED_AT }) do
      local share = math.min(limit, length)
      if left < 2 * share then return nil end
      left = left - 2 * share
      if redis.call('LPOS', key, id, 'MAXLEN', limit) or redis.call('LPOS', key, id, 'RANK', -1, 'MAXLEN', limit) then
        return true
      end
      if length <= 2 * limit then return false end
    end
    return nil
  end

  -- Whether a job that was enqueued at this moment should have had its turn by now: it is older than a sample of those
  -- that wait. A list is not searched for every id that may be in it. False for a queue that nothing was ever put into:
  -- RQ runs the jobs of a queue with is_async=False without that.
  function ask.is_overdue(enqueued_at, queue)
    local floor = floors[queue]
    if floor == nil then
      local key = prefix .. ':queue:' .. queue
      local length = redis.pcall('LLEN', key)
      floor = ''
      if type(length) ~= 'number' or redis.pcall('SISMEMBER', prefix .. ':queues', key) ~= 1 then
        floor = false
        length = 0
      end
      local index = 0
      while index < length and index < 1048576 do
        local at = redis.pcall('HGET', prefix .. ':job:' .. redis.call('LINDEX', key, index), 'enqueued_at')
        if type(at) == 'string' and at ~= '' and (floor == '' or at < floor) then floor = at end
        index = index == 0 and 1 or 2 * index
      end
      floors[queue] = floor
    end
    if not floor then return false end
    return floor == '' or not enqueued_at or enqueued_at == '' or enqueued_at <= floor
  end

  return ask
end

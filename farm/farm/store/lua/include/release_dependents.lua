-- promote_rate_limited(prefix, key, concurrency, seconds, now_iso) → number of jobs that got a free slot of the rate
-- limit `key` and went to their queues, oldest first, at most 100.
local function promote_rate_limited(prefix, key, concurrency, seconds, now_iso)
  local allowed = prefix .. ':rl:' .. key .. ':allowed'
  local waiting = prefix .. ':rl:' .. key .. ':rate_limited'
  local promoted = 0
  for _ = 1, 100 do
    if redis.call('ZCARD', allowed) >= concurrency then break end
    local popped = redis.call('ZPOPMIN', waiting)
    local id = popped[1]
    if not id then break end
    local job = prefix .. ':job:' .. id
    local fields = redis.pcall('HMGET', job, 'origin', 'status', 'enqueue_at_front')
    -- An entry whose job is gone or went another way is dropped, as RQ does.
    if not fields.err and fields[1] and fields[2] == 'rate_limited' then
      local push = fields[3] == '1' and 'LPUSH' or 'RPUSH'
      local pushed = redis.pcall(push, prefix .. ':queue:' .. fields[1], id)
      if type(pushed) == 'table' then
        redis.call('ZADD', waiting, popped[2], id)
        break
      end
      redis.call('ZADD', allowed, seconds, id)
      redis.call('HSET', job, 'status', 'queued', 'enqueued_at', now_iso)
      promoted = promoted + 1
    end
  end
  return promoted
end

-- read_ttl(text, default) → whole seconds, 300 years at most: Redis refuses much longer ones. `default` for what is no whole
-- number, whatever somebody wrote there.
local LONGEST_TTL = 10000000000
local function read_ttl(text, default)
  local seconds = tonumber(string.match(text or '', '^%-?%d+$') or '')
  return seconds and math.min(seconds, LONGEST_TTL) or default
end

-- enqueue_waiting(prefix, id, queue, seconds, now_iso) → true, or nil and why not (nothing is written then).
-- Moves a job that waited elsewhere (for other jobs, for its time) to its queue, or before its rate limit. The caller has
-- checked its status and removes it from where it waited.
local function enqueue_waiting(prefix, id, queue, seconds, now_iso)
  local job = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', job, 'timeout', 'ttl', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at',
    'rate_limit_key', 'rate_limit_concurrency')
  local front = fields[3] == '1' or (fields[4] == '1' and fields[5] and fields[5] ~= '')
  local rate_key, concurrency = fields[6], tonumber(fields[7] or '')
  local limited = rate_key and rate_key ~= '' and concurrency and concurrency > 0
  if not limited then
    local pushed = redis.pcall(front and 'LPUSH' or 'RPUSH', prefix .. ':queue:' .. queue, id)
    if type(pushed) == 'table' then return nil, 'the key of queue ' .. queue .. ' is not a list' end
    redis.call('HSET', job, 'status', 'queued', 'enqueued_at', now_iso, 'origin', queue)
  else
    redis.call('HSET', job, 'status', 'rate_limited', 'origin', queue)
    if front then redis.call('HSET', job, 'enqueue_at_front', 1) end
    redis.call('SADD', prefix .. ':rl-keys', rate_key)
    redis.call('HSET', prefix .. ':rl:' .. rate_key, 'concurrency', concurrency)
    redis.call('ZADD', prefix .. ':rl:' .. rate_key .. ':rate_limited', seconds, id)
  end
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  if not fields[1] then redis.call('HSET', job, 'timeout', 180) end
  local ttl = read_ttl(fields[2], 0)
  if ttl > 0 then
    redis.call('EXPIRE', job, ttl)
    redis.call('EXPIRE', prefix .. ':job:' .. id .. ':dependents', ttl)
    redis.call('EXPIRE', prefix .. ':job::' .. id .. ':dependencies', ttl)
  end
  if limited then promote_rate_limited(prefix, rate_key, concurrency, seconds, now_iso) end
  return true
end

-- release_dependents(prefix, parent_id, outcome, now_iso, limit, cursor) → left, next_cursor, released.
-- Looks at about `limit` jobs that wait for `parent_id`, and moves those to their queues whose dependencies are all met.
--   outcome   'finished', or 'failed': then only dependents that allow it go on. Any other outcome releases none.
--   cursor    nil or '0': from the start. The others come with the call before.
--   left      0 when every dependent was looked at, else how many members the set still has: call again with next_cursor.
-- A missing record of another parent counts as met. Canceled dependents, and those that wait for more, stay in the set.
-- Safe to repeat: a dependent whose status is not `deferred` any more is only removed from the set.
local function dependencies_met(prefix, id, parent_id, allow_failure)
  local parents = redis.call('SMEMBERS', prefix .. ':job::' .. id .. ':dependencies')
  for _, parent in ipairs(parents) do
    if parent ~= parent_id then
      local status = redis.pcall('HGET', prefix .. ':job:' .. parent, 'status')
      if type(status) == 'string' and status ~= 'finished' and not (allow_failure and status == 'failed') then
        return false
      end
    end
  end
  return true
end

local function release_dependents(prefix, parent_id, outcome, now_iso, limit, cursor)
  if outcome ~= 'finished' and outcome ~= 'failed' then return 0, '0', 0 end
  local dependents = prefix .. ':job:' .. parent_id .. ':dependents'
  local page = redis.pcall('SSCAN', dependents, cursor or '0', 'COUNT', limit)
  if page.err then return 0, '0', 0 end
  local seconds = redis.call('TIME')[1]
  local released = 0
  for _, id in ipairs(page[2]) do
    local fields = redis.pcall('HMGET', prefix .. ':job:' .. id, 'status', 'origin', 'allow_dependency_failures')
    if not fields.err and fields[1] then
      local allow_failure = fields[3] == '1' or fields[3] == 'True'
      if fields[1] ~= 'deferred' then
        if fields[1] ~= 'canceled' then redis.call('SREM', dependents, id) end
      elseif fields[2] and (outcome == 'finished' or allow_failure)
          and dependencies_met(prefix, id, parent_id, allow_failure)
          and enqueue_waiting(prefix, id, fields[2], seconds, now_iso) then
        redis.call('ZREM', prefix .. ':deferred:' .. fields[2], id)
        redis.call('SREM', dependents, id)
        released = released + 1
      end
    elseif not fields.err then
      redis.call('SREM', dependents, id)
    end
  end
  if page[1] == '0' then return 0, '0', released end
  return redis.call('SCARD', dependents), page[1], released
end

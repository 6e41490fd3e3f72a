-- Looks at what RQ's registries of running jobs and stock workers' lists of popped ones still name. Writes nothing.
--
-- KEYS   1 identities  2 lost  3 quarantine, then 2 for each queue: registry of started jobs, list of popped ones
--        and, by name, the jobs' hashes and the hosts' inboxes and running
-- ARGV   1 RQ's prefix  2 prefix of the hosts' keys  3 how many entries of each at most  4… names of the queues
-- RETURN kind, id, queue, execution, … flat; kinds are started, execution, popped
--
-- GUARANTEE  Only entries of the registry whose time is over are looked at. A queue whose keys are of a wrong type is
--            passed over.
-- include whereabouts
-- include leftover_rules
local prefix, limit = ARGV[1], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local ask = whereabouts(prefix, ARGV[2], KEYS[1], KEYS[2], now, KEYS[3])
local found = {}

local function add(kind, id, queue, execution)
  for _, value in ipairs({ kind, id, queue, execution or '' }) do found[#found + 1] = value end
end

for i = 4, #ARGV do
  local queue = ARGV[i]
  local over = redis.pcall('ZRANGEBYSCORE', KEYS[2 * i - 4], '-inf', string.format('%.6f', now), 'LIMIT', 0, limit)
  for j = 1, over.err and 0 or #over do
    local id, execution = string.match(over[j], '^(.*):([^:]*)$')
    id, execution = id or over[j], execution or ''
    local job = read_job(prefix, id)
    if job and job[1] ~= 'started' and not ask.is_leased(id, job[3]) then
      add('execution', id, queue, execution)
    elseif job and is_abandoned(ask, id, job) then
      add('started', id, queue)
    end
  end
  local popped = redis.pcall('LRANGE', KEYS[2 * i - 3], 0, limit - 1)
  for j = 1, popped.err and 0 or #popped do
    local job = read_job(prefix, popped[j])
    if job and job[1] ~= 'started' and not ask.is_executed(popped[j], queue) then
      add('popped', popped[j], queue)
    end
  end
end
return found

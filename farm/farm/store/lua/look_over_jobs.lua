-- Looks at one page of jobs and execution records for what is left over. Writes nothing.
--
-- KEYS   1 identities  2 lost  3 quarantine
--        and, by name, the jobs' hashes, execution records, queues and registries, and the hosts' inboxes and running
-- ARGV   1 RQ's prefix  2 prefix of the hosts' keys  3 number of jobs  4… ids of jobs, then `<job>:<execution>`, …
-- RETURN kind, id, queue, execution, … flat; kinds are started, queued, stump, execution
--
-- GUARANTEE  Bounded: a long list is searched only for jobs that should have had their turn, and only so far.
-- include whereabouts
-- include leftover_rules
local prefix, jobs = ARGV[1], tonumber(ARGV[3])
local time = redis.call('TIME')
local ask = whereabouts(prefix, ARGV[2], KEYS[1], KEYS[2], tonumber(time[1]) + tonumber(time[2]) / 1000000, KEYS[3])
local found = {}

local function add(kind, id, queue, execution)
  for _, value in ipairs({ kind, id, queue or '', execution or '' }) do found[#found + 1] = value end
end

for i = 4, 3 + jobs do
  local id = ARGV[i]
  local job = read_job(prefix, id)
  if job then
    if is_abandoned(ask, id, job) then
      add('started', id, job[2])
    elseif is_missing(ask, id, job) then
      add('queued', id, job[2])
    elseif is_stump(ask, prefix, id, job) then
      add('stump', id, job[2])
    end
  end
end
for i = 4 + jobs, #ARGV do
  local id, execution = string.match(ARGV[i], '^(.*):([^:]*)$')
  if id and redis.call('EXISTS', prefix .. ':job:' .. id) == 0 then
    local worker = redis.pcall('HGET', prefix .. ':execution:' .. ARGV[i], 'worker_name')
    if not ask.is_leased(id, type(worker) == 'string' and worker or '')
      and not ask.is_served_elsewhere(type(worker) == 'string' and worker or '') then
      add('execution', id, '', execution)
    end
  end
end
return found

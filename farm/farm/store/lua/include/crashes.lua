-- count_end(job, field) → how many ends of that kind the job has had by now: `farm_crashes` of processes, `farm_losses`
-- of hosts. A value that is no number counts as none.
local function count_end(job, field)
  local count = redis.pcall('HINCRBY', job, field, 1)
  if type(count) == 'number' then
    return count
  end
  if not string.find(count.err, 'integer', 1, true) then
    error(count.err)
  end
  redis.call('HSET', job, field, 1)
  return 1
end

-- add_evidence(job, line): what is known of the process or host that ended under the job, one line of JSON. The last 10
-- are kept in the field `farm_evidence`.
local function add_evidence(job, line)
  local lines = {}
  for each in string.gmatch((redis.call('HGET', job, 'farm_evidence') or '') .. '\n' .. line, '[^\n]+') do
    lines[#lines + 1] = each
  end
  redis.call('HSET', job, 'farm_evidence', table.concat(lines, '\n', math.max(1, #lines - 9)))
end

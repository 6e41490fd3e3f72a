-- Gives jobs that a host started and declined, unbegun, back to the heads of their queues, with who declined them and why.
--
-- KEYS   1 identities  2 running  3 coordinator's bell  4 RQ worker executions  5 quarantine  6 quarantine reasons  7 events
--        and, by name, the jobs' hashes, queues and execution records
-- ARGV   1 host  2 identity  3 now, ISO 8601  4 RQ's prefix  5 prefix of the counts  6 seconds that it holds
--        7… id, token, reason, in the order of starting
-- RETURN {'fenced'} or {'ok', given back}
--
-- GUARANTEE  The order stays. No attempt, crash or loss is counted. A lease that this host no longer holds is left alone,
--            so the call can be repeated. A job's field `farm_declined` keeps what others said whose time is not over,
--            at most 100 of them, those that hold longest. Whatever else is in there is replaced.
-- include ring
-- include quarantine
-- include give_back
-- include end_own_lease
local host, identity, rq_prefix = ARGV[1], ARGV[2], ARGV[4]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end
local MOST = 100
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local given = 0

local function declined_before(key)
  local text = redis.pcall('HGET', key, 'farm_declined')
  local ok, entries = pcall(cjson.decode, type(text) == 'string' and text or '{}')
  local kept = {}
  for who, said in pairs(ok and type(entries) == 'table' and entries or {}) do
    local over_at = type(who) == 'string' and type(said) == 'table' and tonumber(said['until'])
    if over_at and over_at > now and over_at < 1e12 then -- JSON has no number for what a text may say
      kept[#kept + 1] = { who = who, over_at = over_at, reason = tostring(said.reason) }
    end
  end
  table.sort(kept, function(one, other)
    return one.over_at > other.over_at or (one.over_at == other.over_at and one.who < other.who)
  end)
  return kept
end

local function keep_declined(key, reason)
  local own = host .. '|' .. identity
  local entries, number = { [own] = { ['until'] = math.ceil(now + ARGV[6]), reason = reason } }, 1
  for _, said in ipairs(declined_before(key)) do
    if said.who ~= own and number < MOST then
      entries[said.who] = { ['until'] = said.over_at, reason = said.reason }
      number = number + 1
    end
  end
  redis.pcall('HSET', key, 'farm_declined', cjson.encode(entries))
end

for i = #ARGV - 2, 7, -3 do
  local id, token, reason = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if end_own_lease(rq_prefix, KEYS[2], KEYS[4], id, token) then
    local outcome, detail = give_back(rq_prefix, id, 'started')
    if outcome == 'queued' then
      given = given + 1
      keep_declined(rq_prefix .. ':job:' .. id, reason)
      redis.pcall('HINCRBY', ARGV[5] .. detail, 'declined', 1)
    elseif outcome == 'unreadable' then
      quarantine({ KEYS[5], KEYS[6], KEYS[7] }, id, detail, time[1], ARGV[3])
    end
  end
end
if given > 0 then
  ring(KEYS[3])
end
return { 'ok', given }

-- Reads the raw record of a job, cut to a size that can be looked at.
--
-- KEYS   1 the job's key
-- ARGV   1 how many fields at most  2 how many bytes of each
-- RETURN {type of the key, number of fields or bytes, then for each field: name, bytes, head of its value}; for text the
--        one field has an empty name, for other types there is none
--
-- GUARANTEE  Changes nothing, and answers with a bounded size whatever the key holds.
local kind = redis.call('TYPE', KEYS[1]).ok
local bytes = tonumber(ARGV[2])
if kind == 'string' then
  local length = redis.call('STRLEN', KEYS[1])
  return { kind, length, '', length, redis.call('GETRANGE', KEYS[1], 0, bytes - 1) }
end
if kind ~= 'hash' then
  return { kind, 0 }
end
local answer = { kind, redis.call('HLEN', KEYS[1]) }
local cursor, room = '0', tonumber(ARGV[1])
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', room)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    if room > 0 then
      room = room - 1
      local value = page[2][i + 1]
      answer[#answer + 1] = string.sub(page[2][i], 1, bytes)
      answer[#answer + 1] = #value
      answer[#answer + 1] = string.sub(value, 1, bytes)
    end
  end
until cursor == '0' or room <= 0
return answer

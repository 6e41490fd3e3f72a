-- forget_desired(key): what operators wanted of a host ends with it, but for a drain that holds until `farm resume`.
-- What stays keeps its time to live.
local function forget_desired(key)
  if redis.pcall('HGET', key, 'drain') ~= 'stay' then
    redis.call('DEL', key)
    return
  end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field ~= 'drain' then
      redis.call('HDEL', key, field)
    end
  end
end

-- KEYS[1]: the log. ARGV: the number after which to read. Returns the number of the first entry, and the entries.
local last = tonumber(redis.call('LINDEX', KEYS[1], 0))
if not last then
  return false
end
local oldest = last - redis.call('LLEN', KEYS[1]) + 2
local first = math.max(tonumber(ARGV[1]) + 1, oldest)
return { first, redis.call('LRANGE', KEYS[1], first - oldest + 1, -1) }

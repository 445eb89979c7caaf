-- KEYS[1]: the moment when all that was taken will have come, in microseconds of this server's clock.
-- ARGV: microseconds in which the units come, those that may be saved up, those that may be waited.
-- Returns whether they were taken, how long to wait, and how long until all that was taken has come.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local after = due + ARGV[1]
local wait = math.max(after - now - ARGV[2], 0)
if wait > tonumber(ARGV[3]) then
  return { 0, wait, due - now }
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return { 1, wait, after - now }

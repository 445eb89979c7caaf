-- KEYS[1]: the log, a list: first the number of its last entry, then its entries.
-- ARGV: the entry, how many are kept, the life of the log in milliseconds. Returns the number of the entry.
local last = redis.call('LINDEX', KEYS[1], 0)
if last then
  redis.call('RPUSH', KEYS[1], ARGV[1])
  last = last + 1
else
  redis.call('RPUSH', KEYS[1], '1', ARGV[1])
  last = 1
end
local over = redis.call('LLEN', KEYS[1]) - 1 - ARGV[2]
if over > 0 then
  -- The last of those that go makes room for the number.
  redis.call('LTRIM', KEYS[1], over, -1)
end
redis.call('LSET', KEYS[1], 0, string.format('%d', last))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return last

-- Put another message in the place of a held one. Returns 0 if that was not held any more, else 1.
--
-- KEYS[1] RETURNED  KEYS[2] hash of what the holder holds  KEYS[3] a list, or DELAYED
-- ARGV[1] tag of the held message        ARGV[2] the message, or a record of it for DELAYED
-- ARGV[3] when it is due, in milliseconds since 1970; empty: now

-- include records
-- include places

local held, tag = KEYS[2], ARGV[1]
if redis.call('HEXISTS', held, tag) == 0 then return 0 end
free(held, tag)
redis.call('HDEL', held, tag, 'started:' .. tag)
if ARGV[3] == '' then
    redis.call('LPUSH', KEYS[3], ARGV[2])
else
    redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
end
return 1

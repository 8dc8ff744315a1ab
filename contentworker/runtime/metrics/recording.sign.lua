-- Note that a worker lives, and forget workers that gave no sign for long.
--
-- KEYS[1] sorted set: worker and its queues, by the time of the last sign
-- ARGV[1] worker and its queues  ARGV[2] seconds without a sign after which a worker is forgotten

local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], old)
end

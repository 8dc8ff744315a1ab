-- Note that a worker lives, and forget workers that gave no sign for long.
--
-- KEYS[1] sorted set: worker and its queues, by the time of the last sign
-- KEYS[2] hash: slots and busy slots by worker
-- ARGV[1] worker and its queues  ARGV[2] seconds without a sign after which a worker is forgotten
-- ARGV[3] worker  ARGV[4] its slots and busy slots

local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], old)
    redis.call('HDEL', KEYS[2], string.match(old, '^[^\31]*'))
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])

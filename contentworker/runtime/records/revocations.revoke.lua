-- Revoke ids, and forget those whose time is over.
--
-- KEYS[1] REVOKED
-- ARGV[1] how long an id is kept, in microseconds  ARGV[2] most ids to keep  ARGV[3...] ids

local revoked, lifetime, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- First: a full server refuses a script that begins with a write that may grow.
redis.call('ZREMRANGEBYSCORE', revoked, '-inf', string.format('(%.0f', now - lifetime))
-- Each worker that is told of a revocation writes it once more: what is this young stays.
local young = now - 60000000
local score = tonumber(redis.call('ZRANGE', revoked, -1, -1, 'WITHSCORES')[2] or 0)
for i = 3, #ARGV do
    local before = tonumber(redis.call('ZSCORE', revoked, ARGV[i]) or 0)
    if before < young then
        score = math.max(now, score + 1)
        redis.call('ZADD', revoked, string.format('%.0f', score), ARGV[i])
    end
end
redis.call('ZREMRANGEBYRANK', revoked, 0, -most - 1)

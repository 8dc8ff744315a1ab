-- Store a result and publish it, unless a success is stored. Returns 0 if one is, else 1.
--
-- KEYS[1] key of the result, and channel of those who wait for it
-- ARGV[1] result    ARGV[2] seconds until it expires, 0: never

-- A result begins with its status as Celery encodes it.
local current = redis.call('GETRANGE', KEYS[1], 0, 40)
if string.find(current, '^{%s*"status"%s*:%s*"SUCCESS"') then return 0 end
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1

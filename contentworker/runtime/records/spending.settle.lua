-- Count what an admitted call cost, and whether it failed.
--
-- KEYS[1] start of the keys of the day's sum and the circuit breaker
-- ARGV[1] cost less the estimate, in millionths of the unit of the prices  ARGV[2] day on which it was admitted
-- ARGV[3] 'ok', 'failed' or 'unknown'
-- ARGV[4] failures that open the breaker, 0: never  ARGV[5] seconds it stays open
-- ARGV[6] days that the day's sum is kept

local time = redis.call('TIME')
local spent_key, breaker_key = KEYS[1] .. ':day:' .. ARGV[2], KEYS[1] .. ':breaker'
redis.call('INCRBY', spent_key, ARGV[1])
redis.call('EXPIRE', spent_key, ARGV[6] * 86400)
if ARGV[3] == 'ok' then
    redis.call('DEL', breaker_key)
elseif ARGV[3] == 'failed' and tonumber(ARGV[4]) > 0 then
    local failures = redis.call('HINCRBY', breaker_key, 'failures', 1)
    if failures >= tonumber(ARGV[4]) then
        redis.call('HSET', breaker_key, 'open_until', time[1] + time[2] / 1000000 + ARGV[5])
    end
    redis.call('EXPIRE', breaker_key, ARGV[6] * 86400)
end
return 1

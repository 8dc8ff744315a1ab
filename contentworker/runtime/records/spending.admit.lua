-- Admit a paid call, and count its estimate as spent.
--
-- KEYS[1] start of the keys of the day's sum, the minute's calls and the circuit breaker
-- ARGV[1] estimate  ARGV[2] cap of a day, 0: none; both in millionths of the unit of the prices
-- ARGV[3] most calls a minute, 0: any number
-- ARGV[4] failures that open the breaker, 0: never  ARGV[5] seconds it stays open
-- ARGV[6] days that the day's sum is kept
-- Returns {why it is refused, seconds until it may be admitted, day}; why: 'breaker', 'cap', 'rate', or '' if admitted

-- include protocol.rate

local time = redis.call('TIME')
local now, day = time[1] + time[2] / 1000000, math.floor(time[1] / 86400)
local estimate, cap, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local spent_key, rate_key, breaker_key = KEYS[1] .. ':day:' .. day, KEYS[1] .. ':calls', KEYS[1] .. ':breaker'
local open_until = tonumber(redis.call('HGET', breaker_key, 'open_until') or 0)
if tonumber(ARGV[4]) > 0 and open_until > now then return {'breaker', tostring(open_until - now), day} end
local spent = tonumber(redis.call('GET', spent_key) or 0)
-- What costs nothing is within any cap, also one that is overdrawn.
if cap > 0 and estimate > 0 and spent + estimate > cap then return {'cap', tostring((day + 1) * 86400 - now), day} end
if rate > 0 then
    local wait = rate_wait(rate_key, rate, 60, now)
    if wait > 0 then return {'rate', tostring(wait), day} end
    rate_count(rate_key, rate, 60, now)
end
-- Half open: this call is the probe, and the others wait until it has ended, or for as long again.
if open_until > 0 then redis.call('HSET', breaker_key, 'open_until', now + ARGV[5]) end
redis.call('INCRBY', spent_key, ARGV[1])
redis.call('EXPIRE', spent_key, ARGV[6] * 86400)
return {'', '0', day}

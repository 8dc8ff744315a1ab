-- One rate: at most `most` events in any `seconds`, for limits of tasks and for paid calls.
--
-- A sliding window log ("sliding window log" in Redis's and Cloudflare's articles on rate limiting), as a list of the
-- last `most` moments: one more may come once the oldest of them has left the window. Exact, in O(1).

-- Returns seconds until the next may come; 0: now.
local function rate_wait(key, most, seconds, now)
    local oldest = tonumber(redis.call('LINDEX', key, -most) or false)
    if not oldest or oldest + seconds <= now then return 0 end
    if tonumber(redis.call('LINDEX', key, -1)) > now + 1 then -- the clock was ahead, and was put right
        redis.call('DEL', key)
        return 0
    end
    return oldest + seconds - now
end

local function rate_count(key, most, seconds, now)
    redis.call('RPUSH', key, string.format('%.6f', now))
    redis.call('LTRIM', key, -most, -1)
    redis.call('EXPIRE', key, math.ceil(seconds) + 1)
end

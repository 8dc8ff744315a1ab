-- Add to metrics, and set others. Refused as a whole on a full server, whose memory is for messages.
--
-- KEYS[...] hashes of the metrics
-- ARGV[1] most fields of a hash
-- ARGV[2...] place in KEYS, HINCRBY or HSET, field, number; and so on
-- Returns how many were dropped, as their hash is full, or the sum would be too large for Redis.

local dropped = 0
for i = 2, #ARGV, 4 do
    local key, field = KEYS[tonumber(ARGV[i])], ARGV[i + 2]
    if redis.call('HLEN', key) < tonumber(ARGV[1]) or redis.call('HEXISTS', key, field) == 1 then
        local answer = redis.pcall(ARGV[i + 1], key, field, ARGV[i + 3])
        if type(answer) == 'table' and answer.err then
            -- Not an error of the whole: what is added already would be added again each second.
            if not (string.find(answer.err, 'overflow') or string.find(answer.err, 'integer')) then return answer end
            dropped = dropped + 1
        end
    else
        dropped = dropped + 1
    end
end
return dropped

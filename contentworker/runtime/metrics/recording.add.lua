-- Add to metrics, and set others. Refused as a whole on a full server, whose memory is for messages.
--
-- KEYS[...] hashes of the metrics
-- ARGV[1] most fields of a hash
-- ARGV[2...] place in KEYS, HINCRBY or HSET, field, number; and so on
-- Returns how many were dropped, as their hash is full.

local dropped = 0
for i = 2, #ARGV, 4 do
    local key, field = KEYS[tonumber(ARGV[i])], ARGV[i + 2]
    if redis.call('HLEN', key) < tonumber(ARGV[1]) or redis.call('HEXISTS', key, field) == 1 then
        redis.call(ARGV[i + 1], key, field, ARGV[i + 3])
    else
        dropped = dropped + 1
    end
end
return dropped

-- Take or keep a queue for one host. Returns the host that has it already, or false.
--
-- KEYS[1] hash: host -> when its lease ends, in seconds since 1970
-- ARGV[1] host      ARGV[2] seconds of the lease

local now = tonumber(redis.call('TIME')[1])
for _, other in ipairs(redis.call('HKEYS', KEYS[1])) do
    local expires = tonumber(redis.call('HGET', KEYS[1], other)) or 0
    if expires <= now then redis.call('HDEL', KEYS[1], other)
    elseif other ~= ARGV[1] then return other end
end
redis.call('HSET', KEYS[1], ARGV[1], now + tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return false

-- Give a holder its lease, unless the records here are of another version. Returns the version of the records.
--
-- KEYS[1] version   KEYS[2] LEASES  KEYS[3] RENEWED
-- ARGV[1] version   ARGV[2] holder

local version = redis.call('GET', KEYS[1])
if version and version ~= ARGV[1] then return version end
redis.call('HDEL', KEYS[2], '')
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSETNX', KEYS[2], ARGV[2], 0)
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
return ARGV[1]

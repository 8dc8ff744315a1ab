-- Have the next fetches look at the partitions of some lists that wait: other limits may apply by now.
--
-- KEYS[...] sorted sets of the partitions that wait, by the time to look again
-- ARGV[1] most partitions of a list; the others are looked at five minutes later at most

for _, blocked in ipairs(KEYS) do
    for _, partition in ipairs(redis.call('ZRANGE', blocked, 0, ARGV[1] - 1)) do
        redis.call('ZADD', blocked, 0, partition)
    end
end

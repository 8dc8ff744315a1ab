-- Note that the work on a held message begins.
--
-- KEYS[1] hash of what the holder holds
-- ARGV[1] tag       ARGV[2] the field that notes its start

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[2], 1) end

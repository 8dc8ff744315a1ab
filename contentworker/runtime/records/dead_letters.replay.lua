-- Put a dead letter's message into a list, and delete the letter. Returns 0 if there is no such letter, else 1.
--
-- KEYS[1] stream of the letters  KEYS[2] list  KEYS[3] REVOKED
-- ARGV[1] id of the letter       ARGV[2] message  ARGV[3] id of its task

-- The first write is one that cannot grow memory: a full server refuses a script that begins with any other.
redis.call('XDEL', KEYS[1], '0-0')
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
-- Push before deleting: if the push fails, as on a key that is no list, the letter is still there.
redis.call('LPUSH', KEYS[2], ARGV[2])
-- To replay is a later decision than to revoke.
redis.call('ZREM', KEYS[3], ARGV[3])
return redis.call('XDEL', KEYS[1], ARGV[1])

-- Move a batch from one of some states to another. Returns 0, and changes nothing, if it is in none of them, else 1.
--
-- KEYS[1] hash of the batch  KEYS[2] set of the batches that are worked on
-- ARGV[1] id of the batch    ARGV[2] states, with blanks around each  ARGV[3] new state
-- ARGV[4] '1': it is worked on from now on  ARGV[5...] fields and values

local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(ARGV[2], ' ' .. state .. ' ', 1, true) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], unpack(ARGV, 5))
redis.call(ARGV[4] == '1' and 'SADD' or 'SREM', KEYS[2], ARGV[1])
return 1

-- Remove a message that waits for its limit. Returns 1, or 0 if it does not wait there any more.
--
-- KEYS[1] RETURNED
-- ARGV[1] list  ARGV[2] partition  ARGV[3] record

-- include protocol.records
-- include protocol.places

local list, partition, record = ARGV[1], ARGV[2], ARGV[3]
if redis.call('LREM', parked_in(list, partition), 1, record) == 0 then return 0 end
if count_unparked(list, partition) then
    redis.call('ZREM', BASE .. 'blocked:' .. list, partition)
    redis.call('LREM', BASE .. 'ready:' .. list, 1, partition)
end
return 1

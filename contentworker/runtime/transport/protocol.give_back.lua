-- Put one held message back into its list. Returns 0 if it was not held any more, else 1.
--
-- KEYS[1] RETURNED  KEYS[2] hash of what the holder holds
-- ARGV[1] tag       ARGV[2] RPUSH (front) or LPUSH (back)
-- ARGV[3] how many more workers died of it; empty: no consumer has had it

-- include records
-- include places

local held, tag, push, added = KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local record = redis.call('HGET', held, tag)
if not record then return 0 end
local list, raw, deaths = unpack_record(record)
if not list then return 0 end
local partition = free(held, tag)
redis.call('HDEL', held, tag, 'started:' .. tag)
if added ~= '' then deaths = (deaths or 0) + tonumber(added) end
if push == 'RPUSH' then put_in_front(list, raw, deaths, partition) else put(push, list, raw, deaths) end
return 1

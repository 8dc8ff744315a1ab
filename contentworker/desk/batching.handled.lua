-- Note what became of a batch's next letter. Returns 0, and changes nothing, if another letter is next: this desk stood
-- still for so long that another one went on with the batch.
--
-- KEYS[1] hash of the batch  KEYS[2] list of the letters that are still to do  KEYS[3] list of those that are done
-- KEYS[4] hash: letter that was refused -> why
-- ARGV[1] id of the letter   ARGV[2] 'done', 'gone' or 'refused'  ARGV[3] why  ARGV[4] seconds that a batch is kept

if redis.call('LINDEX', KEYS[2], 0) ~= ARGV[1] then return 0 end
redis.call('LREM', KEYS[2], 1, ARGV[1]) -- the first one, as it was looked at above
redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
if ARGV[2] == 'done' then
    redis.call('RPUSH', KEYS[3], ARGV[1])
    redis.call('EXPIRE', KEYS[3], ARGV[4])
elseif ARGV[2] == 'refused' then
    redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
    redis.call('EXPIRE', KEYS[4], ARGV[4])
end
return 1

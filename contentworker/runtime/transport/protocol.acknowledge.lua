-- Acknowledge messages, and free the places that they have. Returns how many fields it deleted, not counting places.
--
-- KEYS[1] RETURNED  KEYS[2] hash of what the holder holds
-- ARGV[...] fields to delete: tags, and what is noted beside them

-- include records
-- include places

return acknowledge(KEYS[2], ARGV)

-- renew: extends what the owner still holds, and never re-creates it.
--
-- KEYS  1 K the lock
-- ARGV  1 owner   2 ttl in ms
-- Reply 1 extended, 0 nobody holds it, -1 someone else does

local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return holder and -1 or 0

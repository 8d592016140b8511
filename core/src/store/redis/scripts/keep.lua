-- keep: gives a name back later. Who holds it has it for so many ms from now, which nobody renews.
--
-- KEYS  1 K the lock   2 Q its queue   3 F the token counter
-- ARGV  1 owner   2 ms
-- Reply 1 kept for so long, 0 nobody holds it, -1 someone else does

local K, Q = KEYS[1], KEYS[2]
--@include holder.lua
--@include token.lua
--@include holders.lua
--@include hand_over.lua

if holder == ARGV[1] then
  redis.call('PEXPIRE', K, ARGV[2])
elseif holder == SHARED and redis.call('ZSCORE', H, ARGV[1]) then
  extend(ARGV[1], ARGV[2])
else
  return holder and -1 or 0
end
-- That may be sooner than the head was told.
tell_head()
return 1

-- release: gives a name back, gives up a wait, or undoes an acquire whose outcome is unknown: one and the same.
--
-- KEYS  1 K the lock   2 Q its queue   3 F the token counter
-- ARGV  1 owner   2 inbox, or '' (by hand: no queue entry is touched)
-- Reply 1 (released, the common case), or {status, more}:
--       status 1 released, 0 nobody holds it, -1 someone else does; more 1: dead waiters remain, ask again

local K, Q = KEYS[1], KEYS[2]
--@include holder.lua

if holder == ARGV[1] and redis.call('EXISTS', Q) == 0 then
  redis.call('DEL', K)
  return 1
end

--@include token.lua
--@include hand_over.lua

local mine = holder == ARGV[1]
local free = mine or not holder
local head = not free and redis.call('ZRANGE', Q, 0, 0)[1]
local member = '1|' .. ARGV[2] .. '|' .. ARGV[1]
local left = ARGV[2] ~= '' and redis.call('ZREM', Q, member) == 1

local more = 0
if free then
  local outcome = hand_over(nil)
  if outcome == 'empty' then
    redis.call('DEL', K)
  elseif outcome == 'more' then
    more = 1
  end
elseif left and head == member then
  tell_head()
elseif left then
  keep_queue()
end
return {mine and 1 or (holder and -1 or 0), more}

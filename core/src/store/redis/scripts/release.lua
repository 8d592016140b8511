-- release: gives a name back, gives up a wait, or undoes an acquire whose outcome is unknown: one and the same.
--
-- KEYS  1 K the lock   2 Q its queue
-- ARGV  1 owner   2 client id, or '' (by hand: no queue entry is touched)   3 '1' to force (whoever holds it)
-- Reply 1 (released, the common case), or {status, more}:
--       status 1 released, 0 nobody holds it, -1 someone else does; more 1: dead waiters remain, ask again

if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[1])
  return 1
end

--@include hand_over.lua

local K, Q = KEYS[1], KEYS[2]
local holder = redis.call('GET', K)
local mine = holder and (holder == ARGV[1] or ARGV[3] == '1')
local head_left = false
if ARGV[2] ~= '' then
  local member = '1|' .. ARGV[2] .. '|' .. ARGV[1]
  local head = redis.call('ZRANGE', Q, 0, 0)[1]
  head_left = redis.call('ZREM', Q, member) == 1 and head == member
end

local more = 0
if mine or not holder then
  local outcome = hand_over(nil)
  if outcome ~= 'granted' and mine then
    redis.call('DEL', K)
  end
  if outcome == 'more' then
    more = 1
  end
elseif head_left then
  tell_head()
end
keep_queue()
return {mine and 1 or (holder and -1 or 0), more}

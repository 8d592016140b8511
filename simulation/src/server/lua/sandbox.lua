-- What scripts see: the libraries of Lua, none of which can be changed, and redis. Called once for each interpreter.
--
-- call, pcall: carry out a command; as_table: makes an error that came out of Rust what scripts see; random, sha1hex
-- Returns the environment of scripts, and where KEYS and ARGV are to be put.

local call, try, as_table, random, sha1hex = ...

local function refuse_change()
  error('Attempt to modify a readonly table', 2)
end

local function readonly(table)
  return setmetatable({}, {__index = table, __newindex = refuse_change})
end

math.random = random
math.randomseed = function() end

local raw_pcall, raw_xpcall = pcall, xpcall

local function caught(ok, ...)
  if ok then
    return true, ...
  end
  local failure = as_table((...))
  if type(failure) == 'table' and type(failure.err) == 'string' then
    failure = failure.err
  end
  return false, failure
end

local function reply_with(field)
  return function(...)
    local text = ...
    if select('#', ...) ~= 1 or type(text) ~= 'string' then
      return {err = 'ERR wrong number or type of arguments'}
    end
    if field == 'err' then
      text = string.gsub(text, '^%-', '')
      if not string.find(text, ' ', 1, true) then
        text = 'ERR ' .. text
      end
    end
    return {[field] = text}
  end
end

local redis = {
  call = call,
  pcall = try,
  error_reply = reply_with('err'),
  status_reply = reply_with('ok'),
  sha1hex = sha1hex,
  log = function() end,
  LOG_DEBUG = 0,
  LOG_VERBOSE = 1,
  LOG_NOTICE = 2,
  LOG_WARNING = 3,
}

local base = {
  redis = readonly(redis),
  server = readonly(redis),
  string = readonly(string),
  table = readonly(table),
  math = readonly(math),
  pcall = function(...)
    return caught(raw_pcall(...))
  end,
  xpcall = function(f, handler)
    return raw_xpcall(f, function(failure)
      return handler(as_table(failure))
    end)
  end,
}
for _, name in ipairs({
  'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'rawequal', 'rawget', 'select', 'setmetatable', 'tonumber',
  'tostring', 'type', 'unpack', '_VERSION',
}) do
  base[name] = _G[name]
end
setmetatable(base, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})
local environment = readonly(base)
return environment, base

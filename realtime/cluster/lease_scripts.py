"""Lua scripts of the leases. Redis runs each one atomically.

Keys, each with our prefix, on every host of REDIS_URL for what that host stores:
  processes           sorted set   process -> when its lease expires
  held:<process>      set          `r <room> <user>` and `n <name>`: what it holds; also `?` when it
                                   was reaped while alive and has not noticed yet
  room:<id>           hash         user -> `<number of processes that hold them> <username>`
  count:<name>        hash         process -> count
  exit-published:<room> <user>
                      string       a process publishes this `exit`, so that no other does
  epoch               string       random, set when missing: a new one means that data was lost
"""

from realtime.protocol.server_frames import MAX_ONLINE_NAMES

# A process that holds anything has a lease, even if it was reaped and has not noticed. It may die
# before it notices, and what is held without a lease is never released.
ENSURE_LEASE = """
local function ensure_lease(processes, held, process, ttl)
  local time = redis.call('TIME')
  local expires = time[1] + time[2] / 1000000 + tonumber(ttl)
  if redis.call('ZADD', processes, 'NX', expires, process) == 1 then
    redis.call('SADD', held, '?')
  end
end
"""
ENTER = f"""{ENSURE_LEASE}
local room, held = KEYS[1], KEYS[2]
local user, name, pair = ARGV[3], ARGV[4], ARGV[5]
local first = 0
ensure_lease(KEYS[3], held, ARGV[1], ARGV[2])
if redis.call('SADD', held, pair) == 1 then
  local entry = redis.call('HGET', room, user)
  local n = entry and tonumber(string.match(entry, '^%d+')) or 0
  redis.call('HSET', room, user, (n + 1) .. ' ' .. name)
  if n == 0 then first = 1 end
end
local count = redis.call('HLEN', room)
local names = {{}}
local page = redis.call('HSCAN', room, 0, 'COUNT', {MAX_ONLINE_NAMES})[2]
for i = 2, math.min(#page, {2 * MAX_ONLINE_NAMES}), 2 do
  names[#names + 1] = string.match(page[i], '^%d+ (.*)$')
end
return {{first, count, names}}
"""
LEAVE = """
local room, held = KEYS[1], KEYS[2]
local user, pair = ARGV[1], ARGV[2]
local last = 0
if redis.call('SREM', held, pair) == 1 then
  local entry = redis.call('HGET', room, user)
  local n = entry and tonumber(string.match(entry, '^%d+')) or 1
  if n > 1 then
    redis.call('HSET', room, user, (n - 1) .. ' ' .. string.match(entry, '^%d+ (.*)$'))
  else
    redis.call('HDEL', room, user)
    last = 1
  end
end
return {last, redis.call('HLEN', room)}
"""
COUNT = f"""{ENSURE_LEASE}
local count, held = KEYS[1], KEYS[2]
local process, n, name = ARGV[1], tonumber(ARGV[3]), ARGV[4]
if n > 0 then
  ensure_lease(KEYS[3], held, process, ARGV[2])
  redis.call('HSET', count, process, n)
  redis.call('SADD', held, name)
else
  redis.call('HDEL', count, process)
  redis.call('SREM', held, name)
end
local total = 0
for _, each in ipairs(redis.call('HVALS', count)) do total = total + tonumber(each) end
return total
"""
# Renews a lease. Returns whether it was still valid (if not, another process may have released what
# this one held), and the epoch.
HEARTBEAT = """
local processes, epoch, held = KEYS[1], KEYS[2], KEYS[3]
local process, ttl, new_epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local expires = redis.call('ZSCORE', processes, process)
local valid = expires and tonumber(expires) > now and redis.call('SREM', held, '?') == 0
redis.call('ZADD', processes, now + ttl, process)
redis.call('SET', epoch, new_epoch, 'NX')
return {valid and 1 or 0, redis.call('GET', epoch)}
"""
# Releases up to 200 things that one dead process held. Returns whether there may be more, and the
# users who went offline: room, username and users left, one after the other.
REAP = """
local prefix = ARGV[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
if not dead then return {0, {}} end
local held, expired = prefix .. 'held:' .. dead, {}
for _, item in ipairs(redis.call('SPOP', held, 200)) do
  local room, user = string.match(item, '^r (%d+) (%d+)$')
  if room then
    local key = prefix .. 'room:' .. room
    local entry = redis.call('HGET', key, user)
    local n = entry and tonumber(string.match(entry, '^%d+')) or 0
    if n > 1 then
      redis.call('HSET', key, user, (n - 1) .. ' ' .. string.match(entry, '^%d+ (.*)$'))
    elseif n == 1 then
      redis.call('HDEL', key, user)
      expired[#expired + 1] = room
      expired[#expired + 1] = string.match(entry, '^%d+ (.*)$')
      expired[#expired + 1] = tostring(redis.call('HLEN', key))
    end
  elseif string.sub(item, 1, 2) == 'n ' then
    redis.call('HDEL', prefix .. 'count:' .. string.sub(item, 3), dead)
  end
end
if redis.call('SCARD', held) == 0 then redis.call('ZREM', KEYS[1], dead) end
return {1, expired}
"""
HELD = "return redis.call('SMEMBERS', KEYS[1])"
ONLINE = "return redis.call('HMGET', KEYS[1], unpack(ARGV))"
# Several processes may each have closed the last socket of a user whom no process holds now. The
# first one that calls this may publish `exit`.
MAY_PUBLISH_EXIT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
return redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[2]) and 1 or 0
"""

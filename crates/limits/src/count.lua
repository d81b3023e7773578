-- Counts in each of KEYS, where all have room. ARGV: a limit and a window in milliseconds for each.
-- Answers 1 or 0, then for each key what remains and how long to wait. The same arithmetic as window.rs.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local windows, admitted = {}, 1

local function until_at_most(before, most, window)
    if before <= most then return 0 end
    return window - math.floor(most * window / before)
end

local function standing(w)
    local elapsed = now % w.size
    local carried = math.ceil(w.previous * (w.size - elapsed) / w.size)
    local room = math.max(w.limit - w.current - carried, 0)
    local wait = 0
    if room == 0 then
        if w.current < w.limit then
            wait = math.max(until_at_most(w.previous, w.limit - 1 - w.current, w.size) - elapsed, 0)
        else
            wait = w.size - elapsed + until_at_most(w.current, w.limit - 1, w.size)
        end
    end
    return room, wait
end

for i, key in ipairs(KEYS) do
    local limit, size = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local index = math.floor(now / size)
    local known = redis.call('HMGET', key, 'index', 'current', 'previous')
    local was, current, previous = tonumber(known[1]), tonumber(known[2]) or 0, tonumber(known[3]) or 0
    if was == index - 1 then
        current, previous = 0, current
    elseif was ~= index then
        current, previous = 0, 0
    end
    windows[i] = { limit = limit, size = size, index = index, current = current, previous = previous }
    if standing(windows[i]) == 0 then admitted = 0 end
end

local answer = { admitted }
for i, key in ipairs(KEYS) do
    local w = windows[i]
    if admitted == 1 then
        w.current = w.current + 1
        redis.call('HSET', key, 'index', w.index, 'current', w.current, 'previous', w.previous)
        redis.call('PEXPIRE', key, 2 * w.size)
    end
    local room, wait = standing(w)
    answer[#answer + 1] = room
    answer[#answer + 1] = wait
end
return answer

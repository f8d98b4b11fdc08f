-- Load for wrk:  wrk ... -s requests.lua URL -- FILE [PAUSE_MS]
--
-- FILE holds a request a line: METHOD, PATH, TOKEN and BODY (may be empty), between tabs. Each thread
-- begins at another line and takes them in turn. A POST carries an Idempotency-Key of its own. With a
-- pause each connection waits so long before each request.
-- At the end: "result REQUESTS MICROSECONDS P50_US P99_US REFUSED BROKEN".

local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local heads, tails, at = {}, {}, 0

function init(args)
    math.randomseed(os.time() * 64 + number)
    for line in io.lines(args[1]) do
        local method, path, token, body = line:match("^(%S+)\t(%S+)\t(%S*)\t(.*)$")
        local headers = { ["Authorization"] = "Bearer " .. token }
        if body ~= "" then
            headers["Content-Type"] = "application/json"
            headers["Idempotency-Key"] = "@@"
        else
            body = nil
        end
        local text = wrk.format(method, path, headers, body)
        local from, to = text:find("@@", 1, true)
        heads[#heads + 1] = from and text:sub(1, from - 1) or text
        tails[#heads] = from and text:sub(to + 1) or false
    end
    at = math.floor(#heads * number / 2)
    local pause_ms = tonumber(args[2])
    if pause_ms then
        function delay() return pause_ms end
    end
end

function request()
    at = at % #heads + 1
    local tail = tails[at]
    if not tail then return heads[at] end
    local key = ("%08x%08x%08x%08x"):format(math.random(0, 0x7fffffff), math.random(0, 0x7fffffff),
        math.random(0, 0x7fffffff), math.random(0, 0x7fffffff))
    return heads[at] .. key .. tail
end

function done(summary, latency)
    local errors = summary.errors
    io.write(("result %d %d %d %d %d %d\n"):format(summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end

-- What wrk sends: POST with the headers of a signed Invoke. Arguments: authorization, event, and further headers.
function init(args)
  wrk.method = "POST"
  wrk.body = args[2]
  wrk.headers["Authorization"] = args[1]
  wrk.headers["Content-Type"] = "application/json"
  for at = 3, #args do
    local name, value = args[at]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
end

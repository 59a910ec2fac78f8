"""The client of the Lambda Runtime API (2018-06-01) for Python functions.

It does what a function on AWS can notice: names and texts of errors, log lines, the context object, how results become
JSON. It runs on every Python from 3.8 on, with the standard library alone.

    loop ──▶ handler   finds the customer's handler
      │ ───▶ client    speaks HTTP to the platform
      │ ───▶ values    event and result, to and from JSON
      │ ───▶ context   the handler's second argument
      │ ───▶ faults    what an error looks like to the caller, in the log and in a trace
      └────▶ output    stdout, stderr and `logging`
"""

// The life of a runtime process: initialise once, then invocation after invocation.
//
// What a handler throws becomes an error answer; what escapes it, an exception or a rejection that nobody handles, is
// told to the platform and ends the process, as on AWS with status 129 or 128.
'use strict';

const { BufferedInvocation, check } = require('./buffered');
const { RuntimeApi } = require('./client');
const debug = require('./debugger');
const faults = require('./faults');
const handlers = require('./handler');
const output = require('./output');
const streamed = require('./streamed');

const UNCAUGHT = 129;
const UNHANDLED = 128;
const NEVER_LOADED = 13; // Node's own for a top-level await that is never settled

// A handler is called as a method of its `Runtime`, for on AWS that is how it stands in a stack, and what `this` is in it.
class Runtime {
  constructor() {
    this.handler = null;
    this._streams = false;
    this._asked = false;
    this._running = null;
    this._requestId = '';
    this._ending = false;
    this._api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API, (fields, text) => this._invoke(fields, text));
  }

  async start() {
    process.on('uncaughtException', (error) => this._end('Uncaught Exception', error, UNCAUGHT));
    process.on('unhandledRejection', (reason, promise) => {
      const error = faults.fault('UnhandledPromiseRejection', reason, { reason, promise });
      this._end('Unhandled Promise Rejection', error, UNHANDLED);
    });
    process.on('beforeExit', () => this._drained());
    try {
      const handler = await handlers.find(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
      this._streams = streamed.isStreaming(handler);
      if (!this._streams) check(handler);
      this.handler = handler;
    } catch (error) {
      this._end('Uncaught Exception', error, UNCAUGHT);
      return;
    }
    // A rejection that the function's modules have left behind is heard of only now, and is still an init that failed.
    setImmediate(() => this._ready());
  }

  // For an invocation

  succeed(json) {
    this._running = null;
    this._api.respond(this._requestId, json);
  }

  fail(thrown) {
    output.logFault('Invoke Error', thrown);
    this._running = null;
    const report = faults.reportOf(thrown);
    this._api.fail(this._requestId, JSON.stringify(report), faults.fieldsOf(thrown, report));
  }

  broken(thrown) {
    output.logFault('Invoke Error', thrown);
  }

  streamed() {
    this._running = null;
    this._api.next();
  }

  _ready() {
    if (this._ending) return;
    this._asked = true;
    this._api.next();
  }

  _invoke(fields, text) {
    this._requestId = fields['lambda-runtime-aws-request-id'];
    output.enter(this._requestId, fields['lambda-runtime-aws-tenant-id']);
    const trace = fields['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    this._running = this._streams
      ? new streamed.StreamedInvocation(this, this._api)
      : new BufferedInvocation(this);
    this._run(this._running, fields, text);
  }

  // Apart from what received it: few frames of ours in a stack, and what a handler enters into an AsyncLocalStorage is
  // not found there by the next.
  async _run(running, fields, text) {
    await undefined;
    running.run(fields, text);
  }

  _drained() {
    if (this._running !== null) this._running.drained();
    else if (this.handler === null) process.exitCode = NEVER_LOADED;
  }

  _end(title, error, status) {
    if (this._ending) return;
    this._ending = true;
    output.logFault(title, error);
    const leave = () => process.exit(status);
    const running = this._running;
    if (running instanceof streamed.StreamedInvocation && running.breakOff(error, leave)) return;
    const report = faults.reportOf(error);
    const fields = faults.fieldsOf(error, report);
    if (!this._asked) this._api.failInit(JSON.stringify(report), fields, leave);
    else if (running !== null) this._api.fail(this._requestId, JSON.stringify(report), fields, leave);
    else leave();
  }
}

// Serve the function that the environment describes, until the process ends.
function run() {
  output.install();
  globalThis.awslambda = streamed.awslambda;
  debug.wait();
  new Runtime().start();
}

module.exports = { run };

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

class Runtime {
  constructor() {
    this._handler = null;
    this._streams = false;
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
      this._handler = handler;
    } catch (error) {
      this._end('Uncaught Exception', error, UNCAUGHT);
      return;
    }
    this._api.next();
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

  _invoke(fields, text) {
    this._requestId = fields['lambda-runtime-aws-request-id'];
    output.enter(this._requestId, fields['lambda-runtime-aws-tenant-id']);
    const trace = fields['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    this._running = this._streams
      ? new streamed.StreamedInvocation(this._handler, this, this._api)
      : new BufferedInvocation(this._handler, this);
    const running = this._running;
    // Apart from what received it: few frames of ours in a stack, and what a handler enters into an AsyncLocalStorage
    // is not found there by the next.
    queueMicrotask(() => running.run(fields, text));
  }

  _drained() {
    if (this._running !== null) this._running.drained();
    else if (this._handler === null) process.exitCode = NEVER_LOADED;
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
    if (this._handler === null) this._api.failInit(JSON.stringify(report), fields, leave);
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

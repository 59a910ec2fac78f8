// An invocation whose result is sent whole: a handler that returns it, promises it, or hands it to a callback.
//
//   returned promise, context.done/succeed/fail ──▶ answered at once
//   callback(null, result) ──▶ answered when nothing is left to wait for, or at once as the handler chose
//   neither, and nothing left to wait for ──▶ null, or an error of an async handler
'use strict';

const context = require('./context');
const { fault } = require('./faults');

const NEVER_SETTLED =
  'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise ' +
  'that was never settled. For more information, see ' +
  'https://nodejs.org/docs/latest/api/process.html#exit-codes';
const CALLBACKS_REMOVED =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to ' +
  'modify this function to use a supported handler signature to use Node.js 24 or later. For more information see ' +
  'https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

class BufferedInvocation {
  // `runtime` has the handler and is told the outcome once: `succeed(json)` or `fail(thrown)`.
  constructor(runtime) {
    this._runtime = runtime;
    this._waits = true;
    this._called = false;
    this._completed = false;
    this._drained = () => this._neverCompleted();
  }

  run(fields, text) {
    const callback = this._onlyFirst((error, result) => this._callBack(error, result));
    try {
      const ways = this._waysToComplete();
      const result = this._runtime.handler(JSON.parse(text), context.describe(ways, fields), callback);
      if (result && typeof result.then === 'function') {
        result.then(ways.succeed, ways.fail).catch(ways.fail);
      }
    } catch (error) {
      callback(error);
    }
  }

  // Nothing keeps the process alive any more.
  drained() {
    this._drained();
  }

  _waysToComplete() {
    const invocation = this;
    const done = (error, result) => this._done(error, result);
    return {
      get callbackWaitsForEmptyEventLoop() {
        return invocation._waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        invocation._waits = value;
      },
      succeed: this._onlyFirst((result) => done(null, result)),
      fail: this._onlyFirst((error) => done(isMissing(error) ? 'handled' : error)),
      done: this._onlyFirst(done),
    };
  }

  // One that throws (its result is no JSON) does not count: the error can still be told.
  _onlyFirst(way) {
    return (...values) => {
      if (this._called) return;
      way(...values);
      this._called = true;
    };
  }

  _callBack(error, result) {
    if (isMissing(error) && this._waits) {
      this._drained = () => setImmediate(() => this._done(null, result));
    } else {
      this._done(error, result);
    }
  }

  _done(error, result) {
    this._drained = () => {};
    if (!isMissing(error)) {
      this._complete(() => this._runtime.fail(error));
    } else {
      const json = jsonOf(result);
      this._complete(() => this._runtime.succeed(json));
    }
  }

  _complete(answer) {
    if (this._completed) {
      console.error(
        'Invocation has already been reported as done. Cannot call complete more than once per invocation.',
      );
      return;
    }
    answer();
    this._completed = true; // unless that threw, which can still be told
  }

  _neverCompleted() {
    const { handler } = this._runtime;
    const isAsync = handler.constructor && handler.constructor.name === 'AsyncFunction';
    this._done(isAsync ? fault('NodeJsExit', NEVER_SETTLED) : null, null);
  }
}

function isMissing(value) {
  return value === undefined || value === null;
}

function jsonOf(result) {
  const json = stringify(result === undefined ? null : result);
  // A function, or a symbol; the words are those of AWS's client.
  if (json === undefined) throw new TypeError('Wrong arguments');
  return json;
}

function stringify(result) {
  try {
    return JSON.stringify(result);
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

// Refuse what the runtime that the function names has no more. Throws.
function check(handler) {
  const [, major] = /nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV || '') || [];
  if (Number(major) >= 24 && handler.length >= 3) throw fault('CallbackHandlerDeprecated', CALLBACKS_REMOVED);
}

module.exports = { BufferedInvocation, check };

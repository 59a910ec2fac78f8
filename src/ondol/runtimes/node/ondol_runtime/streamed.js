// An invocation whose result is sent as it comes into being, by a handler that `awslambda.streamifyResponse` has made.
//
// An error is told in the trailers of the result, even if nothing was written. One after its end is only logged.
'use strict';

const { Writable } = require('stream');
const context = require('./context');
const { fault, headerText, reportOf } = require('./faults');

const KIND = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PLAIN = 'application/octet-stream';
const WITH_PRELUDE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);
const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';

// The global `awslambda`.
const awslambda = {
  streamifyResponse(handler, options) {
    handler[KIND] = 'response';
    if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = options.highWaterMark;
    return handler;
  },

  HttpResponseStream: class HttpResponseStream {
    // The stream again; status, headers and cookies of an HTTP response go before what is written to it.
    static from(stream, prelude) {
      stream.setContentType(WITH_PRELUDE);
      const text = JSON.stringify(prelude);
      stream._onBeforeFirstWrite = (write) => {
        write(text);
        write(PRELUDE_END);
      };
      return stream;
    }
  },
};

// Whether a handler streams. Throws for a kind of streaming that there is not.
function isStreaming(handler) {
  const kind = handler[KIND];
  if (kind === undefined || kind === null || kind === false) return false;
  if (kind !== 'response') throw fault('MalformedStreamingHandler', 'Only response streaming is supported.');
  return true;
}

class ResponseStream extends Writable {
  constructor(api, id, options) {
    super({ ...options, decodeStrings: true });
    this.begun = false;
    this._api = api;
    this._id = id;
    this._contentType = PLAIN;
    this._onBeforeFirstWrite = undefined;
    this._written = false;
    this.taken = new Promise((resolve) => {
      this._wasTaken = resolve;
    });
  }

  setContentType(type) {
    if (this._written) throw fault('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this._contentType = type;
  }

  // As on AWS, what goes before the first write does not go before an end.
  write(chunk, ...rest) {
    if (!this._written) {
      this._written = true;
      if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((piece) => super.write(piece));
    }
    return super.write(bytesOrText(chunk), ...rest);
  }

  end(chunk, ...rest) {
    const nothing = chunk === undefined || chunk === null || typeof chunk === 'function';
    return super.end(nothing ? chunk : bytesOrText(chunk), ...rest);
  }

  // Tell in the trailers what went wrong; `taken` follows.
  breakOff(thrown) {
    this._begin();
    const report = reportOf(thrown);
    const body = Buffer.from(JSON.stringify(report)).toString('base64');
    this._api.end(`${ERROR_TYPE}: ${headerText(report.errorType)}\r\n${ERROR_BODY}: ${body}\r\n`, this._wasTaken);
    this._api = null;
    this.destroy();
  }

  _write(chunk, _encoding, done) {
    this._begin();
    if (this._api === null || chunk.length === 0) done();
    else this._api.write(chunk, done);
  }

  _final(done) {
    this._begin();
    if (this._api !== null) this._api.end('', this._wasTaken);
    done();
  }

  _begin() {
    if (this.begun || this._api === null) return;
    this.begun = true;
    this._api.begin(
      this._id,
      `Content-Type: ${headerText(this._contentType)}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n` +
        `Trailer: ${ERROR_TYPE}, ${ERROR_BODY}\r\n`,
    );
  }
}

class StreamedInvocation {
  // `runtime` has the handler. It is told `streamed()` once, and before that `broken(thrown)` if something went wrong.
  constructor(runtime, api) {
    this._runtime = runtime;
    this._api = api;
    this._waits = true;
    this._over = false;
    this._drained = () => this._fail('Response stream is not finished.');
  }

  run(fields, text) {
    const id = fields['lambda-runtime-aws-request-id'];
    const highWaterMark = this._runtime.handler[HIGH_WATER_MARK];
    this._stream = new ResponseStream(this._api, id, highWaterMark === undefined ? {} : { highWaterMark });
    this._stream.taken.then(() => {
      this._taken = true;
    });
    this._serve(fields, text).catch((error) => this._fail(error));
  }

  drained() {
    this._drained();
  }

  // Break off what has begun, and call `then` when that is told; false if nothing has.
  breakOff(thrown, then) {
    if (!this._stream.begun || this._taken) return false;
    this._tell(thrown, then);
    return true;
  }

  async _serve(fields, text) {
    const invocation = this;
    const own = {
      get callbackWaitsForEmptyEventLoop() {
        return invocation._waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        invocation._waits = value;
      },
    };
    const promise = this._runtime.handler(JSON.parse(text), this._stream, context.describe(own, fields));
    if (!promise || typeof promise.then !== 'function') {
      this._fail('Streaming does not support non-async handlers.');
      return;
    }
    const result = await promise;
    if (result !== undefined) console.warn('Streaming handlers ignore return values.');
    await this._stream.taken;
    this._end(() => this._runtime.streamed());
  }

  _fail(thrown) {
    if (this._over) return;
    this._runtime.broken(thrown);
    const asked = () => this._end(() => this._runtime.streamed());
    if (!this._stream.writableEnded) this._tell(thrown, asked);
    else this._stream.taken.then(asked);
    this._over = true;
  }

  _tell(thrown, then) {
    this._over = true;
    this._stream.taken.then(then);
    this._stream.breakOff(thrown);
  }

  // The next invocation is asked for when nothing of this one is left, unless the handler chose otherwise.
  _end(ask) {
    this._over = true;
    if (this._waits) this._drained = () => setImmediate(ask);
    else ask();
  }
}

function bytesOrText(chunk) {
  return typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
}

module.exports = { StreamedInvocation, awslambda, isStreaming };

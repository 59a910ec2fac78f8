// HTTP/1.1 to the platform over one kept-alive connection, written for few system calls.
//
// The answer to an invocation and the request for the next one leave in one write. The connection keeps the process
// alive only while an answer of the platform is awaited, so that Node itself says when a handler has left nothing to
// wait for. It knows nothing of handlers or errors.
'use strict';

const net = require('net');

const API = '/2018-06-01/runtime';
const JSON_TYPE = 'Content-Type: application/json\r\n';
const RECEIVE_BYTES = 65536;
const HEAD_END = Buffer.from('\r\n\r\n');

class RuntimeApi {
  // The runtime's side of the Runtime API at `address` ("host:port"). `deliver` is called with each invocation: its
  // headers by lower-case name, and its event as text. Without a platform there is nobody to work for: the process
  // ends.
  constructor(address, deliver) {
    this._address = address;
    this._deliver = deliver;
    this._host = `Host: ${address}\r\n`;
    this._askNext = `GET ${API}/invocation/next HTTP/1.1\r\n${this._host}\r\n`;
    this._received = Buffer.allocUnsafe(RECEIVE_BYTES);
    this._connect();
    this._socket.unref();
  }

  // Ask for the next invocation.
  next() {
    this._await(this._invoked);
    this._socket.write(this._askNext, 'latin1');
  }

  // Answer an invocation with its result, as JSON, and ask for the next.
  respond(id, body) {
    this._await(this._posted, this._invoked);
    this._post(`invocation/${id}/response`, JSON_TYPE, body, this._askNext);
  }

  // Answer an invocation with an error, and ask for the next; with `then`, call that instead once it is told.
  fail(id, body, fields, then) {
    if (then) this._await(then);
    else this._await(this._failed, this._invoked);
    this._post(`invocation/${id}/error`, JSON_TYPE + fields, body, then ? '' : this._askNext);
  }

  // Say that there is no function to invoke; `then` is called when that is told.
  failInit(body, fields, then) {
    this._await(then);
    this._post('init/error', JSON_TYPE + fields, body, '');
  }

  // Begin a result of unknown length: `write` and `end` follow.
  begin(id, fields) {
    const head = `POST ${API}/invocation/${id}/response HTTP/1.1\r\n${this._host}${fields}`;
    this._socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`, 'latin1');
  }

  // Send a piece of it, not empty; `sent` is called when there is room for more.
  write(piece, sent) {
    this._socket.cork();
    this._socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
    this._socket.write(piece);
    this._socket.write('\r\n', 'latin1', sent);
    this._socket.uncork();
  }

  // End it, with `trailers` behind it; `then` is called when the platform has all of it.
  end(trailers, then) {
    this._await(then);
    this._socket.write(`0\r\n${trailers}\r\n`, 'latin1');
  }

  _post(path, fields, body, after) {
    const length = Buffer.byteLength(body);
    const head = `POST ${API}/${path} HTTP/1.1\r\n${this._host}${fields}Content-Length: ${length}\r\n\r\n`;
    // What is ASCII need not be encoded.
    this._socket.write(head + body + after, length === body.length ? 'latin1' : 'utf8');
  }

  _await(...takers) {
    this._awaited.push(...takers);
    this._socket.ref();
  }

  _connect() {
    const [host, port] = this._address.split(':');
    this._awaited = [];
    this._head = null;
    this._body = null;
    this._filled = 0;
    const taken = (count) => {
      this._take(this._received.subarray(0, count));
      return true;
    };
    const socket = net.connect({ host, port: Number(port), onread: { buffer: this._received, callback: taken } });
    socket.setNoDelay(true);
    socket.on('error', () => {}); // `close` follows
    socket.on('close', () => this._lost(socket));
    this._socket = socket;
  }

  _lost(socket) {
    if (socket !== this._socket) return;
    const [taker] = this._awaited;
    if (taker !== this._posted && taker !== this._failed) process.exit(1);
    // Refused half-way through a body: the answer may be lost with the connection.
    taker(0);
    this._reconnect();
  }

  _reconnect() {
    const asked = this._awaited.includes(this._invoked);
    this._socket.destroy();
    this._connect();
    if (asked) this.next();
  }

  _take(data) {
    while (data.length > 0) {
      if (this._body === null) data = this._begin(data);
      else data = this._continue(data);
    }
  }

  _begin(data) {
    if (this._head !== null) data = Buffer.concat([this._head, data]);
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      this._head = Buffer.from(data);
      return data.subarray(data.length);
    }
    this._head = null;
    const head = headOf(data.toString('utf8', 0, end));
    const start = end + HEAD_END.length;
    const stop = start + Number(head.fields['content-length'] || 0);
    if (data.length < stop) {
      this._answer = head;
      this._body = Buffer.allocUnsafe(stop - start);
      this._filled = data.copy(this._body, 0, start);
      return data.subarray(data.length);
    }
    this._answered(head, data.subarray(start, stop));
    return data.subarray(stop);
  }

  _continue(data) {
    const copied = data.copy(this._body, this._filled);
    this._filled += copied;
    if (this._filled === this._body.length) {
      const body = this._body;
      this._body = null;
      this._answered(this._answer, body);
    }
    return data.subarray(copied);
  }

  _answered(head, body) {
    const taker = this._awaited.shift();
    if (this._awaited.length === 0) this._socket.unref();
    const closing = head.fields.connection === 'close';
    taker.call(this, head.status, head.fields, body);
    if (closing) this._reconnect();
  }

  _posted(status) {
    if (status !== 202) complain('success', status);
  }

  _failed(status) {
    if (status !== 202) complain('failure', status);
  }

  _invoked(status, fields, body) {
    if (status !== 200) {
      process.stderr.write(`invocation/next was answered ${status}: ${body}\n`);
      process.exit(1);
    }
    this._deliver(fields, body.toString('utf8'));
  }
}

function complain(kind, status) {
  const reason = status ? `Http response code: ${status}.` : 'No Response from endpoint.';
  process.stderr.write(`[ERROR] [${Date.now()}] LAMBDA_RUNTIME Failed to post handler ${kind} response. ${reason}\n`);
}

function headOf(text) {
  const fields = {};
  const lines = text.split('\r\n');
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index];
    const colon = line.indexOf(':');
    fields[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(text.slice(9, 12)), fields };
}

module.exports = { RuntimeApi };

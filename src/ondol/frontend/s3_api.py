"""S3 passing the door: what it tells functions, as of who stores and deletes objects through ondol.

The server behind has the objects, and every answer is its own. What ondol keeps is who is to be told. An answer to a
request that somebody is told of is sent once their invocations are on disk: if that fails, the client is told of an
error and tries again, as S3's clients do.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from ondol.aws.protocols import XML, Protocol, failure
from ondol.aws.remote import Remote, RemoteError, RemoteUnavailable
from ondol.aws.s3_notifications import split_configuration, with_own
from ondol.aws.s3_requests import S3Call, S3Kind, s3_call
from ondol.aws.xml_documents import MalformedXml, at, name_of, parse_xml, text
from ondol.frontend.answers import send_reply
from ondol.frontend.forwarding import Forwarding, WholeAnswer
from ondol.frontend.passing import Passing, TooLong, once
from ondol.model.errors import PlatformError
from ondol.triggers.api import Buckets, NotificationRefused, ObjectEvent, Requester, Told

PROTOCOL = Protocol.S3
_HERE = "127.0.0.1"
_DOCUMENT_BYTES = 2_097_152
_STATUS = {"NotImplemented": 501, "InternalError": 500, "AccessDenied": 403, "EntityTooLarge": 400}


class _S3Error(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class S3Api:
    def __init__(self, buckets: Buckets, forwarding: Forwarding, remote: Remote) -> None:
        self._buckets = buckets
        self._forwarding = forwarding
        self._remote = remote

    async def serve(self, passing: Passing) -> None:
        """Answer with what the server answers. Raises `EndpointFailed`, and what the request's body raises."""
        request, response = passing.request, passing.response
        host = request.headers.get("host", "")
        call = s3_call(request.method, host, request.path, request.query, request.headers)
        try:
            if call.kind is S3Kind.PUT_NOTIFICATIONS:
                await self._configure(passing, call.bucket)
            elif self._buckets.told_by(call.bucket) is None or call.kind is S3Kind.OTHER:
                await self._forwarding.forward(passing.endpoint, request, passing.body, response)
            elif call.kind is S3Kind.GET_NOTIFICATIONS:
                await self._show(passing, call.bucket)
            elif call.kind is S3Kind.DELETE_BUCKET:
                answer = await passing.gathered(self._forwarding)
                if answer.succeeded:
                    await self._buckets.forget(call.bucket)
                answer.send(response)
            else:
                await self._tell(passing, call)
        except (_S3Error, NotificationRefused) as error:
            _refuse(passing, error.code, str(error))
        except MalformedXml as error:
            _refuse(passing, "InternalError", f"The answer of the server at {passing.endpoint} is not S3's: {error}.")
        except TooLong:
            _refuse(passing, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        except PlatformError as error:
            _refuse(passing, "InternalError", str(error))

    # Configurations

    async def _configure(self, passing: Passing, bucket: str) -> None:
        document = await passing.read(_DOCUMENT_BYTES)
        try:
            functions, to_events, rest = split_configuration(document)
        except MalformedXml as error:
            raise _S3Error("MalformedXML", f"The XML you provided was not well-formed: {error}.") from error
        told = Told(tuple(functions), to_events)
        owner = passing.owner
        if passing.sandboxed and (told != Told() or self._buckets.told_by(bucket) is not None):
            raise _S3Error("AccessDenied", "Code in a function may not change which functions a bucket invokes.")
        if not functions:
            answer = await passing.gathered(self._forwarding, document)
            if answer.succeeded:
                await self._buckets.keep(bucket, owner, told)
            answer.send(passing.response)
            return
        await self._buckets.check(bucket, owner, functions)
        try:
            # What is left of the configuration is not what the client has signed: ondol asks for it by itself.
            await self._remote.put_notifications(owner.account, owner.region, bucket, rest)
        except RemoteError as error:
            send_reply(passing.response, failure(PROTOCOL, error.status, error.code, error.message, passing.request_id))
            return
        except RemoteUnavailable as error:
            raise _S3Error("InternalError", str(error)) from error
        await self._buckets.keep(bucket, owner, told)
        passing.response.send(200)

    async def _show(self, passing: Passing, bucket: str) -> None:
        answer = await passing.gathered(self._forwarding)
        if not answer.succeeded:
            answer.send(passing.response)
            return
        told = self._buckets.told_by(bucket) or Told()
        body = with_own(answer.body, told.notifications, told.to_events)
        passing.response.send(200, (("Content-Type", XML),), body)

    # Objects

    async def _tell(self, passing: Passing, call: S3Call) -> None:
        counted = _Counted(passing.body)
        document = b""
        if call.kind is S3Kind.DELETE_OBJECTS:
            document = await passing.read(_DOCUMENT_BYTES)
            counted = _Counted(once(document))
        answer = await passing.gathered(self._forwarding, counted)
        if answer.succeeded and not _is_error(answer.body):
            if call.kind is S3Kind.DELETE_OBJECTS:
                events = await asyncio.to_thread(_removed_together, document, answer.body)
            else:
                events = [await self._event(passing, call, counted.size, answer)]
            peer = passing.request.peer
            address = peer[0] if peer is not None else _HERE
            caller = passing.caller
            who = Requester(caller.account, caller.user_id, address, passing.request_id, passing.trace)
            await self._buckets.happened(call.bucket, who, events)
        answer.send(passing.response)

    async def _event(self, passing: Passing, call: S3Call, size: int, answer: WholeAnswer) -> ObjectEvent:
        caller = passing.caller
        version = answer.field("x-amz-version-id")
        if call.kind is S3Kind.DELETE_OBJECT:
            marked = answer.field("x-amz-delete-marker") == "true" and call.version is None
            return _removed(call.kind, call.key, version or call.version, marked)
        if call.kind is S3Kind.PUT_OBJECT:
            whole = passing.request.headers.get("x-amz-decoded-content-length", "")
            stored = int(whole) if whole.isdecimal() else size
            return _created("Put", call, stored, answer.field("etag"), version)
        how = "Copy" if call.kind is S3Kind.COPY_OBJECT else "CompleteMultipartUpload"
        try:
            stored = await self._remote.object_size(caller.account, caller.region, call.bucket, call.key)
        except (RemoteError, RemoteUnavailable) as error:
            raise _S3Error("InternalError", f"{call.key} is stored, but not to be seen: {error}") from error
        etag = text(parse_xml(answer.body), "ETag")
        return _created(how, call, stored, etag, version)


def _created(how: str, call: S3Call, size: int, etag: str | None, version: str | None) -> ObjectEvent:
    return ObjectEvent(
        f"ObjectCreated:{how}", call.key, call.kind.value, size, (etag or "").strip('"') or None, version
    )


def _removed(kind: S3Kind, key: str, version: str | None, marked: bool) -> ObjectEvent:
    how = "DeleteMarkerCreated" if marked else "Delete"
    return ObjectEvent(f"ObjectRemoved:{how}", key, kind.value, None, None, version)


def _removed_together(document: bytes, answer: bytes) -> list[ObjectEvent]:
    """What DeleteObjects did away with: all that was asked for but what the answer has an error for.

    With Quiet the answer tells of errors alone.
    """
    told = parse_xml(answer)
    failed = {(text(each, "Key"), text(each, "VersionId")) for each in at(told, "Error")}
    marks = {text(each, "Key"): each for each in at(told, "Deleted")}
    events = []
    for wanted in at(parse_xml(document), "Object"):
        key, version = text(wanted, "Key") or "", text(wanted, "VersionId")
        if (key, version) in failed or (key, None) in failed:
            continue
        told_of = marks.get(key)
        marked = told_of is not None and version is None and text(told_of, "DeleteMarker") == "true"
        made = text(told_of, "DeleteMarkerVersionId") if told_of is not None else None
        events.append(_removed(S3Kind.DELETE_OBJECTS, key, version or made, marked))
    return events


def _refuse(passing: Passing, code: str, message: str) -> None:
    reply = failure(PROTOCOL, _STATUS.get(code, 400), code, message, passing.request_id)
    send_reply(passing.response, reply)


def _is_error(document: bytes) -> bool:
    """Whether an answer that began with 200 is an error nevertheless, as those are that take long."""
    return b"<Error>" in document and name_of(parse_xml(document)) == "Error"


class _Counted:
    """A body, and how many bytes it had."""

    def __init__(self, body: AsyncIterable[bytes]) -> None:
        self._body = body
        self.size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self.size += len(piece)
            yield piece

"""Requests to SNS, and answers in its form, as far as ondol looks into them: the query protocol.

Source: SNS API reference (2010-03-31).
"""

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from ondol.aws.protocols import XML
from ondol.aws.reply import WireReply
from ondol.aws.xml_documents import add, at, parse_xml, written
from ondol.model.sns import Message, MessageAttribute

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"

Form = Mapping[str, str]


def form_of(query: str, body: bytes) -> dict[str, str]:
    """The parameters of a request, `Action` among them."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return dict(pairs + parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def attributes_of(form: Form) -> dict[str, str]:
    """`Attributes` of Subscribe."""
    return {entry["key"]: entry.get("value", "") for entry in _entries(form, "Attributes.entry.") if "key" in entry}


def message_of(form: Form, id: str, trace: str | None, prefix: str = "") -> Message:
    """The message of a Publish, or of one entry of a PublishBatch, under the id that it got."""
    attributes = {
        entry["Name"]: MessageAttribute(entry.get("Value.DataType", "String"), _attribute_value(entry))
        for entry in _entries(form, f"{prefix}MessageAttributes.entry.")
        if "Name" in entry
    }
    structured = form.get(f"{prefix}MessageStructure") == "json"
    return Message(id, form.get(f"{prefix}Message", ""), form.get(f"{prefix}Subject"), attributes, structured, trace)


def batch_of(form: Form) -> dict[str, str]:
    """The prefix of each entry of a PublishBatch, by the id that the client has for it."""
    start = "PublishBatchRequestEntries.member."
    numbers = {name[len(start) :].partition(".")[0] for name in form if name.startswith(start)}
    return {form.get(f"{start}{number}.Id", ""): f"{start}{number}." for number in numbers}


def answered(operation: str, request_id: str, result: str = "") -> WireReply:
    """A success; `result` is XML."""
    inner = f"<{operation}Result>{result}</{operation}Result>" if result else ""
    body = (
        f'<{operation}Response xmlns="{NAMESPACE}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return WireReply(200, {"Content-Type": XML, "x-amzn-RequestId": request_id}, body.encode())


def element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def entries(attributes: Mapping[str, str]) -> str:
    """A map, as SNS writes one."""
    return "".join(
        f"<entry>{element('key', key)}{element('value', value)}</entry>" for key, value in attributes.items()
    )


def with_subscriptions(document: bytes, shown: Iterable[Mapping[str, str]]) -> bytes:
    """The server's list of subscriptions with these at its end, if this is its last page. Raises `MalformedXml`."""
    root = parse_xml(document)
    for result in root:
        if at(result, "NextToken"):
            return document
        for listed in at(result, "Subscriptions"):
            for attributes in shown:
                member = add(listed, NAMESPACE, "member")
                for name, value in attributes.items():
                    add(member, NAMESPACE, name, value)
    return written(root, NAMESPACE)


def _entries(form: Form, start: str) -> list[dict[str, str]]:
    """Members of a list or map that is written as `start` NUMBER `.` name."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if name.startswith(start):
            number, _, inner = name[len(start) :].partition(".")
            if number.isdecimal():
                found.setdefault(int(number), {})[inner] = value
    return [found[number] for number in sorted(found)]


def _attribute_value(entry: Mapping[str, str]) -> str:
    """A text, or base64 as it came."""
    return entry.get("Value.StringValue", entry.get("Value.BinaryValue", ""))

"""Notification configurations of buckets as S3's clients write and read them. Source: S3 API reference."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from ondol.aws.xml_documents import MalformedXml, add, at, name_of, parse_xml, text, texts, written
from ondol.model.s3 import FunctionNotification

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_FUNCTION_FIELDS = ("CloudFunction", "LambdaFunctionArn")
_FUNCTION_CONFIGURATIONS = ("CloudFunctionConfiguration", "LambdaFunctionConfiguration")


def split_configuration(document: bytes) -> tuple[list[FunctionNotification], bool, bytes]:
    """What is for functions, whether EventBridge is told of everything, and the document without what is for functions.

    Raises `MalformedXml`.
    """
    root = parse_xml(document)
    if name_of(root) != "NotificationConfiguration":
        raise MalformedXml("it is no NotificationConfiguration")
    functions = [child for child in root if name_of(child) in _FUNCTION_CONFIGURATIONS]
    for child in functions:
        root.remove(child)
    return [_notification(child) for child in functions], bool(at(root, "EventBridgeConfiguration")), _document(root)


def with_own(document: bytes, notifications: Sequence[FunctionNotification], to_events: bool) -> bytes:
    """The server's configuration, and what ondol has beside it. Raises `MalformedXml`."""
    root = parse_xml(document)
    if to_events and not at(root, "EventBridgeConfiguration"):
        add(root, NAMESPACE, "EventBridgeConfiguration")
    for each in notifications:
        shown = add(root, NAMESPACE, "CloudFunctionConfiguration")
        add(shown, NAMESPACE, "Id", each.id)
        add(shown, NAMESPACE, "CloudFunction", each.function)
        for event in each.events:
            add(shown, NAMESPACE, "Event", event)
        rules = [
            (name, value) for name, value in (("prefix", each.prefix), ("suffix", each.suffix)) if value is not None
        ]
        if rules:
            key = add(add(shown, NAMESPACE, "Filter"), NAMESPACE, "S3Key")
            for name, value in rules:
                rule = add(key, NAMESPACE, "FilterRule")
                add(rule, NAMESPACE, "Name", name)
                add(rule, NAMESPACE, "Value", value)
    return _document(root)


def _notification(element: Element) -> FunctionNotification:
    function = next((found for name in _FUNCTION_FIELDS if (found := text(element, name))), None)
    events = tuple(texts(element, "Event"))
    if function is None or not events:
        raise MalformedXml("a configuration for a function names the function and its events")
    rules: dict[str, str] = {}
    for rule in at(element, "Filter", "S3Key", "FilterRule"):
        name = (text(rule, "Name") or "").lower()
        if name not in {"prefix", "suffix"} or name in rules:
            raise MalformedXml("a filter has one prefix and one suffix at most")
        rules[name] = text(rule, "Value") or ""
    return FunctionNotification(text(element, "Id") or "", function, events, rules.get("prefix"), rules.get("suffix"))


def _document(root: Element) -> bytes:
    return written(root, NAMESPACE)

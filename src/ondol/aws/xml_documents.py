"""XML of clients and servers: read without trust, and found in whatever namespace it has."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

_SPACES = b" \t\r\n"


class MalformedXml(ValueError):
    """What is no XML, or not of the shape that it should have; the text says why."""


class _WithoutDtd(ElementTree.TreeBuilder):
    """Entities are of no use here but to fill our memory."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise MalformedXml("it has a document type")


def parse_xml(document: bytes) -> Element:
    """Spaces before it, by which servers say that they still work, are none of it. Raises `MalformedXml`."""
    try:
        return ElementTree.fromstring(document.lstrip(_SPACES), ElementTree.XMLParser(target=_WithoutDtd()))
    except MalformedXml:
        raise
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter for encodings
        raise MalformedXml(str(error)) from error


def written(root: Element, namespace: str) -> bytes:
    """The document, with `namespace` as the one that needs no prefix."""
    ElementTree.register_namespace("", namespace)
    body: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def name_of(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def at(element: Element, *path: str) -> Sequence[Element]:
    """All elements at this path."""
    found = [element]
    for name in path:
        found = [child for each in found for child in each if name_of(child) == name]
    return found


def texts(element: Element, *path: str) -> list[str]:
    """The texts of all elements at this path."""
    return [each.text or "" for each in at(element, *path)]


def text(element: Element, *path: str) -> str | None:
    return next(iter(texts(element, *path)), None)


def add(element: Element, namespace: str, name: str, value: str | None = None) -> Element:
    """A new child, the last."""
    child = SubElement(element, f"{{{namespace}}}{name}")
    child.text = value
    return child

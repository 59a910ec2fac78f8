"""What keeps an image from being a runtime."""

from ondol.model.errors import OndolError


class ImageError(OndolError):
    """An image that cannot be used: the text is a sentence without its full stop, and names the image."""


class RegistryUnreachable(ImageError):
    """The registry did not answer: an image fetched earlier may still do."""

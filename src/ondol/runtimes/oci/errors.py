"""What keeps an image from being run."""

from ondol.model.errors import OndolError


class ImageError(OndolError):
    """An image that cannot be used: the text is a sentence without its full stop, and names the image."""


class ImageAbsent(ImageError):
    """There is none of that name."""


class ImageForbidden(ImageError):
    """Its registry does not let us have it."""


class ImageNotKept(ImageError):
    """This machine could not keep it, or find it again."""


class RegistryUnreachable(ImageError):
    """The registry did not answer: an image fetched earlier may still do."""


KINDS = {kind.__name__: kind for kind in (ImageError, ImageAbsent, ImageForbidden, ImageNotKept, RegistryUnreachable)}
"""By name, for who hears of one from another process."""

"""ondol: a self-hosted function platform that does what is inside AWS Lambda."""

__version__ = "0.1.0"

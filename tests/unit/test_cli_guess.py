"""What a package is taken for."""

import pytest

from ondol.cli.guess import guess


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"lambda_function.py": "def lambda_handler(e, c): pass"}, ("python", "lambda_function.lambda_handler")),
        ({"app.py": "async def handler(e, c): pass"}, ("python", "app.handler")),
        ({"main.py": "from app.api import handler"}, ("python", "main.handler")),
        ({"main.py": "handler = Mangum(app)"}, ("python", "main.handler")),
        ({"app.py": "x = 1", "main.py": "def main(e, c): pass"}, ("python", "main.main")),
        ({"app.py": "class handler: ..."}, ("python", "app.handler")),
        ({"index.mjs": "export const handler = async (event) => {}"}, ("nodejs", "index.handler")),
        ({"index.js": "exports.handler = async () => 1"}, ("nodejs", "index.handler")),
        ({"index.js": "module.exports = { handler };"}, ("nodejs", "index.handler")),
        ({"app.js": "module.exports = {\n  handler: async () => 1,\n}"}, ("nodejs", "app.handler")),
        ({"index.mjs": "const handler = 1;\nexport { other, handler };"}, ("nodejs", "index.handler")),
        ({"bootstrap": "\x7fELF", "app.py": "def handler(e, c): pass"}, ("provided", "bootstrap")),
        ({"app.py": "def handler(:"}, None),
        ({"app.py": "def run(e, c): pass"}, None),
        ({"src/app.py": "def handler(e, c): pass"}, None),
        ({}, None),
    ],
)
def test_guesses(files: dict[str, str], expected: tuple[str, str] | None) -> None:
    guessed = guess(files, lambda name: files[name].encode())
    assert (guessed[:2] if guessed else None) == expected

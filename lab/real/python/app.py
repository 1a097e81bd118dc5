"""A page that says who answers."""

# What it needs is in its image, and not where its types are checked.
# mypy: ignore-errors

from __future__ import annotations

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def page() -> str:
    """The page."""
    return f"python says hello as user {os.getuid() != 0 and 'app'}\n"

"""The template language of `--format`: Go's text/template, as far as Docker users meet it.

`lexer` cuts the text into tokens, `parser` makes nodes of them, `evaluate` runs the nodes over
values (`values`, `schema`), `functions` holds what templates can call, and `docker` is the
entrance: it knows `json`, `table …` and the words Docker uses when a template is wrong.
"""

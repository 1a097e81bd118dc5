"""Reports of a matrix: HTML, JUnit XML, JSON and Markdown, all out of one JSON document."""

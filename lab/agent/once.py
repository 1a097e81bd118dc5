"""Do one thing that the agent does, where no serial port leads to it: over ssh.

`python3 -m lab.agent.once` reads a request as JSON from its standard input and writes the answer
to its standard output.
"""

from __future__ import annotations

import json
import sys

from lab.agent.agent import answer


def main() -> None:
    """Do it."""
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()

"""`python -m lading.oci.cli`."""

from __future__ import annotations

import sys

from lading.oci.cli.main import main

sys.exit(main())

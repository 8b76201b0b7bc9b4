"""Write partners/schema.json from the models that read the profiles: python tools/partner_schema.py FILE."""

import json
import pathlib
import sys

from gateway.profiles import json_schema


def text() -> str:
    """Return the schema as it is kept in the tree."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(text(), encoding="utf-8")

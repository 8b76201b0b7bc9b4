"""Makes tests/vectors/envelope/*.json: what an opener of envelopes must answer, and why.

    python -m tests.vectors.make_vectors            write the files again, byte for byte the same
    python -m tests.vectors.make_vectors --renew    also make encapsulations that encapsulations.json does not have yet

Everything is derived from fixed seeds. Only HPKE chooses its own randomness, so that encapsulations are made once and
kept in encapsulations.json, by the digest of key, secret and info.
"""

import argparse
import json
from pathlib import Path

from tests.vectors.cases import malicious, on_the_way, opening
from tests.vectors.sealer import Maker, to_json

HERE = Path(__file__).parent
FOLDER = HERE / "envelope"
ENCAPSULATIONS = HERE / "encapsulations.json"


def make(encapsulations: dict[str, str], *, renew: bool = False) -> dict[str, str]:
    """Return the text of every vector by file name."""
    maker = Maker(encapsulations, renew=renew)
    texts: dict[str, str] = {}
    for group in (opening, on_the_way, malicious):
        for name, case in group(maker):
            assert name not in texts, name
            texts[f"{name}.json"] = json.dumps(to_json(case), indent=1, ensure_ascii=False) + "\n"
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renew", action="store_true")
    renew = parser.parse_args().renew
    encapsulations = json.loads(ENCAPSULATIONS.read_text()) if ENCAPSULATIONS.exists() else {}
    texts = make(encapsulations, renew=renew)
    if renew:
        ENCAPSULATIONS.write_text(json.dumps(encapsulations, indent=1, sort_keys=True) + "\n")
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()

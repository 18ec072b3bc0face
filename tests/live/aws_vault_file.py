"""Writes aws-vault's encrypted files with joserfc, an implementation that is not ours.

    echo '{"work": {"AccessKeyID": "AKIA…", "SecretAccessKey": "…"}}' |
        PASSPHRASE=… python tests/live/aws_vault_file.py FOLDER

The header is that of aws-vault's library (jose2go), `created` included.
"""

import base64
import json
import os
import pathlib
import sys

from joserfc import jwe
from joserfc.jwk import OctKey

ALGORITHMS = ["PBES2-HS256+A128KW", "A256GCM"]
HEADER = {
    "alg": ALGORITHMS[0],
    "enc": ALGORITHMS[1],
    "p2c": 8192,
    "created": "2026-01-01 00:00:00 +0000 UTC",
}


def main():
    registry = jwe.JWERegistry(algorithms=ALGORITHMS, strict_check_header=False)
    key = OctKey.import_key(os.environ["PASSPHRASE"])
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    for name, credential in json.load(sys.stdin).items():
        data = base64.b64encode(json.dumps(credential).encode()).decode()
        item = json.dumps({"Key": name, "Data": data, "Label": "", "Description": ""})
        text = jwe.encrypt_compact(HEADER, item, key, registry=registry)
        escaped = name.replace("%", "%25").replace("/", "%2F")
        (folder / escaped).write_text(text)


main()

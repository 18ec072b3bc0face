"""Runs every case of tests/cases/resolve through the real botocore.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install botocore
    /tmp/venv/bin/python tests/live/botocore_resolves.py

Asks no service: processes, STS, SSO, containers and metadata are stand-ins. Compares
with the column `cli_v1` of each expected.json, without line numbers; exit 1 if any
case differs.
"""

import json
import os
import pathlib
import re
import sys
import tempfile

import botocore.credentials
import botocore.exceptions
import botocore.session

CASES = pathlib.Path(__file__).parent.parent / "cases" / "resolve"
ANSWERS = sys.argv[1:] == ["answers"]
CONTAINER = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


class Sts:
    """Answers AssumeRole with the key that signed it in the new key's id."""

    def __init__(self, signer):
        self.signer = signer

    def assume_role(self, **_):
        return {
            "Credentials": {
                "AccessKeyId": f"role({self.signer})",
                "SecretAccessKey": "x",
                "SessionToken": "x",
                "Expiration": "2099-01-01T00:00:00Z",
            }
        }


class Process:
    """Stands for a credential_process that works, and answers its first argument."""

    returncode = 0

    def __init__(self, command, **_):
        self.key = " ".join(["process", *command[1:2]]) if ANSWERS else "process"

    def communicate(self):
        answer = {"Version": 1, "AccessKeyId": self.key, "SecretAccessKey": "x"}
        return json.dumps(answer).encode(), b""


def named(name):
    return botocore.credentials.Credentials(name, "x")


def stand_in(provider):
    """Replaces whatever of this provider would leave the process."""
    method = provider.METHOD
    load = provider.load
    if method == "assume-role":
        provider._client_creator = lambda _, **kw: Sts(kw["aws_access_key_id"])
        builder = provider._profile_provider_builder
        providers = builder.providers
        builder.providers = lambda *a, **kw: [stand_in(p) for p in providers(*a, **kw)]
        provider._credential_sourcer.source_credentials = named
        provider._credential_sourcer.is_supported = lambda _: True
    elif method == "custom-process":
        provider._popen = Process
    elif method == "container-role":
        provider.load = lambda: named("container") if CONTAINER in os.environ else None
    elif method == "assume-role-with-web-identity":
        provider.load = lambda: load() and named("web identity")
    elif method == "sso":
        provider.load = lambda: load() and named("sso")
    elif method == "login":
        provider.load = lambda: login(load)
    return provider


def login(load):
    try:
        return load() and named("login")
    except (ImportError, botocore.exceptions.BotoCoreError):
        return named("login")


def outcome(asked):
    try:
        # The built-in handlers take most of the time, and none is for credentials.
        session = botocore.session.Session(profile=asked, include_builtin_handlers=False)
        resolver = session.get_component("credential_provider")
        resolver.providers = [stand_in(p) for p in resolver.providers]
        found = resolver.load_credentials()
    except botocore.exceptions.BotoCoreError:
        return "error"
    except AttributeError as error:
        # A command that is a table of a block's lines: botocore takes it for text.
        if "'dict' object" not in str(error):
            raise
        return "error"
    if found is None:
        return "nothing"
    frozen = found.get_frozen_credentials()
    if any(isinstance(part, dict) for part in frozen):
        return "error"  # Such a table: no request can be signed with it.
    key = frozen.access_key or "blank static"
    return key.replace("AKIAIOSFODNN7EXAMPLE", "env" if found.method == "env" else "static")


def differs(case):
    expected = json.loads((case / "expected.json").read_text())
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    if (case / "env").exists():
        lines = (case / "env").read_text().splitlines()
        os.environ.update(line.split("=", 1) for line in lines)
    with tempfile.TemporaryDirectory() as home:
        for name in ("config", "credentials"):
            text = (case / name).read_bytes() if (case / name).exists() else b""
            (pathlib.Path(home) / name).write_bytes(text)
        os.environ.update(
            AWS_CONFIG_FILE=f"{home}/config",
            AWS_SHARED_CREDENTIALS_FILE=f"{home}/credentials",
            AWS_EC2_METADATA_DISABLED="true",
            HOME=home,
        )
        got = outcome(expected.get("asked"))
    wanted = re.sub(r" (config|credentials):\d+", "", expected["cli_v1"])
    if got != wanted:
        print(f"{case.name}: expected {wanted}, botocore says {got}")
    return got != wanted


def answers():
    """Reads {NAME: FOLDER} from stdin, prints what profile p is in each folder's files."""
    found = {}
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    for name, home in json.load(sys.stdin).items():
        os.environ.update(
            AWS_CONFIG_FILE=f"{home}/config",
            AWS_SHARED_CREDENTIALS_FILE=f"{home}/credentials",
            AWS_EC2_METADATA_DISABLED="true",
            HOME=home,
        )
        found[name] = outcome("p")
    json.dump(found, sys.stdout)


def main():
    if ANSWERS:
        answers()
        return
    cases = sorted(CASES.iterdir())
    wrong = sum([differs(case) for case in cases])
    print(f"botocore {botocore.__version__}: {len(cases)} cases, {wrong} differ")
    sys.exit(1 if wrong or not cases else 0)


main()

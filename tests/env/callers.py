"""Asks STS who it is with boto3's own default chain, once for each environment on stdin.

Reads {NAME: {VARIABLE: VALUE}}, prints {NAME: ARN, or "error: …"}.
"""

import json
import os
import sys

import boto3


def who(variables):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        return boto3.Session().client("sts").get_caller_identity()["Arn"]
    # Anything: a block of lines as a key's value is a table to boto3, which then fails as it may.
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"


asked = json.load(sys.stdin)
json.dump({name: who(variables) for name, variables in asked.items()}, sys.stdout)

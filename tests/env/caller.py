"""Asks STS who it is with boto3's own default chain, as a user's program would. Prints the ARN."""

import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

try:
    print(boto3.client("sts").get_caller_identity()["Arn"])
except (BotoCoreError, ClientError) as error:
    sys.exit(f"{type(error).__name__}: {error}")

"""A real IAM and STS on a loopback port: moto, with the checks that moto leaves out.

Signatures and policies are moto's own, switched on from the first request. Added here:
- a key that is not Active is refused as AWS refuses it (moto never reads the status);
- UpdateAccessKey and DeleteAccessKey without UserName mean the signer's own user (moto takes
  the owner of the target key);
- secrets have `+` and `/` in them, as AWS's do; denials name a user with its path;
- on request: new keys that are not yet known, revoked keys that still work, lost replies.

Prints one JSON line when it listens: {"endpoint": …, "users": {name: {…, "UserName",
"AccessKeyId", "SecretAccessKey"}}}. Then it answers one JSON line on stdin with one on stdout:
    {"do": "keys", "user": U}                  -> [{"AccessKeyId", "Status"}]
    {"do": "set-status", "key": ID, "status": S}
    {"do": "create-key", "user": U}            -> the key, with its secret
    {"do": "delete-key", "key": ID}
    {"do": "set-policy", "user": U, "policy": DOCUMENT}
    {"do": "create-role", "role": R}           one that may do anything
    {"do": "lag", "create": SECONDS, "revoke": SECONDS}   for keys changed from now on
    {"do": "lose-reply", "action": A}          the next A is carried out and not answered
    {"do": "calls"}                            -> [{"action", "key", "status", "role"}] so far
It ends when stdin does, so it cannot outlive the test that started it.
"""

import base64
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from urllib.parse import parse_qs

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
os.environ["MOTO_PORT"] = "0"

from moto.iam import access_control, models, responses  # noqa: E402
from moto.moto_server import werkzeug_app  # noqa: E402
from moto.sts import models as sts_models  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

# Each server is an account of its own, so that locks per IAM user keep no two tests apart.
ACCOUNT = f"{secrets.randbelow(10**12):012}"
SELF_ROTATION = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:CreateAccessKey",
                "iam:ListAccessKeys",
                "iam:UpdateAccessKey",
                "iam:DeleteAccessKey",
                "iam:GetAccessKeyLastUsed",
                "iam:GetUser",
                "iam:ListMFADevices",
            ],
            # moto asks for "*" whatever the user, so a narrower resource would never match.
            "Resource": "*",
        }
    ],
}

lag = {"create": 0.0, "revoke": 0.0}
known_from: dict[str, float] = {}
refused_from: dict[str, float] = {}
deleted: dict[str, tuple[models.AccessKey, float]] = {}
lost_replies: list[str] = []
calls: list[dict[str, object]] = []


def iam():
    return models.iam_backends[ACCOUNT]["aws"]


def all_keys():
    return [key for user in iam().users.values() for key in user.access_keys]


def key_named(key_id):
    return next(key for key in all_keys() if key.access_key_id == key_id)


# --- what moto leaves out -------------------------------------------------------------------


def secret_like_aws():
    while True:
        text = base64.b64encode(secrets.token_bytes(30)).decode()
        if "+" in text and "/" in text:
            return text


plain_key_init = models.AccessKey.__init__


def key_init(self, *args, **kwargs):
    plain_key_init(self, *args, **kwargs)
    self.secret_access_key = secret_like_aws()
    known_from[self.access_key_id] = time.monotonic() + lag["create"]


models.AccessKey.__init__ = key_init

plain_signer_init = access_control.IAMUserAccessKey.__init__


def signer_init(self, account_id, partition, access_key_id, headers):
    now = time.monotonic()
    if now < known_from.get(access_key_id, 0):
        raise access_control.CreateAccessKeyFailure(reason="InvalidId")
    ghost, works_until = deleted.get(access_key_id, (None, 0.0))
    if now < works_until:
        self.account_id, self.partition = ACCOUNT, partition
        self._owner_user_name, self._access_key_id = ghost.user_name, access_key_id
        self._secret_access_key = ghost.secret_access_key
        return
    plain_signer_init(self, account_id, partition, access_key_id, headers)
    key = key_named(access_key_id)
    if key.status != "Active" and now >= refused_from.get(access_key_id, 0):
        raise access_control.CreateAccessKeyFailure(reason="InvalidId")


def signer_arn(self):
    return self.backend.get_user(self._owner_user_name).arn


access_control.IAMUserAccessKey.__init__ = signer_init
access_control.IAMUserAccessKey.arn = property(signer_arn)

plain_user_update = models.User.update_access_key


def user_update(self, access_key_id, status=None):
    refused_from[access_key_id] = time.monotonic() + lag["revoke"]
    return plain_user_update(self, access_key_id, status)


models.User.update_access_key = user_update

plain_user_delete = models.User.delete_access_key


def user_delete(self, access_key_id):
    key = self.get_access_key_by_id(access_key_id)
    deleted[access_key_id] = (key, time.monotonic() + lag["revoke"])
    return plain_user_delete(self, access_key_id)


models.User.delete_access_key = user_delete


def with_signers_name(plain):
    def handler(self):
        if not self._get_param("UserName"):
            signer = key_named(self.get_access_key()).user_name
            key_id = self._get_param("AccessKeyId")
            iam().get_user(signer).get_access_key_by_id(key_id)
        return plain(self)

    return handler


for name in ("update_access_key", "delete_access_key"):
    handler = with_signers_name(getattr(responses.IamResponse, name))
    setattr(responses.IamResponse, name, handler)


plain_identity = sts_models.STSBackend.get_caller_identity


def identity(self, access_key_id, region):
    ghost, _ = deleted.get(access_key_id, (None, 0.0))
    if ghost is None:
        return plain_identity(self, access_key_id, region)
    user = iam().get_user(ghost.user_name)
    return user.id, user.arn, ACCOUNT


sts_models.STSBackend.get_caller_identity = identity


# --- the server -----------------------------------------------------------------------------


class Quiet(getattr(werkzeug_app, "MotoRequestHandler", WSGIRequestHandler)):
    def log(self, *_args, **_kwargs):
        pass


class Recorder:
    """Notes every call, and loses the replies that are to be lost."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        body = self.app._get_body(environ) or ""
        action = re.search(r"(?:^|&)Action=(\w+)", body)
        signer = re.search(r"Credential=(\w+)/", environ.get("HTTP_AUTHORIZATION", ""))
        call = {
            "action": action.group(1) if action else "",
            "key": signer.group(1) if signer else "",
            "status": 0,
            "role": parse_qs(body).get("RoleArn", [""])[0],
        }
        calls.append(call)

        answer = []

        def start(status, headers, exc_info=None):
            call["status"] = int(status.split()[0])
            answer[:] = [status, headers, exc_info]

        # moto wraps some errors as EC2 does; IAM and STS have no <Errors>, and SDKs mind.
        body = re.sub(rb"</?Errors>", b"", b"".join(self.app(environ, start)))
        status, headers, exc_info = answer
        headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
        start_response(status, [*headers, ("Content-Length", str(len(body)))], exc_info)
        reply = [body]
        if call["action"] in lost_replies:
            lost_replies.remove(call["action"])
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return reply


# --- what a test may order ------------------------------------------------------------------


def keys_of(order):
    keys = iam().get_user(order["user"]).access_keys
    return [{"AccessKeyId": k.access_key_id, "Status": k.status} for k in keys]


def set_status(order):
    iam().get_user(key_named(order["key"]).user_name).update_access_key(
        order["key"], order["status"]
    )


def create_key(order):
    key = iam().create_access_key(order["user"])
    return as_cli_prints_it(key)


def delete_key(order):
    iam().delete_access_key(order["key"], key_named(order["key"]).user_name)


def set_policy(order):
    iam().put_user_policy(order["user"], "self-rotation", json.dumps(order["policy"]))


def create_role(order):
    """A role that everybody may assume and that may do anything, so that it can assume others."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    all_rights = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam().create_role(order["role"], document(trust), "/", None, "", [], None)
    iam().put_role_policy(order["role"], "all", document(all_rights))


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def set_lag(order):
    lag.update(create=order.get("create", 0.0), revoke=order.get("revoke", 0.0))


ORDERS = {
    "keys": keys_of,
    "set-status": set_status,
    "create-key": create_key,
    "delete-key": delete_key,
    "set-policy": set_policy,
    "create-role": create_role,
    "lag": set_lag,
    "lose-reply": lambda order: lost_replies.append(order["action"]),
    "calls": lambda order: list(calls),
}


def as_cli_prints_it(key):
    """The inner object of what `aws iam create-access-key` prints."""
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.access_key_id,
        "Status": key.status,
        "SecretAccessKey": key.secret_access_key,
        "CreateDate": key.create_date.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
    }


def new_user(name, path):
    user = iam().create_user("us-east-1", name, path)
    iam().put_user_policy(name, "self-rotation", json.dumps(SELF_ROTATION))
    return {"Arn": user.arn, **as_cli_prints_it(iam().create_access_key(name))}


def say(value):
    print(json.dumps(value), flush=True)


def main():
    users = {"alice": new_user("alice", "/"), "bob": new_user("bob", "/division/")}
    app = Recorder(werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app))
    # The two services are loaded here, so that no test pays for it in a timed call.
    for service in ("iam", "sts"):
        app.app.app_instances[service] = werkzeug_app.create_backend_app(service)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"endpoint": f"http://127.0.0.1:{server.server_port}", "users": users})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            say({"ok": ORDERS[order["do"]](order)})
        except Exception as error:  # the test that ordered it is to fail, not the server
            say({"error": repr(error)})
    os._exit(0)


main()

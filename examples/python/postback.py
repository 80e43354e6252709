"""Takes milaan's postbacks: verified twice over, each payment once; and events of a webhook at /events.
Python 3.9 or later and nothing else.

    POSTBACK_ACCESS_KEY=AK POSTBACK_PRIVATE_KEY=PK EVENTS_SECRET=whsec_… python3 postback.py

In a shop of your own, keep verify_postback and replace take_once by a transaction of your database.
"""

import base64
import hashlib
import hmac
import json
import os
import tempfile
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class NotGenuine(Exception):
    """A delivery that is not the gateway's."""


def _same(a, b):
    return hmac.compare_digest(str(a).encode(), str(b).encode())


def _verify_signature(body, headers, key):
    """Standard Webhooks: the whole body is signed with the key, and was sent just now. Repeats are signed anew."""
    if not key:
        raise ValueError("set the keys: anybody could sign with an empty one")
    message_id, timestamp = headers.get("webhook-id") or "", headers.get("webhook-timestamp") or ""
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    want = "v1," + base64.b64encode(mac.digest()).decode()
    if not any(_same(given, want) for given in (headers.get("webhook-signature") or "").split(" ")):
        raise NotGenuine("the webhook signature is wrong")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(time.time() - int(timestamp)) > 300:
        raise NotGenuine("it was sent long ago")


def verify_event(body, headers, secret):
    """Return a genuine event of a webhook: its id, type, timestamp and data. Take each id once; ignore unknown types."""
    key = base64.b64decode(secret[len("whsec_"):], validate=True) if secret.startswith("whsec_") else b""
    _verify_signature(body, headers, key)
    return {**json.loads(body, parse_float=Decimal), "id": headers.get("webhook-id")}


def verify_postback(body, headers, access_key, private_key, webhook_secret=""):
    """Return what a genuine postback says: the element of additional_data and the label.

    Its amount is rupees as exact text ("500.5"): make a Decimal of it, never a float. The body is the request's, byte
    for byte; headers are any mapping that finds names in lower case.
    """
    key = (webhook_secret or private_key).encode()
    if webhook_secret.startswith("whsec_"):
        key = base64.b64decode(webhook_secret[len("whsec_"):], validate=True)
    if not (access_key and private_key):
        raise ValueError("set the keys: anybody could sign with an empty one")

    # 1. Standard Webhooks.
    _verify_signature(body, headers, key)

    # 2. The legacy signature, over the bytes of additional_data: the last key. Written anew they might differ.
    try:
        data = json.loads(body, parse_float=Decimal)
        (item,) = data["additional_data"]
        signed = body[body.index(b'"additional_data":') + len(b'"additional_data":'):-1]
        inner = hashlib.md5(signed).hexdigest()
        legacy = hashlib.sha1((access_key + private_key + inner).encode()).hexdigest()
        genuine = _same(data["access_key"], access_key) and _same(data["signature"], legacy)

        # 3. The top level, which the legacy signature does not cover, says the same.
        agrees = (
            Decimal(data["amount"]) == Decimal(item["amount"])
            and data["currency_code"] == item["currency_code"]
            and data["wallet_type"] == item["wallet_type"]
            and data["direction"] == ("ingoing" if item["transaction_type"] == 0 else "outgoing")
        )
        payment = {**item, "label": data["label"], "direction": data["direction"]}
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NotGenuine("it has not the shape of a postback") from error
    if not genuine:
        raise NotGenuine("the signature in the body is wrong")
    if not agrees:
        raise NotGenuine("its halves disagree")
    return payment


def take_once(folder, key, payment):
    """Keep a payment under its key, and tell whether it is the first time. The file is there whole, or not at all."""
    file = os.path.join(folder, hashlib.sha256(key.encode()).hexdigest() + ".json")
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".new-") as new:
        json.dump(payment, new)
        new.flush()
        os.fsync(new.fileno())
        try:
            os.link(new.name, file)
        except FileExistsError:
            return False
    return True


class Postbacks(BaseHTTPRequestHandler):
    """Answers postbacks: ok only after they were taken."""

    timeout = 20  # seconds that a silent client is waited for

    def do_POST(self):
        status, said = 200, "ok"
        try:
            self.take()
        except NotGenuine as error:
            status, said = 403, "fail"
            self.log_error("postback refused: %s", error)
        except Exception as error:  # the gateway sends it again
            status, said = 500, "fail"
            self.log_error("postback not taken: %s", error)
        answer = json.dumps({"status": said}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def take(self):
        length = self.headers.get("Content-Length") or ""
        if not length.isdigit() or int(length) > 256 << 10:
            self.close_connection = True
            raise NotGenuine("a postback is short and says its length")
        body = self.rfile.read(int(length))
        if self.path == "/events":
            event = verify_event(body, self.headers, os.environ.get("EVENTS_SECRET", ""))
            if take_once(os.environ.get("TAKEN", "."), event["id"], event):
                self.log_message("event %s: %s", event["type"], event["data"])
            return
        payment = verify_postback(
            body,
            self.headers,
            os.environ.get("POSTBACK_ACCESS_KEY", ""),
            os.environ.get("POSTBACK_PRIVATE_KEY", ""),
            os.environ.get("POSTBACK_WEBHOOK_SECRET", ""),
        )
        if payment["direction"] != "ingoing":
            raise RuntimeError("a withdrawal, for which nothing is written yet")
        order = payment["plugin_custom_order_id"]
        if take_once(os.environ.get("TAKEN", "."), order + "\n" + payment["transaction_id"], payment):
            self.log_message("order %s of %s: %s received", order, payment["label"], payment["amount"])


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Postbacks).serve_forever()

"""What requests are made of that the shop knows, so that most of them get past the door: tokens, and ids that answers named.

Loaded by schemathesis; it grows by what the shop answers, as crates/shop/tests/it/random/larder.rs does.
"""

import atexit
import collections
import json
import os
import random
import time
import urllib.error
import urllib.request

import schemathesis

SHOP = os.environ["CONTRACT_SHOP"]
ADMIN = os.environ["CONTRACT_ADMIN"]
BUYER = os.environ["CONTRACT_BUYER"]
PASSWORD = "correct-horse-battery"
# Its sessions are there to be ended.
LEAVER = os.environ["CONTRACT_LEAVER"]
# How long a session is used, in seconds.
FRESH = 60.0
ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE"}

dice = random.Random(int(os.environ.get("CONTRACT_SEED", "1")))
tokens = {}
ids = collections.defaultdict(lambda: collections.deque(maxlen=8))
tags = {}
# How often each operation answered what.
seen = collections.defaultdict(collections.Counter)
refresh_tokens = collections.deque(maxlen=4)
carts = collections.deque(maxlen=4)


def ask(method, path, body=None, headers=None):
    """The JSON of an answer, or nothing where it is none or a refusal."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SHOP + path, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")
    except (urllib.error.HTTPError, ValueError):
        return None


def token(email):
    known, since = tokens.get(email, (None, 0.0))
    if time.monotonic() - since > FRESH:
        session = ask("POST", "/v1/auth/login", {"email": email, "password": PASSWORD})
        known = session and session["access_token"]
        tokens[email] = known, time.monotonic()
    return known


def filled_cart():
    """One that can be ordered."""
    cart = ask("POST", "/v1/carts")
    sku = dice.choice(ids["items"] or ["SKU-000001"])
    if cart:
        headers = {"X-Cart-Token": cart["cart_token"]}
        filled = ask("PUT", f"/v1/carts/{cart['id']}/items/{sku}", {"quantity": dice.randint(1, 3)}, headers)
        carts.append((cart["id"], cart["cart_token"]))
        return cart["cart_token"], filled or cart
    return None


def bearer_for(case):
    path = case.operation.path
    if path.startswith("/v1/admin"):
        return token(ADMIN)
    ends = path.startswith("/v1/auth/logout") or path.startswith("/v1/me/sessions")
    return token(LEAVER if ends else BUYER)


def mostly():
    return dice.random() < 0.8


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Answers have the fields that are described, and no others: clients would come to need them."""
    for schema in raw_schema["components"]["schemas"].values():
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.operation.path
    headers = case.headers
    security = case.operation.definition.raw.get("security", [])
    if any("bearer" in way for way in security) and mostly():
        bearer = bearer_for(case)
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
    segments = path.strip("/").split("/")
    cart = None
    if "carts" in segments and mostly():
        if not carts or dice.random() < 0.1:
            filled_cart()
        cart = dice.choice(carts) if carts else None
    for before, segment in zip(segments, segments[1:]):
        name = segment.strip("{}")
        if not segment.startswith("{") or name not in case.path_parameters:
            continue
        if before == "carts" and cart:
            case.path_parameters[name] = cart[0]
            headers["X-Cart-Token"] = cart[1]
        elif ids[before] and mostly():
            case.path_parameters[name] = dice.choice(ids[before])
    if isinstance(case.body, dict) and "cart_id" in case.body and mostly():
        filled = filled_cart()
        if filled:
            headers["X-Cart-Token"], shown = filled
            case.body.update(cart_id=shown["id"], cart_version=shown["version"], expected_total=shown["total"], address=ADDRESS)
    fill(path, case.body)
    if isinstance(case.body, dict) and "payment_token" in case.body and mostly():
        case.body["payment_token"] = dice.choice(["tok_ok", "tok_ok", "tok_decline", "tok_lost"])
    for name in ("If-Match", "If-None-Match"):
        if name in headers and path in tags and mostly():
            headers[name] = tags[path]


def fill(path, body):
    """What only few values of are good for."""
    if not isinstance(body, dict) or not mostly():
        return
    if path == "/v1/auth/register":
        body.update(email=f"new{dice.getrandbits(60)}@example.test", password=f"{PASSWORD}-{dice.getrandbits(20)}", name="Ada")
    elif path == "/v1/auth/login":
        body.update(email=BUYER, password=PASSWORD)
    elif path == "/v1/auth/refresh" and refresh_tokens:
        body["refresh_token"] = dice.choice(refresh_tokens)
    elif "postal_code" in body:
        body.update(ADDRESS)
        body.pop("line2", None)
    elif path == "/v1/me/password":
        # It stays the same: others log in with it.
        body.update(current=PASSWORD, new=PASSWORD)


@schemathesis.hook
def after_call(context, case, response):
    path = case.operation.path
    seen[f"{case.operation.method.upper()} {path}"][str(response.status_code)] += 1
    if response.status_code == 401:
        sent = (case.headers or {}).get("Authorization", "")
        for email, (known, _) in list(tokens.items()):
            if known and sent == f"Bearer {known}":
                del tokens[email]
    if not 200 <= response.status_code < 300:
        return
    if response.headers.get("etag"):
        tags[path] = response.headers["etag"][0]
    try:
        answer = response.json()
    except ValueError:
        return
    names = [segment for segment in path.strip("/").split("/") if not segment.startswith("{")]
    keep(names[-1] if names else "", answer)


def keep(collection, answer):
    """The ids of what an answer is about, or lists."""
    if isinstance(answer, list):
        for item in answer[:8]:
            keep(collection, item)
    elif isinstance(answer, dict):
        if "refresh_token" in answer:
            refresh_tokens.append(answer["refresh_token"])
        for name in ("id", "slug"):
            if isinstance(answer.get(name), str):
                ids[collection].append(answer[name])
        for sku in answer.get("skus") or []:
            ids["items"].append(sku["sku"])
            ids["inventory"].append(sku["sku"])
        for name in ("data", "product"):
            keep(collection, answer.get(name))


@atexit.register
def write_down():
    with open(os.environ["CONTRACT_SEEN"] + "." + os.environ["CONTRACT_SEED"], "w") as file:
        json.dump(seen, file)

"""Provokes each success that is documented, and holds each answer against the description: successes.py OPENAPI SHOP.

What is drawn at random seldom gets so far as to deliver what was shipped, or to be answered while the payment provider is silent.
The shop must run with CONTRACT_SECRET as the secret of the provider's messages, and lose some of the provider's answers.
"""

import base64
import collections
import hashlib
import hmac
import itertools
import json
import os
import sys
import time
import uuid

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

BUYER = os.environ["CONTRACT_BUYER"]
ADMIN = os.environ["CONTRACT_ADMIN"]
PASSWORD = "correct-horse-battery"
ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE"}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance, response_headers_conformance]
# How often something is tried whose outcome is drawn.
TRIES = 60

with open(sys.argv[1]) as file:
    described = json.load(file)
for known in described["components"]["schemas"].values():
    if known.get("type") == "object" and "properties" in known:
        known.setdefault("additionalProperties", False)
schema = schemathesis.openapi.from_dict(described)
shop = sys.argv[2]
seen = collections.defaultdict(collections.Counter)


class Client:
    """Somebody, with what is shown with each request."""

    def __init__(self, **headers):
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(self, operation, *wanted, body=None, headers=None, query=None, **path):
        """The answer of an operation, which must have one of these statuses."""
        found = schema.find_operation_by_id(operation)
        sent = {**self.headers, **(headers or {})}
        more = {} if body is None else {"body": body, "media_type": "application/json"}
        case = found.Case(path_parameters=path, headers=sent, query=query or {}, **more)
        answer = case.call(base_url=shop)
        seen[f"{found.method.upper()} {found.path}"][str(answer.status_code)] += 1
        case.validate_response(answer, checks=CHECKS)
        if wanted and answer.status_code not in wanted:
            sys.exit(f"{operation}: {answer.status_code} in place of {wanted}: {answer.text}")
        return answer

    def keyed(self, operation, *wanted, **more):
        """The same, done once."""
        return self.ask(operation, *wanted, headers={"Idempotency-Key": str(uuid.uuid4())}, **more)

    def twice(self, operation, **more):
        """Reads something, and then that it has not changed."""
        for _ in range(TRIES):
            answer = self.ask(operation, 200, **more)
            again = self.ask(operation, 200, 304, headers={"If-None-Match": answer.headers["etag"][0]}, **more)
            if again.status_code == 304:
                return answer
        sys.exit(f"{operation} is another one each time")

    def cart(self, sku, quantity):
        """A full one, and whoever has its token."""
        cart = self.ask("create_cart", 200, 201).json()
        owner = Client(**self.headers, X_Cart_Token=cart["cart_token"]) if "cart_token" in cart else self
        return owner, owner.ask("put_item", 200, body={"quantity": quantity}, id=cart["id"], sku=sku).json()

    def order(self, token, *wanted, sku="SKU-000001", quantity=1):
        """Buys a full cart. The order, as far as it is answered."""
        owner, cart = self.cart(sku, quantity)
        shown = {"cart_id": cart["id"], "cart_version": cart["version"], "expected_total": cart["total"]}
        return owner.keyed("place_order", *wanted, body={**shown, "payment_token": token, "address": ADDRESS}).json()

    def paid(self, **more):
        """An order whose payment was answered."""
        for _ in range(TRIES):
            order = self.order("tok_ok", 201, 202, 503, **more)
            if order.get("status") == "paid":
                return order["id"]
            wait(order)
        sys.exit("no order is ever paid")

    def declined(self):
        """An order that may be paid for again."""
        for _ in range(TRIES):
            refused = self.order("tok_decline", 202, 422, 503)
            if refused["status"] == 422:
                page = self.ask("orders", 200, query={"status": "payment_failed", "limit": 1}).json()
                return page["data"][0]["id"]
            wait(refused)
        sys.exit("no order is ever declined")


def wait(answer):
    """As long as a refusal says."""
    time.sleep(min(answer.get("retry_after_s") or 0, 5))


def log_in(email):
    tokens = nobody.ask("login", 200, body={"email": email, "password": PASSWORD}).json()
    return Client(Authorization=f"Bearer {tokens['access_token']}"), tokens["refresh_token"]


def both(ask):
    """Until what is drawn was answered in both ways: done, and asked for."""
    statuses = set()
    for _ in range(TRIES):
        answer = ask()
        statuses.add(answer.status_code)
        if {200, 202} <= statuses:
            return
        wait(answer.json() if answer.status_code == 503 else {})
    sys.exit(f"only {statuses} of 200 and 202")


def catalog():
    for operation in ["products", "categories", "key_set", "revoked_sessions"]:
        nobody.twice(operation)
    product = nobody.ask("products", 200, query={"limit": 1}).json()["data"][0]
    nobody.twice("product", id_or_slug=product["slug"])
    nobody.twice("product_image", id_or_slug=product["id"])
    slug = nobody.ask("categories", 200).json()[0]["slug"]
    nobody.twice("category", slug=slug)
    nobody.ask("availability", 200, query={"sku": "SKU-000001"})
    nobody.ask("availability_changes", 200)
    return slug


def products(category):
    name = f"thing-{uuid.uuid4()}"
    admin.ask("create_category", 201, body={"slug": f"{name}-kind", "name": "Kind"})
    price = {"amount": 100, "currency": "EUR"}
    new = {"slug": name, "name": "Thing", "description": "Of use.", "brand": "Forge", "category": category}
    made = admin.ask("create_product", 201, body={**new, "skus": [{"sku": name.upper()[:32], "price": price}]}).json()
    for operation, body, more in [
        ("change_product", {"name": "A thing"}, {}),
        ("change_sku", {"active": True, "price": {**price, "amount": 101}}, {"sku": made["skus"][0]["sku"]}),
    ]:
        tag = admin.twice("admin_product", id=made["id"]).headers["etag"][0]
        admin.ask(operation, 200, body=body, headers={"If-Match": tag}, id=made["id"], **more)
    admin.ask("archive_product", 204, id=made["id"])


def account():
    email = f"new-{uuid.uuid4()}@example.test"
    name = {"email": email, "password": PASSWORD, "name": "Ada"}
    tokens = nobody.ask("register", 201, body=name).json()
    nobody.ask("refresh", 200, body={"refresh_token": tokens["refresh_token"]})
    ada, _ = log_in(email)
    tag = ada.twice("me").headers["etag"][0]
    ada.ask("change_me", 200, body={"name": "Ada L."}, headers={"If-Match": tag})
    saved = ada.ask("add_address", 201, body=ADDRESS).json()["id"]
    ada.ask("addresses", 200)
    ada.ask("address", 200, id=saved)
    ada.ask("replace_address", 200, body=ADDRESS, id=saved)
    ada.ask("remove_address", 204, id=saved)
    sessions = ada.ask("sessions", 200).json()
    ada.ask("end_session", 204, id=next(session["id"] for session in sessions if not session["current"]))
    ada.ask("change_password", 204, body={"current": PASSWORD, "new": PASSWORD})
    ada.ask("logout", 204)
    log_in(email)[0].ask("logout_all", 204)


def carts(buyer):
    owner, cart = nobody.cart("SKU-000001", 1)
    owner.twice("cart", id=cart["id"])
    owner.ask("remove_item", 200, id=cart["id"], sku="SKU-000001")
    both_token = Client(**buyer.headers, **owner.headers)
    both_token.ask("claim_cart", 200, id=cart["id"])
    buyer.ask("create_cart", 200)
    buyer.twice("own_cart")


def orders(buyer):
    order = buyer.paid()
    buyer.twice("order", id=order)
    buyer.ask("create_cart", 201)
    buyer.order("tok_lost", 202)

    def pay():
        """In turns so that it is answered, and so that it is not."""
        token = next(turns)
        return buyer.keyed("pay_order", 200, 202, 503, body={"payment_token": token}, id=buyer.declined())

    turns = itertools.cycle(["tok_ok", "tok_lost"])
    both(pay)
    buyer.keyed("cancel_order", 200, id=buyer.declined())


def fulfilment(buyer):
    admin.keyed("adjust_stock", 201, body={"delta": 1000, "reason": "counted"}, sku="SKU-000001")
    order = buyer.paid(quantity=TRIES + 1)
    admin.ask("order_file", 200, id=order)
    admin.keyed("ship_order", 200, body={"carrier": "Post"}, id=order)
    admin.keyed("deliver_order", 200, id=order)

    def asked_back():
        item = {"sku": "SKU-000001", "quantity": 1}
        return buyer.keyed("request_return", 201, body={"items": [item], "reason": "broken"}, id=order).json()["id"]

    refused = asked_back()
    admin.keyed("reject_return", 200, id=refused)
    buyer.ask("return", 200, id=refused)

    def received():
        back = asked_back()
        admin.keyed("approve_return", 200, id=back)
        return admin.keyed("receive_return", 200, 202, body={"restock": True}, id=back)

    both(received)
    order, least = buyer.paid(), {"amount": 1, "currency": "EUR"}
    both(lambda: admin.keyed("refund_order", 200, 202, body={"amount": least, "reason": "late"}, id=order))
    for lists in ["orders", "returns"]:
        buyer.ask(lists, 200)
    for lists in ["all_orders", "all_returns", "stock", "audit_log"]:
        admin.ask(lists, 200)


def message():
    """One of the payment provider that nobody here is interested in."""
    name, now, body = f"msg_{uuid.uuid4()}", str(int(time.time())), {"type": "charge.seen"}
    key = base64.b64decode(os.environ["CONTRACT_SECRET"].removeprefix("whsec_"))
    signed = hmac.new(key, f"{name}.{now}.{json.dumps(body)}".encode(), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    headers = {"webhook-id": name, "webhook-timestamp": now, "webhook-signature": signature}
    nobody.ask("payment_message", 204, body=body, headers=headers)


nobody = Client()
admin, _ = log_in(ADMIN)
buyer, _ = log_in(BUYER)
products(catalog())
account()
carts(buyer)
orders(buyer)
fulfilment(buyer)
message()
with open(os.environ["CONTRACT_SEEN"] + ".successes", "w") as file:
    json.dump(seen, file)

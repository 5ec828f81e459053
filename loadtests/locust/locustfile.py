"""Load on a shop that runs, with a verdict. User classes: Browse, LogIn, Purchase, and Mix: all journeys in the shares of
`chaos drive --mix shop`.

    locust -f loadtests/locust/locustfile.py --headless --only-summary -H http://127.0.0.1:8080 -u 50 -r 50 --rate 20 --seconds 30 Mix

Journeys begin at their time, --rate a second for --seconds, whatever becomes of those before them: an open loop, as users are. -u says
how many may be under way; if those are too few, journeys begin late and the run fails. With --peak it is the spike: --rate, of a sudden
--peak, and --rate again, --seconds each. Clients repeat what docs/api.md allows, when it asks for it. For one process: workers
would not share the rate out among them."""

import collections, itertools, json, random, sys, time

import gevent, requests
from gevent.event import Event
from locust import FastHttpUser, events, task

PASSWORD = "correct-horse-battery"  # of all users of the seed
SESSIONS = 50  # the smallest seed has as many users
TRIES, PATIENCE_S = 5, 10.0
ORDER_PATIENCE_S = 30.0  # whoever does not ask what became of an order never learns what was bought
REFUSALS = {"overloaded", "draining", "dependency-unavailable"}
SORTS = ["newest", "popular", "price_asc", "price_desc", "name"]
UNEXECUTED, IDEMPOTENT, KEYED = "only if it was not executed", "always", "with its key"  # what may be sent again
QUOTA = "429: all of this load comes from one address; start the shop with FOREBAY_QUOTA_LOGIN, _REFRESH, _CARTS and _ORDERS=off"
LATE_S = 0.1
# 95 % of the attempts within so many milliseconds; where there is a peak, of those after it.
WITHIN_MS = {"list": 250, "product": 250, "cart": 250, "item": 250, "order": 500, "refresh": 250, "login": 500}


@events.init_command_line_parser.add_listener
def settings(parser):
    parser.add_argument("--rate", type=float, default=20, help="journeys a second")
    parser.add_argument("--seconds", type=float, default=30, help="for so long")
    parser.add_argument("--peak", type=float, default=0, help="journeys a second in the middle one of three times --seconds")
    parser.add_argument("--record", metavar="FILE", help="where the figures go, as JSON")


class Load:
    """What all users of a run share: when journeys begin, who is logged in, and what came of it."""

    def __init__(self, options):
        phases = [options.rate, options.peak, options.rate] if options.peak else [options.rate]
        begins = [number * options.seconds + one / rate for number, rate in enumerate(phases) for one in range(round(rate * options.seconds))]
        self.offered, self.times = len(begins), iter(begins)  # in seconds from the first
        self.judged_from = 2 * options.seconds if options.peak else 0
        self.numbers, self.kinds, self.began, self.ended = itertools.count(), itertools.count(), None, False
        self.given_up, self.stopped = False, Event()
        self.sessions, self.idle = [], collections.deque()
        self.journeys = self.late = self.unserved = 0
        self.attempts = self.refused = self.failed = 0
        self.took = {name: [] for name in WITHIN_MS}  # milliseconds, of those that are judged

    def give_up(self, why):
        if not self.given_up:
            print(why, file=sys.stderr)
        self.given_up = True
        sys.exit(1)

    def thresholds(self):
        """Each threshold with whether it is kept."""
        yield "journeys", self.journeys == self.offered, f"{self.journeys} of {self.offered}", "all"
        for name, part, all_of in [("late", self.late, self.journeys), ("unserved", self.unserved, self.journeys), ("failed", self.failed, self.attempts)]:
            share = part / max(all_of, 1)
            yield name, share < 0.01, f"{share:.2%}, {part} of {all_of}", "below 1 %"
        for name, took in self.took.items():
            if took:
                p95 = quantile(took, 0.95)
                yield name, p95 < WITHIN_MS[name], f"p95 {p95:.1f} ms", f"below {WITHIN_MS[name]} ms"

    def figures(self):
        routes = {name: {"requests": len(took), "p50_ms": quantile(took, 0.5), "p95_ms": quantile(took, 0.95)} for name, took in self.took.items() if took}
        counted = "journeys", "late", "unserved", "attempts", "refused", "failed"
        return {name: getattr(self, name) for name in counted} | {"routes": routes}


def quantile(took, share):
    return sorted(took)[int(len(took) * share)]


load = None


def credentials(user):
    return {"email": f"user{user:05}@example.test", "password": PASSWORD}


@events.test_start.add_listener
def log_in_all(environment, **_):
    """Before the load, one after the other, since a password hash is dear on purpose. Not counted."""
    global load
    load = Load(environment.parsed_options)
    environment.stop_timeout = ORDER_PATIENCE_S + 10
    shop = environment.host.rstrip("/")
    for user in range(1, SESSIONS + 1):
        try:
            answer = requests.post(f"{shop}/v1/auth/login", json=credentials(user), timeout=10)
            fault = answer.status_code if answer.status_code != 200 else None
        except requests.RequestException as error:
            fault = error
        if fault:
            load.give_up(QUOTA if fault == 429 else f"no login at {shop} ({fault}): it takes a shop that runs, with the users of the seed")
        load.sessions.append(answer.json())
    load.idle.extend(load.sessions)


class Shopper(FastHttpUser):
    """A user whose journeys begin when the next one is due."""

    abstract = True
    network_timeout = connection_timeout = 6.0

    def wait_time(self):
        """None between two journeys; who waits when there are no more is ended at once."""
        return 1 if load.ended or load.stopped.is_set() else 0

    @task
    def arrive(self):
        if load.began is None:
            load.began = time.monotonic()
        due = next(load.times, None)
        if due is None:
            if not load.ended:
                load.ended = True
                gevent.spawn(self.environment.runner.quit)  # which lets the journeys under way end
            return
        late = time.monotonic() - load.began - due
        if load.stopped.wait(max(0, -late)):
            return
        load.journeys += 1
        load.late += late > LATE_S
        load.unserved += not self.journey()

    def ask(self, name, repeat, method, path, headers=None, **body):
        """Sends a request until it succeeds or patience ends; the last answer, and what it says if it is 2xx."""
        # As other clients do, which do not ask for gzip.
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        began, lost = time.monotonic(), False
        for tries in itertools.count(1):
            with self.client.request(method, path, name=name, headers=headers, catch_response=True, **body) as answer:
                ok, code = 200 <= answer.status_code < 300, None
                if not ok:
                    code = code_of(answer)
                    answer.failure(f"{answer.status_code} {code}" if answer.status_code else f"{answer.error}")
                took = answer.request_meta["response_time"]
            if answer.status_code == 429:
                load.give_up(QUOTA)
            refusal = answer.status_code == 503 and code in REFUSALS
            running = answer.status_code == 409 and code == "idempotency-in-flight"
            unclear = answer.status_code in (0, 502, 503, 504) and not refusal
            self.note(name, took, refusal, failed=not (ok or refusal or running))
            lost = lost or unclear or running
            again = refusal or unclear and repeat != UNEXECUTED or running and repeat == KEYED
            asks = lost and repeat == KEYED
            wait = pause(answer, tries)
            over = time.monotonic() - began + wait > (ORDER_PATIENCE_S if asks else PATIENCE_S)
            if not again or over or tries >= TRIES and not asks:
                return answer.status_code, answer.json() if ok else None
            gevent.sleep(wait)

    def note(self, name, took, refusal, failed):
        load.attempts += 1
        load.refused += refusal
        load.failed += failed
        if time.monotonic() - load.began >= load.judged_from:
            load.took[name].append(took)

    def browse(self):
        _, page = self.ask("list", IDEMPOTENT, "GET", f"/v1/products?limit=20&sort={random.choice(SORTS)}")
        if not page:
            return None
        # What is scarce may be gone before it is ordered, and rightly so.
        plenty = [product for product in page["data"] if product["availability"] == "in_stock"]
        product = random.choice(plenty or page["data"])
        return self.ask("product", IDEMPOTENT, "GET", f"/v1/products/{product['id']}")[1]

    def log_in(self):
        user = 1 + next(load.numbers) % SESSIONS
        return self.ask("login", IDEMPOTENT, "POST", "/v1/auth/login", json=credentials(user))[1]

    def renew(self):
        """A session that nobody else is renewing; where all are, they look at products."""
        if not load.idle:
            return self.browse()
        session = load.idle.popleft()
        _, tokens = self.ask("refresh", IDEMPOTENT, "POST", "/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
        session.update(tokens or {})
        load.idle.append(session)
        return tokens

    def purchase(self):
        product = self.browse()
        cart = product and self.ask("cart", UNEXECUTED, "POST", "/v1/carts")[1]
        if not cart:
            return None
        opens = {"X-Cart-Token": cart["cart_token"]}
        item = f"/v1/carts/{cart['id']}/items/{random.choice(product['skus'])['sku']}"
        _, shown = self.ask("item", IDEMPOTENT, "PUT", item, opens, json={"quantity": random.choice([1, 2])})
        if not shown:
            return None
        order = {
            "cart_id": cart["id"],
            "cart_version": shown["version"],
            "expected_total": shown["total"],
            "payment_token": "tok_ok",
            "address": {"name": "A. Buyer", "line1": "1 Canal Street", "city": "Forebay", "postal_code": "10115", "country": "DE"},
        }
        # The same key for every attempt: however often it is sent, it is one order.
        headers = {"Idempotency-Key": cart["id"], **opens}
        session = random.choice(load.sessions)
        for _ in range(2):
            bearer = {"Authorization": f"Bearer {session['access_token']}"}
            status, placed = self.ask("order", KEYED, "POST", "/v1/orders", {**headers, **bearer}, json=order)
            if status != 401:
                return placed
            session = self.log_in()  # An access token is good for ten minutes.
            if not session:
                return None
        return None


class Browse(Shopper):
    journey = Shopper.browse


class LogIn(Shopper):
    journey = Shopper.log_in


class Purchase(Shopper):
    journey = Shopper.purchase


class Mix(Shopper):
    """Of a hundred journeys 65 browse, 25 buy, 9 renew a session and one logs in, in an order that is mixed."""

    def journey(self):
        drawn = next(load.kinds) * 37 % 100
        return self.browse() if drawn < 65 else self.purchase() if drawn < 90 else self.renew() if drawn < 99 else self.log_in()


def code_of(answer):
    try:
        return answer.json().get("code")
    except (ValueError, AttributeError, TypeError):
        return None


def pause(answer, tries):
    """Seconds until the next attempt: what the shop says, the finer of its two headers first."""
    headers = answer.headers or {}
    for name, scale in [("Retry-After-Ms", 1000), ("Retry-After", 1)]:
        if headers.get(name, "").isdigit():
            return max(int(headers[name]) / scale, 0.01)
    return min(0.1 * 2 ** (tries - 1), 1)


@events.test_stopping.add_listener
def stop(**_):
    """Who stops a run early need not wait for journeys that have not begun."""
    if not load.ended:
        load.stopped.set()


@events.quitting.add_listener
def judge(environment, **_):
    if load is None:
        return
    print("Thresholds")
    held = True
    for name, keeps, seen, wanted in load.thresholds():
        held = held and keeps
        print(f"  {'held  ' if keeps else 'FAILED'} {name:<9} {seen}, {wanted}")
    print(f"  refused   {load.refused} of {load.attempts} attempts")
    environment.process_exit_code = 0 if held else 1
    if environment.parsed_options.record:
        with open(environment.parsed_options.record, "w") as file:
            json.dump(load.figures(), file)

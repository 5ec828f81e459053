"""What rings an alert, as its runbook says it: small shops, and what is done to them, under a real Prometheus."""

import http.client, http.server, json, os, shutil, signal, socket, subprocess, tempfile, threading, time

import watch

# A scenario that is a play of the replay: its alerts, and what is typed.
PLAYS = {
    "leak": (["PoolLeakSuspected"], ["--scenario", "leak", "--arm", "resilient"]),
    "overload": (["PoolUtilizationHigh", "ErrorRateHigh"], ["--scenario", "overload", "--arm", "resilient"]),
}


def ring(name, out):
    """0 when the alerts of the scenario arrive, and those that can end do."""
    scenarios = {method[5:].replace("_", "-"): method for method in dir(Scenario) if method.startswith("ring_")}
    if name not in scenarios and name not in PLAYS:
        listed = "\n".join([*scenarios, *PLAYS])
        print(listed if name == "list" else f"--ring knows no {name}. It takes one of\n{listed}")
        return 0 if name == "list" else 2
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    with Scenario(folder) as scenario:
        if name in PLAYS:
            wanted, arguments = PLAYS[name]
            return scenario.play(wanted, arguments)
        getattr(scenario, scenarios[name])()
        now = time.time()
        tell(scenario.watch.read().alerts(scenario.began, now - scenario.began))
    print(f"{name}: as the runbook says")
    return 0


def tell(alerts):
    """All that was pending or rang."""
    for name, alert in sorted(alerts.items(), key=lambda item: item[1]["pending"]):
        moments = ", ".join(f"{key} {alert[key]:.1f}" for key in ["pending", "rings", "arrived", "ended"] if alert[key] is not None)
        print(f"{name} ({alert['severity']}): {moments}")


class Scenario:
    """Shops, their load and a watch over them; all of it ends with the block."""

    def __init__(self, folder):
        self.folder, self.running, self.watch, self.servers = folder, {}, None, []
        self.began = time.time()

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="forebay-ring-")
        os.chmod(self.work, 0o755)
        return self

    def __exit__(self, *_):
        for name in list(self.running)[::-1]:
            self.stop(name)
        for server in self.servers:
            server.shutdown()
        if self.watch:
            self.watch.__exit__()
        shutil.rmtree(self.work, ignore_errors=True)

    # What there is to do.

    def say(self, text):
        print(f"{time.time() - self.began:6.1f} s  {text}", flush=True)

    def run(self, name, command, **settings):
        log = open(os.path.join(self.folder, f"{name}.log"), "a")
        env = {**os.environ, **{key: str(value) for key, value in settings.items()}}
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        return self.running[name]

    def stop(self, name):
        watch.end(self.running.pop(name))

    def shop(self, name, http, admin, purpose=("up",), **settings):
        """A shop on these ports, once it answers."""
        settings = {"FOREBAY_HTTP": f"127.0.0.1:{http}", "FOREBAY_ADMIN": f"127.0.0.1:{admin}", "FOREBAY_DATA": f"{self.work}/{name}",
                    "FOREBAY_SEED": "small"} | {f"FOREBAY_QUOTA_{what}": "off" for what in "REGISTER LOGIN REFRESH CARTS ORDERS".split()} | settings
        program = watch.program("SHOP", "forebay-shop", "shop")
        process = self.run(name, [program, *purpose], **settings)
        watch.wait_until(f"{name} is up", lambda: watch.answers(f"http://127.0.0.1:{admin}/readyz"), 120, process)

    def shop_with_postgres(self, name, http, admin, port, **settings):
        """The same, and the address of its Postgres."""
        self.shop(name, http, admin, FOREBAY_PG_PORT=port, **settings)
        with open(f"{self.work}/{name}/pg/forebay-password") as file:
            return f"postgres://forebay:{file.read().strip()}@127.0.0.1:{port}/forebay"

    def look(self, *ports):
        """Prometheus begins to scrape."""
        self.watch = watch.Watch(list(ports), self.folder).__enter__()
        self.watch.start()
        self.began = time.time()

    def load(self, http, rate, mix):
        chaos = watch.program("CHAOS", "forebay-chaos", "forebay-chaos")
        self.run("load", [chaos, "drive", "--at", f"http://127.0.0.1:{http}", "--seconds", "3600", "--rate", str(rate), "--mix", mix])

    def arrives(self, alert, within=180, status="firing"):
        """Waits for a message about the alert, and says when it came."""
        told = lambda: [at for at, path, message in self.watch.receiver.told for one in message["alerts"]
                        if one["labels"]["alertname"] == alert and one["status"] == status]
        watch.wait_until(f"{alert} is {status}", told, within)
        moment = told()[0]
        paths = {path for at, path, message in self.watch.receiver.told if at == moment}
        print(f"{moment - self.began:6.1f} s  {alert} is {status}, at the receiver {', '.join(paths)}", flush=True)

    def ends(self, alert, within=420):
        self.arrives(alert, within, "resolved")

    def pages(self):
        """The alerts that arrived where people are woken. What was kept back is told of there when it has ended."""
        woke = [one for _, path, message in self.watch.receiver.told if path == "page" for one in message["alerts"] if one["status"] == "firing"]
        return sorted({one["labels"]["alertname"] for one in woke})

    # What the runbooks say.

    def ring_database(self):
        """DatabaseUnreachable, and no second page for the errors that follow."""
        owner, port, http, admin = [watch.free_port() for _ in range(2)], *[watch.free_port() for _ in range(3)]
        url = self.shop_with_postgres("owner", *owner, port, FOREBAY_POOL_MAX=20)
        self.shop("shop", http, admin, DATABASE_URL=url, FOREBAY_POOL_MAX=20)
        self.load(http, 20, "browse")
        self.look(admin)
        time.sleep(60)
        self.say("Postgres is stopped")
        self.stop("owner")
        self.arrives("DatabaseUnreachable")
        time.sleep(120)
        self.say("Postgres is started")
        self.shop("owner", *owner, FOREBAY_PG_PORT=port, FOREBAY_POOL_MAX=20)
        self.ends("DatabaseUnreachable")
        assert self.pages() == ["DatabaseUnreachable"], self.pages()

    def ring_lock(self):
        """PoolUtilizationHigh, SheddingCritical, ErrorRateHigh and SheddingSustained: somebody locks what everybody reads, as a careless migration does."""
        http, admin = watch.free_port(), watch.free_port()
        url = self.shop_with_postgres("shop", http, admin, watch.free_port(), FOREBAY_POOL_MAX=8)
        self.look(admin)
        self.load(http, 40, "shop")
        time.sleep(60)
        self.say("the tables are locked")
        lock = "BEGIN; LOCK TABLE catalog.products, checkout.carts, checkout.orders; SELECT pg_sleep(600)"
        self.run("lock", ["psql", "-q", url, "-c", lock])
        self.arrives("PoolUtilizationHigh")
        self.arrives("SheddingCritical")
        self.arrives("ErrorRateHigh")
        self.arrives("SheddingSustained", 300)
        self.say("the lock is gone")
        # psql cancels what it runs; if it only ended, the server would sleep on.
        lock = self.running.pop("lock")
        lock.send_signal(signal.SIGINT)
        lock.wait(timeout=30)
        for alert in ["PoolUtilizationHigh", "SheddingCritical", "ErrorRateHigh", "SheddingSustained"]:
            self.ends(alert)

    def ring_target(self):
        """TargetDown, and Watchdog before it."""
        http, admin = watch.free_port(), watch.free_port()
        self.shop("shop", http, admin)
        self.look(admin)
        self.arrives("Watchdog")
        self.say("the shop is stopped")
        self.stop("shop")
        self.arrives("TargetDown")
        self.say("the shop is started")
        self.shop("shop", http, admin)
        self.ends("TargetDown")

    def ring_provider(self):
        """PaymentBreakerOpen: a provider that takes a minute to answer."""
        http, admin = watch.free_port(), watch.free_port()
        self.shop("shop", http, admin, FOREBAY_PAYMENT_LATENCY_MS=60000)
        self.look(admin)
        self.load(http, 20, "shop")
        self.arrives("PaymentBreakerOpen", 300)
        self.say("the provider is quick again")
        self.stop("load")
        self.stop("shop")
        self.shop("shop", http, admin)
        self.load(http, 20, "shop")
        self.ends("PaymentBreakerOpen")
        assert "ErrorRateHigh" not in self.pages(), self.pages()

    def ring_subscriber(self):
        """EventsLate: a subscriber that does not answer; EventDeadLetters: one that refuses for good."""
        http, admin, silent, nobody = (watch.free_port() for _ in range(4))
        listener = socket.create_server(("127.0.0.1", silent))
        self.shop("shop", http, admin, FOREBAY_EVENTS_RETRIES_MS="100")
        program = watch.program("SHOP", "forebay-shop", "shop")
        for port in [silent, nobody]:
            subprocess.run([program, "events", "subscribe", f"http://127.0.0.1:{port}/"], check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "FOREBAY_DATA": f"{self.work}/shop"})
        self.look(admin)
        self.load(http, 5, "shop")
        self.arrives("EventDeadLetters", 120)
        self.arrives("EventsLate", 300)
        listener.close()

    def ring_neighbours(self):
        """StockOutdated and RevokedSessionsOutdated: what catalog and checkout hear from others does not come any more."""
        ports = [watch.free_port() for _ in range(6)]
        pg = watch.free_port()
        url = self.shop_with_postgres("whole", *ports[:2], pg)
        between = self.forward(ports[0])
        self.shop("catalog", *ports[2:4], ("serve", "catalog"), DATABASE_URL=url, FOREBAY_SEED="none",
                  FOREBAY_STOCK_URL=f"http://127.0.0.1:{between.server_address[1]}/v1/availability/changes")
        self.shop("checkout", *ports[4:6], ("serve", "checkout"), DATABASE_URL=url, FOREBAY_SEED="none",
                  FOREBAY_JWKS_URL=f"http://127.0.0.1:{between.server_address[1]}/.well-known/jwks.json")
        self.look(ports[3], ports[5])
        time.sleep(30)
        self.say("neither hears from the others any more")
        between.lost = True
        self.arrives("StockOutdated", 240)
        self.arrives("RevokedSessionsOutdated", 240)
        self.say("they do again")
        between.lost = False
        self.ends("StockOutdated")
        self.ends("RevokedSessionsOutdated")

    def forward(self, port):
        """Hands requests on to the port, until it is `lost`."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.server.lost:
                    return self.close_connection
                onward = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                onward.request("GET", self.path, headers={key: value for key, value in self.headers.items() if key.lower() != "host"})
                answer = onward.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                        self.send_header(key, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.lost = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return server

    def ring_refresh(self):
        """RefreshReuse: sixty spent refresh tokens are presented."""
        port, admin = watch.free_port(), watch.free_port()
        self.shop("shop", port, admin)
        self.look(admin)

        def post(path, body):
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            caller.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = caller.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")

        spent = []
        for number in range(60):
            status, tokens = post("/v1/auth/login", {"email": f"user{number % 50 + 1:05}@example.test", "password": "correct-horse-battery"})
            assert status == 200, tokens
            assert post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})[0] == 200
            spent.append(tokens["refresh_token"])
        # So long a client may say that it has lost the answer.
        time.sleep(35)
        self.say("60 spent tokens are presented")
        for token in spent:
            assert post("/v1/auth/refresh", {"refresh_token": token})[0] == 401
        self.arrives("RefreshReuse", 240)
        self.ends("RefreshReuse")

    def holder_is_found(self, admin):
        """The first step of the runbook is the alert's own text, the second is /pool: each names the line that holds connections."""
        texts = [one["annotations"]["description"] for _, _, message in self.watch.receiver.told for one in message["alerts"]
                 if one["labels"]["alertname"] == "PoolLeakSuspected"]
        pool = json.loads(watch.get(f"http://127.0.0.1:{admin}/pool"))
        said = [texts[0], pool["longest_holders"][0]["site"], pool["call_sites"][0]["site"]]
        self.say("the alert says: " + said[0])
        self.say(f"/pool says: longest_holders {json.dumps(pool['longest_holders'][0])}, call_sites {json.dumps(pool['call_sites'][0])}")
        assert all("crates/chaos/src/fault/job.rs" in one for one in said), said

    # A play of the replay.

    def play(self, wanted, arguments):
        """Plays it on our arm, goes on under base load, and prints what arrived."""
        chaos, admin = watch.program("CHAOS", "forebay-chaos", "forebay-chaos"), watch.free_port()
        replay = self.run("replay", [chaos, "replay", *arguments, "--admin-port", str(admin), "--after", "150", "--out", self.folder])
        self.watch = watch.Watch([admin], self.folder).__enter__()
        self.watch.start_when(admin, replay)
        if "PoolLeakSuspected" in wanted:
            self.arrives("PoolLeakSuspected")
            self.holder_is_found(admin)
        replay.wait(timeout=1200)
        with open(os.path.join(self.folder, "report.json")) as file:
            play = json.load(file)["plays"][0]
        began, scenario = watch.unix(play["began"]), play["scenario"]
        alerts = self.watch.read().alerts(began, scenario["phases"][-1]["window"]["to"])
        tell(alerts)
        missing = [name for name in wanted if alerts.get(name, {}).get("arrived") is None]
        print(f"never arrived: {', '.join(missing)}" if missing else "as the runbook says")
        return 1 if missing else 0

"""A Prometheus and an Alertmanager on the files of ops/, a receiver for what they send, and what is read from all three."""

import datetime, http.server, json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time
import urllib.error, urllib.parse, urllib.request

EVERY_S = 5.0  # between two scrapes, and two evaluations


def program(variable, package, name):
    """The program that the variable names, or the release build."""
    path = os.environ.get(variable)
    if not path:
        subprocess.run(["cargo", "build", "--release", "--package", package], check=True)
        path = os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", name)
    if not os.access(path, os.X_OK):
        sys.exit(f"there is no program {path}: name one with {variable}, or leave it out and the release build is made")
    return os.path.abspath(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(address, seconds=5):
    with urllib.request.urlopen(address, timeout=seconds) as answer:
        return answer.read().decode()


def answers(address):
    try:
        get(address)
        return True
    except OSError:
        return False


def wait_until(what, holds, seconds, process=None):
    """Looks until it holds. Fails when the time is over, or when the process has ended."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s in vain: {what}")
        if process is not None and process.poll() is not None:
            raise SystemExit(f"a process ended before: {what}")
        time.sleep(0.1)


def end(process):
    """Ends a process of ours; who does not obey within 20 s is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def unix(text):
    """Of a moment in RFC 3339 with nanoseconds, the seconds since 1970."""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp()
    return seconds + float("0." + (rest or "0"))


class Receiver:
    """Notes what Alertmanager posts, and when."""

    def __init__(self):
        told = self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                at = time.time()
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                told.append((at, self.path.strip("/"), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Watch:
    """Both programs from start() to the end of the block; their logs are left in the folder."""

    def __init__(self, ports, folder):
        self.ports, self.folder, self.processes, self.shown = ports, folder, [], None

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="forebay-alerts-")
        self.receiver = Receiver()
        self.prometheus, self.alertmanager = free_port(), free_port()
        shutil.copytree("ops/prometheus", f"{self.work}/prometheus")
        targets = ", ".join(f"127.0.0.1:{port}" for port in self.ports)
        self.replace("prometheus/prometheus.yml", {"[127.0.0.1:9090]": f"[{targets}]", "127.0.0.1:9093": f"127.0.0.1:{self.alertmanager}"})
        shutil.copytree("ops/alertmanager", f"{self.work}/alertmanager")
        self.replace("alertmanager/alertmanager.yml", {"127.0.0.1:9099": f"127.0.0.1:{self.receiver.port}"})
        self.run(["prometheus-alertmanager" if shutil.which("prometheus-alertmanager") else "alertmanager",
                  f"--config.file={self.work}/alertmanager/alertmanager.yml", f"--storage.path={self.work}/alerts",
                  f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address="], "alertmanager")
        wait_until("Alertmanager is ready", lambda: answers(f"http://127.0.0.1:{self.alertmanager}/-/ready"), 30, self.processes[-1])
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            end(process)
        self.receiver.server.shutdown()
        shutil.rmtree(self.work, ignore_errors=True)

    def replace(self, file, pairs):
        path = f"{self.work}/{file}"
        with open(path) as old:
            text = old.read()
        for before, after in pairs.items():
            assert before in text, f"{file} has no {before}"
            text = text.replace(before, after)
        with open(path, "w") as new:
            new.write(text)

    def run(self, command, name):
        log = open(os.path.join(self.folder, f"{name}.log"), "w")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def start(self):
        """Prometheus begins to scrape."""
        self.run(["prometheus", f"--config.file={self.work}/prometheus/prometheus.yml", f"--storage.tsdb.path={self.work}/series",
                  f"--web.listen-address=127.0.0.1:{self.prometheus}", "--log.level=warn"], "prometheus")
        known = f"http://127.0.0.1:{self.prometheus}/api/v1/alertmanagers"
        wait_until("Prometheus knows its Alertmanager", lambda: answers(known) and json.loads(get(known))["data"]["activeAlertmanagers"], 30, self.processes[-1])
        # What it had to say before was dropped, and is said again.
        self.failed = self.failures()

    def failures(self):
        """The counters of both programs for what they could not do."""
        counts = {}
        for program, port, counters in [
            ("prometheus", self.prometheus, "rule_evaluation_failures rule_group_iterations_missed notifications_errors notifications_dropped"),
            ("alertmanager", self.alertmanager, "notifications_failed alerts_invalid"),
        ]:
            page = get(f"http://127.0.0.1:{port}/metrics")
            for counter in counters.split():
                counted = re.findall(rf"^{program}_{counter}_total(?:{{.*}})? (\S+)$", page, re.M)
                counts[f"{program}_{counter}_total"] = sum(float(count) for count in counted)
        return counts

    def start_when(self, port, process):
        """As soon as a shop answers there: before, its absence would ring."""
        wait_until("the shop is up", lambda: answers(f"http://127.0.0.1:{port}/livez"), 180, process)
        self.start()

    def query(self, expression, at):
        """The series that Prometheus answers with."""
        asked = urllib.parse.urlencode({"query": expression, "time": f"{at:.3f}"})
        return json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{asked}", 30))["data"]["result"]

    def read(self):
        """What is read while Prometheus still runs."""
        return Shown(self)


class Shown:
    """What both programs knew at the end."""

    def __init__(self, watch):
        now = time.time()
        everything = watch.query("{__name__=~\".+\"}[30m]", now)
        self.series = [(one["metric"], [(float(at), float(value)) for at, value in one["values"]]) for one in everything]
        self.told = list(watch.receiver.told)
        self.rules = json.loads(get(f"http://127.0.0.1:{watch.prometheus}/api/v1/rules"))["data"]["groups"]
        self.failed = {name: count - watch.failed[name] for name, count in watch.failures().items()}

    def of(self, name, began, end):
        """The series of a name, with the values between second 0 and `end`, by the second."""
        for labels, values in self.series:
            if labels["__name__"] == name:
                inside = [(at - began, value) for at, value in values if 0 <= at - began <= end]
                if inside:
                    yield labels, inside

    def alerts(self, began, end):
        """When each alert was pending, rang, arrived first and arrived as over, and how severe it is; the one that always rings
        is left out. Its series ends with the last evaluation at which it rang."""
        alerts = {}
        for labels, values in self.of("ALERTS", began, end):
            if labels["alertname"] == "Watchdog":
                continue
            alert = alerts.setdefault(labels["alertname"], {"severity": labels["severity"], "pending": end, "rings": None})
            alert["pending"] = min(alert["pending"], values[0][0])
            if labels["alertstate"] == "firing":
                alert["rings"] = min(values[0][0], end if alert["rings"] is None else alert["rings"])
        for name, alert in alerts.items():
            arrived, ended = [], []
            for at, _, message in self.told:
                for one in message["alerts"]:
                    if one["labels"]["alertname"] == name and at - began <= end:
                        (arrived if one["status"] == "firing" else ended).append(at - began)
            alert["arrived"] = min(arrived, default=None)
            alert["ended"] = max(ended, default=None) if arrived else None
        return alerts

    def scrapes(self, began, end):
        return sum(len(values) for _, values in self.of("up", began, end))

    def faults(self, began, end):
        """Scrapes, evaluations and messages that failed."""
        faults = []
        for labels, values in self.of("up", began, end):
            down = [at for at, value in values if value != 1]
            faults += [f"{len(down)} scrapes failed, the first {down[0]:.0f} s into the play"] if down else []
            gaps = [after - before for (before, _), (after, _) in zip(values, values[1:])]
            if not gaps or max(gaps) > 2 * EVERY_S or end - values[-1][0] > 2 * EVERY_S:
                faults.append("there are seconds that nothing was scraped in")
        for _, values in self.of("scrape_samples_scraped", began, end):
            faults += ["a scrape was empty"] if min(value for _, value in values) == 0 else []
        for group in self.rules:
            for rule in group["rules"]:
                if rule["health"] != "ok":
                    faults.append(f"the rule {rule['name']} is {rule['health']}: {rule.get('lastError', '')}")
        faults += [f"{name} went up by {count:.0f}" for name, count in self.failed.items() if count]
        # It says that messages arrive once a minute, or at the half minute of its group after that.
        heard = [at - began for at, path, _ in self.told if path == "watchdog" and 0 <= at - began <= end]
        if max(after - before for before, after in zip([0, *heard], [*heard, end])) > 120:
            faults.append("the watchdog was silent for two minutes")
        return faults

    def scraped(self, began, end):
        """The series of the shop."""
        for labels, values in self.series:
            name = labels["__name__"]
            if labels.get("job") == "forebay" and ":" not in name and not re.fullmatch(r"up|scrape_.*|ALERTS.*", name):
                inside = [(at - began, value) for at, value in values if 0 <= at - began <= end]
                if inside:
                    yield labels, inside

    def names(self, began, end):
        return sorted({labels["__name__"] for labels, _ in self.scraped(began, end)})

    def moved(self, began, end):
        """The names of which one series was not always 0."""
        return sorted({labels["__name__"] for labels, values in self.scraped(began, end) if any(value for _, value in values)})

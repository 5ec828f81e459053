"""Judges the manifests: python3 ops/kubernetes/check.py, from the repository's top. Renders each overlay by kustomize, holds it to the
schemas that Kubernetes publishes, and then to what no schema knows: the program's settings, routes and listeners, the connection
budget, the drain, who reaches whom, docker-compose.yml and the edge. Not zero, with a line for each fault, if something is wrong.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml
from pykustomize import _ffi as kustomize

HERE = pathlib.Path(__file__).parent
# The oldest that knows all that is used here (`matchLabelKeys`), and the newest that the validator knows.
VERSIONS = ("1.27", "1.37")
SERVICES = ("catalog", "auth", "checkout")
COMPONENT = "app.kubernetes.io/component"
# Beside what a Deployment shall have: one that comes, and one that goes (served.yaml, minReadySeconds).
ROLLING = 2
# After the drain: the pool is closed (CLOSE_LIMIT), and the last spans are sent (LAST_SPANS).
AFTER_DRAIN_MS = 3000

faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def read(path):
    return pathlib.Path(path).read_text()


def found(pattern, path):
    """What stands at the one place of a source that this check goes by."""
    match = re.search(pattern, read(path), re.M)
    if not match:
        sys.exit(f"{path} has no {pattern} any more: ops/kubernetes/check.py has to look elsewhere")
    return match[1]


def render(folder):
    """What `kustomize build` prints."""
    library, result = kustomize.get_library(), kustomize.ffi.new("char**")
    kustomize.check_error(library.pykustomize_build(str(folder).encode(), b"{}", result))
    return kustomize.string_from_c(result[0])


class Overlay:
    """What one overlay renders to."""

    def __init__(self, folder):
        self.name = folder.name
        self.objects = [one for one in yaml.safe_load_all(render(folder)) if one]

    def all(self, kind):
        return {one["metadata"]["name"]: one for one in self.objects if one["kind"] == kind}

    def workloads(self):
        return {name: one for kind in ("Deployment", "StatefulSet", "Job") for name, one in self.all(kind).items()}

    def fault(self, one, what):
        name = one if isinstance(one, str) else f"{one['kind']} {one['metadata']['name']}"
        fault(f"{self.name}: {name}", what)


# --- small questions


def pod(workload):
    return workload["spec"]["template"]["spec"]


def labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def ports(workload):
    return {port["name"]: port["containerPort"] for box in pod(workload)["containers"] for port in box.get("ports", [])}


def chosen(selector, of):
    """Whether a selector of labels chooses what has these."""
    if any(of.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    return all(rule["operator"] == "In" and of.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))


def setting(overlay, box, name):
    """What a container has in its environment under a name, from wherever it comes."""
    for one in box.get("env", []):
        if one["name"] == name:
            return one.get("value", one.get("valueFrom"))
    for source in box.get("envFrom", []):
        data = overlay.all("ConfigMap").get(source["configMapRef"]["name"], {}).get("data", {})
        if name in data:
            return data[name]
    return None


def mebibytes(text):
    value, unit = re.fullmatch(r"(\d+)(Mi|Gi|m|g)", text).groups()
    return int(value) * (1024 if unit in ("Gi", "g") else 1)


# --- checks


def holds_to_schemas(overlay):
    for one in overlay.objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                overlay.fault(one, f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message[:200]}")
            except kubernetes_validate.SchemaNotFoundError as error:
                overlay.fault(one, error.message)
        if one["kind"] == "Secret":
            overlay.fault(one, "a Secret in a manifest is a secret in git: ops/kubernetes/secrets makes them")
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") not in overlay.all("Namespace"):
            overlay.fault(one, "is in no namespace that is made here")


def settings_exist(overlay):
    sources = [*pathlib.Path("crates/shop/src").rglob("*.rs"), *pathlib.Path("crates/platform/src").rglob("*.rs")]
    known = set(re.findall(r'"((?:FOREBAY|PG|OTEL|SSL)_?[A-Z0-9_]+|DATABASE_URL)"', "".join(map(read, sources))))
    for name, workload in overlay.workloads().items():
        for box in pod(workload)["containers"]:
            if not box["image"].rpartition(":")[0].endswith("forebay/shop"):
                continue
            names = [one["name"] for one in box.get("env", [])]
            for source in box.get("envFrom", []):
                names += overlay.all("ConfigMap").get(source["configMapRef"]["name"], {}).get("data", {})
            for one in sorted(set(names) - known):
                overlay.fault(workload, f"the program has no setting {one}")


def references_exist(overlay, secrets):
    used = set()
    for name, workload in overlay.workloads().items():
        spec = pod(workload)
        volumes = {one["name"]: one for one in spec.get("volumes", [])}
        volumes |= {one["metadata"]["name"]: {} for one in workload["spec"].get("volumeClaimTemplates", [])}
        for one in volumes.values():
            if "secret" in one:
                used.add((one["secret"]["secretName"], None))
            if "configMap" in one and one["configMap"]["name"] not in overlay.all("ConfigMap"):
                overlay.fault(workload, f"there is no ConfigMap {one['configMap']['name']}")
        for box in spec["containers"]:
            for source in box.get("envFrom", []):
                if source["configMapRef"]["name"] not in overlay.all("ConfigMap"):
                    overlay.fault(workload, f"there is no ConfigMap {source['configMapRef']['name']}")
            for one in box.get("env", []):
                if ref := one.get("valueFrom", {}).get("secretKeyRef"):
                    used.add((ref["name"], ref["key"]))
                elif re.search("PASSWORD|TOKEN|SECRET|TICKET", one["name"]):
                    overlay.fault(workload, f"{one['name']} stands in the manifest: it belongs into a Secret")
            mounts = {one["mountPath"]: one["name"] for one in box.get("volumeMounts", [])}
            for one in mounts.values():
                if one not in volumes:
                    overlay.fault(workload, f"mounts {one}, which is no volume of it")
            for name in ("FOREBAY_SIGNING_KEY_FILE", "PGSSLROOTCERT"):
                if path := setting(overlay, box, name):
                    folder, _, file = path.rpartition("/")
                    source = volumes.get(mounts.get(folder), {}).get("secret", {}).get("secretName")
                    used.add((source, file))
                    if source is None:
                        overlay.fault(workload, f"{name} is {path}, and nothing is mounted at {folder}")
    for one in overlay.all("Ingress").values():
        used |= {(tls["secretName"], None) for tls in one["spec"].get("tls", [])}
    for name, key in sorted(used, key=str):
        if name is not None and (name not in secrets or key is not None and key not in secrets[name]):
            fault(overlay.name, f"the Secret {name}{f' with a key {key}' if key else ''} is in no row of docs/kubernetes.md")
    return {name for name, _ in used}


def images_exist(overlay):
    environment = dict(re.findall(r"^([A-Z_]+_IMAGE)=(\S+)", read(".env"), re.M))
    for workload in overlay.workloads().values():
        for box in pod(workload)["containers"]:
            name, _, tag = box["image"].rpartition(":")
            if not (name == "forebay/shop" or name.endswith("/forebay/shop") or box["image"] == environment["POSTGRES_IMAGE"]):
                overlay.fault(workload, f"nobody makes the image {box['image']}: docker-compose.yml and .env know no such")
            if tag in ("", "latest") and overlay.name != "trial":
                overlay.fault(workload, f"{box['image']} has no version")


def selectors_fit(overlay):
    workloads = overlay.workloads()
    pods = {name: labels(one) for name, one in workloads.items()}
    for name, one in workloads.items():
        if "selector" in one["spec"] and not chosen(one["spec"]["selector"], pods[name]):
            overlay.fault(one, "its selector does not choose its own pods")
    for name, service in overlay.all("Service").items():
        to = [one for one, has in pods.items() if chosen({"matchLabels": service["spec"]["selector"]}, has)]
        if to != [name]:
            overlay.fault(service, f"chooses the pods of {to or 'nobody'}, and not those of {name}")
        for port in service["spec"]["ports"]:
            if to and port["targetPort"] not in ports(workloads[to[0]]):
                overlay.fault(service, f"{to[0]} has no port {port['targetPort']}")
            if port["targetPort"] == "admin":
                overlay.fault(service, "the admin listener belongs into no Service")
    for name, budget in overlay.all("PodDisruptionBudget").items():
        if [one for one, has in pods.items() if chosen(budget["spec"]["selector"], has)] != [name]:
            overlay.fault(budget, f"does not choose the pods of {name}, and those alone")
    for name, scaler in overlay.all("HorizontalPodAutoscaler").items():
        target = scaler["spec"]["scaleTargetRef"]
        if target["name"] != name or target["name"] not in overlay.all(target["kind"]):
            overlay.fault(scaler, f"there is no {target['kind']} {target['name']}, or it has another's name")
        if "replicas" in overlay.all("Deployment").get(name, {}).get("spec", {}):
            overlay.fault(scaler, "the Deployment says `replicas` too: each time it is applied, it takes back what was scaled")
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        for name in sorted(set(SERVICES) - set(overlay.all(kind))):
            fault(overlay.name, f"{name} has no {kind}")
    for policy in overlay.all("NetworkPolicy").values():
        peers = [rule for way in ("ingress", "egress") for rule in policy["spec"].get(way, [])]
        peers = [peer for rule in peers for peer in rule.get("from", rule.get("to", [])) if "namespaceSelector" not in peer]
        for selector in [policy["spec"]["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            named = selector.get("matchLabels", {}).get(COMPONENT)
            for value in {named} if named else {value for rule in selector.get("matchExpressions", []) for value in rule["values"]}:
                if not any(has.get(COMPONENT) == value for has in pods.values()):
                    overlay.fault(policy, f"there is no pod whose {COMPONENT} is {value}")
    for scaled in ("Deployment", "StatefulSet"):
        for one in overlay.all(scaled).values():
            for spread in pod(one).get("topologySpreadConstraints", []):
                keys = {*spread["labelSelector"]["matchLabels"], *spread["matchLabelKeys"]} - {"pod-template-hash"}
                if not keys <= set(labels(one)):
                    overlay.fault(one, f"is spread by labels that it does not have: {sorted(keys - set(labels(one)))}")


def probes_are_answered(overlay):
    routes = set(re.findall(r'\.route\("(/[^"]*)"', read("crates/platform/src/admin.rs")))
    for name in SERVICES:
        workload = overlay.all("Deployment")[name]
        box, has = pod(workload)["containers"][0], ports(workload)
        for variable, port in (("FOREBAY_HTTP", "http"), ("FOREBAY_ADMIN", "admin")):
            if setting(overlay, box, variable) != f"0.0.0.0:{has.get(port)}":
                overlay.fault(workload, f"{variable} is {setting(overlay, box, variable)}, and the port `{port}` {has.get(port)}")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = box.get(probe, {}).get("httpGet", {})
            if get.get("port") != "admin" or get.get("path") not in routes:
                overlay.fault(workload, f"{probe}: the admin listener has no {get.get('path')} at {get.get('port')}")
        if box["livenessProbe"]["httpGet"]["path"] != "/livez" or box["readinessProbe"]["httpGet"]["path"] != "/readyz":
            overlay.fault(workload, "/livez says whether it lives, and /readyz whether it is ready")
        for variable in ("FOREBAY_JWKS_URL", "FOREBAY_STOCK_URL"):
            if url := setting(overlay, box, variable):
                host, port = re.match(r"http://([a-z]+):(\d+)/", url).groups()
                there = overlay.all("Service").get(host, {}).get("spec", {}).get("ports", [])
                if int(port) not in [one["port"] for one in there]:
                    overlay.fault(workload, f"{variable}: there is no Service {host} with a port {port}")


def times_fit(overlay):
    start_wait = int(found(r'"FOREBAY_START_WAIT_MS", Duration::from_secs\((\d+)\)', "crates/shop/src/config.rs"))
    for name in SERVICES:
        workload = overlay.all("Deployment")[name]
        spec, box = workload["spec"], pod(workload)["containers"][0]
        grace = pod(workload)["terminationGracePeriodSeconds"]
        drain = sum(int(setting(overlay, box, one)) for one in ("FOREBAY_DRAIN_DELAY_MS", "FOREBAY_DRAIN_MS"))
        if grace * 1000 < drain + AFTER_DRAIN_MS:
            overlay.fault(workload, f"ends after {grace} s at the latest, and its drain takes {drain} ms and {AFTER_DRAIN_MS} more")
        if spec["minReadySeconds"] < grace:
            overlay.fault(workload, f"minReadySeconds {spec['minReadySeconds']} < {grace}: more than one would be ending at a time")
        rolling = spec["strategy"].get("rollingUpdate", {})
        if (rolling.get("maxUnavailable"), rolling.get("maxSurge")) != (0, 1):
            overlay.fault(workload, f"a rolling update takes one more and none less: {rolling}")
        startup = box["startupProbe"]
        if startup["periodSeconds"] * startup["failureThreshold"] < start_wait + 5:
            overlay.fault(workload, f"the startup probe gives up before the program does, which waits for {start_wait} s")


def budget_holds(overlay):
    """Returns the arithmetic, which docs/kubernetes.md shows."""
    beside = {name: int(count) for name, count in re.findall(r"^\| (\w+) \| \d+ \| (\d) \|", read("docs/budget.md"), re.M)}
    operators = int(found(r"const OPERATORS: u64 = (\d+);", "crates/shop/src/budget.rs"))
    migrate, total, lines = overlay.all("Job")["migrate"], 0, []
    for name in SERVICES:
        box = pod(overlay.all("Deployment")[name])["containers"][0]
        most = overlay.all("HorizontalPodAutoscaler")[name]["spec"]["maxReplicas"]
        pool = int(setting(overlay, box, "FOREBAY_POOL_MAX"))
        needed = (most + ROLLING) * (pool + beside[name])
        total += needed
        lines.append(f"| {name} | {most} | {ROLLING} | {pool} | {beside[name]} | {needed} |")
        role = f"FOREBAY_ROLE_{name.upper()}_CONNECTIONS"
        given = setting(overlay, pod(migrate)["containers"][0], role)
        if given != str(needed):
            overlay.fault(migrate, f"{role} is {given}: ({most} + {ROLLING}) x ({pool} + {beside[name]}) = {needed}")
    server, reserved = (int(migrate["metadata"]["annotations"][f"forebay/{one}-connections"]) for one in ("max", "reserved"))
    if total > server - reserved - operators:
        fault(overlay.name, f"the budget: {total} connections do not fit into {server} - {reserved} reserved - {operators} for operators")
    for one in overlay.all("StatefulSet").values():
        args = dict(re.findall(r"-c(\w+)=(\w+)", " ".join(pod(one)["containers"][0]["args"])))
        for name, value in (("max_connections", server), ("superuser_reserved_connections", reserved)):
            if args.get(name) != str(value):
                overlay.fault(one, f"{name} is {args.get(name)}, and the budget is made for {value}")
    return [*lines, f"{total} of {server} - {reserved} - {operators} = {server - reserved - operators}"]


def pods_are_closed(overlay):
    for workload in overlay.workloads().values():
        spec = pod(workload)
        for name in ("automountServiceAccountToken", "enableServiceLinks"):
            if spec.get(name) is not False:
                overlay.fault(workload, f"{name} is not false")
        context = spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser") or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            overlay.fault(workload, "its securityContext lacks runAsNonRoot, runAsUser or seccompProfile RuntimeDefault")
        if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")) or any("hostPath" in one for one in spec.get("volumes", [])):
            overlay.fault(workload, "has a part of the machine")
        for box in [*spec["containers"], *spec.get("initContainers", [])]:
            wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            if box.get("securityContext") != wanted:
                overlay.fault(workload, f"the securityContext of {box['name']} is not {wanted}")
            resources = box.get("resources", {})
            if "cpu" not in resources.get("requests", {}) or not resources.get("limits", {}).get("memory"):
                overlay.fault(workload, "asks for no processor time, or has no limit of memory")
            elif "forebay/shop" in box["image"] and "cpu" not in resources["limits"]:
                overlay.fault(workload, "without a limit of processor time it takes memory for each core of the machine")
            elif resources["limits"]["memory"] != resources["requests"].get("memory"):
                overlay.fault(workload, "memory that is not asked for can be taken away: request and limit differ")


def is_as_in_compose(overlay):
    compose = yaml.safe_load(read("docker-compose.yml"))["services"]
    for name in SERVICES:
        workload, there = overlay.all("Deployment")[name], compose[name]
        box = pod(workload)["containers"][0]
        if box["args"] != there["command"]:
            overlay.fault(workload, f"runs {box['args']}, and in compose {there['command']}")
        if mebibytes(box["resources"]["limits"]["memory"]) != mebibytes(there["mem_limit"]):
            overlay.fault(workload, f"has {box['resources']['limits']['memory']} of memory, and in compose {there['mem_limit']}")
        user = re.match(r"postgres://(\w+)@", there["environment"]["DATABASE_URL"])[1]
        if setting(overlay, box, "PGUSER") != user:
            overlay.fault(workload, f"logs in as {setting(overlay, box, 'PGUSER')}, and in compose as {user}")
        for variable in ("FOREBAY_JWKS_URL", "FOREBAY_STOCK_URL"):
            if setting(overlay, box, variable) != there["environment"].get(variable):
                overlay.fault(workload, f"{variable} is {setting(overlay, box, variable)}, and in compose {there['environment'].get(variable)}")
    migrate = overlay.all("Job")["migrate"]
    box = pod(migrate)["containers"][0]
    if (box["command"], box["args"]) != (compose["migrate"]["entrypoint"], compose["migrate"]["command"]):
        overlay.fault(migrate, "does not do what compose's `migrate` does")


def reaches(overlay, source, target, port):
    """Whether the policies let pods `source` connect to the port `port` of pods `target`. Each is the name of a workload here, or the
    labels of a namespace."""
    workloads, policies = overlay.workloads(), overlay.all("NetworkPolicy").values()

    def lets(way, at, peer):
        own = labels(workloads[at])
        mine = [one["spec"] for one in policies if way in one["spec"]["policyTypes"] and chosen(one["spec"]["podSelector"], own)]
        if not mine:
            return True
        fits = {"Ingress": "from", "Egress": "to"}[way]
        for rule in (rule for spec in mine for rule in spec.get(way.lower(), [])):
            if port not in [one["port"] for one in rule["ports"]] and ports(workloads[target]).get(port) not in [one["port"] for one in rule["ports"]]:
                continue
            for one in rule[fits]:
                if isinstance(peer, dict) and "namespaceSelector" in one and chosen(one["namespaceSelector"], peer):
                    return True
                if isinstance(peer, str) and "namespaceSelector" not in one and "podSelector" in one and chosen(one["podSelector"], labels(workloads[peer])):
                    return True
        return False

    return lets("Ingress", target, source) and (isinstance(source, dict) or lets("Egress", source, target))


def network_is_closed(overlay):
    edge, monitoring, stranger = {"forebay/edge": "true"}, {"forebay/monitoring": "true"}, {"kubernetes.io/metadata.name": "default"}
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(policy["spec"] == nothing for policy in overlay.all("NetworkPolicy").values()):
        fault(overlay.name, "no NetworkPolicy closes what no other one speaks of")
    open_ways = {("catalog", "auth"), ("catalog", "checkout"), ("checkout", "auth")}
    pods = list(overlay.workloads())
    for target in SERVICES:
        for source in [*pods, edge, monitoring, stranger]:
            for port in ("http", "admin"):
                wanted = source == (edge if port == "http" else monitoring) or port == "http" and isinstance(source, str) and (source, target) in open_ways
                if reaches(overlay, source, target, port) != wanted:
                    fault(overlay.name, f"{source} {'does not reach' if wanted else 'reaches'} the port `{port}` of {target}")
    if "postgres" in pods:
        for source in [*pods, edge, monitoring, stranger]:
            wanted = source in (*SERVICES, "migrate")
            if reaches(overlay, source, "postgres", "postgres") != wanted:
                fault(overlay.name, f"{source} {'does not reach' if wanted else 'reaches'} postgres")


def edge_leads_as_in_compose(overlay):
    rules = re.findall(r"^ *use_backend (\w+) +if (.*)$", read("ops/edge/haproxy.cfg"), re.M)
    conditions = [(backend, *one.split(None, 1)) for backend, line in rules for one in re.findall(r"\{ ([^}]*) \}", line)]

    def haproxy(path):
        for backend, kind, values in conditions:
            if path in values.split() if kind == "path" else path.startswith(tuple(values.split())):
                return backend
        return None

    for ingress in overlay.all("Ingress").values():
        ways = [way for rule in ingress["spec"]["rules"] for way in rule["http"]["paths"]]
        for way in ways:
            to = way["backend"]["service"]
            if to["port"]["name"] not in [one["name"] for one in overlay.all("Service").get(to["name"], {}).get("spec", {}).get("ports", [])]:
                overlay.fault(ingress, f"{way['path']} leads to no port of a Service")

        def leads(path):
            fitting = [way for way in ways if way["path"] == path]
            fitting += [way for way in ways if way["pathType"] == "Prefix" and f"{path}/".startswith(f"{way['path'].rstrip('/')}/")]
            best = max(fitting, key=lambda way: (way["path"] == path and way["pathType"] == "Exact", len(way["path"])), default=None)
            return best["backend"]["service"]["name"] if best else None

        paths = {path for _, _, values in conditions for path in values.split()} | {way["path"] for way in ways}
        # A folder by itself, such as /assets, is nobody's there, and here not found at the service.
        folders = {path.rstrip("/") for _, kind, values in conditions if kind == "path_beg" for path in values.split()}
        asked = {path for path in paths if not path.endswith("/") or path == "/"} | {f"{path.rstrip('/')}/x" for path in paths}
        asked |= {"/metrics", "/pool", "/livez", "/readyz", "/.well-known/revoked-sessions.json", "/v1/availability/changes", "/v1/nothing", "/x"}
        for path in sorted(asked):
            if leads(path) != haproxy(path) and not (path in folders and haproxy(path) is None):
                overlay.fault(ingress, f"{path} leads to {leads(path)}, and in ops/edge/haproxy.cfg to {haproxy(path)}")


def autoscalers_have_their_metric(overlay):
    rules = yaml.safe_load(read(HERE / "prometheus-adapter.yaml"))["rules"]
    there = {rule["name"]["as"] for rule in rules}
    for scaler in overlay.all("HorizontalPodAutoscaler").values():
        asked = [metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"] if metric["type"] == "Pods"]
        if not asked or set(asked) - there:
            overlay.fault(scaler, f"asks for {asked or 'no metric of the pool'}, and prometheus-adapter.yaml makes {sorted(there)}")


def adapter_asks_for_what_is_recorded():
    recorded = set(re.findall(r"record: (\S+)", read("ops/prometheus/rules/recording.yml")))
    expressions = []
    for rule in yaml.safe_load(read(HERE / "prometheus-adapter.yaml"))["rules"]:
        series = rule["seriesQuery"].split("{")[0]
        if series not in recorded:
            fault("prometheus-adapter.yaml", f"no rule records {series}")
        if not re.search(rule["name"]["matches"], series):
            fault("prometheus-adapter.yaml", f"{rule['name']['matches']} does not match {series}")
        filled = {"<<.Series>>": series, "<<.LabelMatchers>>": 'namespace="forebay",pod=~"a|b"', "<<.GroupBy>>": "pod"}
        expressions += [rule["seriesQuery"], re.sub("<<[^>]*>>", lambda found: filled[found[0]], rule["metricsQuery"])]
    promtool("check", "rules", {"groups": [{"name": "adapter", "rules": [{"record": f"a:b:c{n}", "expr": expr} for n, expr in enumerate(expressions)]}]})


def prometheus_finds_the_pods():
    config, compose = (yaml.safe_load(read(f"ops/prometheus/{name}.yml")) for name in ("kubernetes", "compose"))
    for part in ("global", "rule_files", "alerting"):
        if config[part] != compose[part]:
            fault("ops/prometheus/kubernetes.yml", f"{part} is not as in compose.yml")
    # Debian's promtool was built without the cluster's discovery: the rest is shown to it.
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": ["127.0.0.1:9090"]}] if job.pop("kubernetes_sd_configs", None) else []
    promtool("check", "config", "--syntax-only", config)


def promtool(*command):
    *command, content = command
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        # Which is YAML too.
        json.dump(content, file)
        file.flush()
        said = subprocess.run(["promtool", *command, file.name], capture_output=True, text=True)
        if said.returncode:
            fault(f"promtool {' '.join(command)}", said.stdout + said.stderr)


def secrets_are_made(rows, used):
    """Holds the script that makes Secrets, the table of docs/kubernetes.md, and what the manifests ask for to each other."""
    made = list(yaml.safe_load_all(subprocess.run([HERE / "secrets"], capture_output=True, text=True, check=True).stdout))
    for one in made:
        kubernetes_validate.validate(one, VERSIONS[1], strict=True)
        name = one["metadata"]["name"]
        if rows.get(name) != set(one["data"]):
            fault("ops/kubernetes/secrets", f"{name} has the keys {sorted(one['data'])}, and docs/kubernetes.md says {sorted(rows.get(name, []))}")
        if not all(base64.b64decode(value) for value in one["data"].values()):
            fault("ops/kubernetes/secrets", f"{name} has an empty value")
    by_hand = {"database-ca", "shop-tls"}
    for name in sorted(set(rows) - {one["metadata"]["name"] for one in made} - by_hand):
        fault("ops/kubernetes/secrets", f"does not make {name}")
    for name in sorted(set(rows) - used):
        fault("docs/kubernetes.md", f"nothing uses the Secret {name}")


def main():
    page = read("docs/kubernetes.md")
    secrets = {name: set(re.findall("`([^`]+)`", keys)) for name, keys in re.findall(r"^\| `([a-z-]+)` \| ((?:`[a-z.-]+`(?:, )?)+) \|", page, re.M)}
    used, count, budgets = set(), 0, set()
    for folder in sorted((HERE / "overlays").iterdir()):
        try:
            overlay = Overlay(folder)
        except kustomize.KustomizeError as error:
            fault(f"kustomize build {folder}", error)
            continue
        count += len(overlay.objects)
        holds_to_schemas(overlay)
        settings_exist(overlay)
        used |= references_exist(overlay, secrets)
        images_exist(overlay)
        selectors_fit(overlay)
        if faults:
            # What follows takes for granted that all of it is there.
            continue
        probes_are_answered(overlay)
        times_fit(overlay)
        budgets.update(budget_holds(overlay))
        pods_are_closed(overlay)
        is_as_in_compose(overlay)
        network_is_closed(overlay)
        edge_leads_as_in_compose(overlay)
        autoscalers_have_their_metric(overlay)
    if not faults:
        secrets_are_made(secrets, used)
        adapter_asks_for_what_is_recorded()
        prometheus_finds_the_pods()
        for line in sorted(budgets):
            if line not in page:
                fault("docs/kubernetes.md", f"does not show the budget: {line}")
    for line in faults:
        print(line, file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"{count} objects hold to the schemas of Kubernetes {' and '.join(VERSIONS)}, and to the program, the budget, compose and the edge")


if __name__ == "__main__":
    main()

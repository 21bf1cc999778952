#!/usr/bin/env python3
"""etc/kubernetes: built by kustomize, held against the schemas of Kubernetes, and its pod run as a kubelet would.

    cargo build --workspace --examples --bins && target/python/etc/bin/python -B tests/etc/kubernetes_test.py
"""

import base64
import json
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml
from go_program import go_program
from instance import LONG, ROOT, until
from sandbox import Sandbox

KUSTOMIZE = ("sigs.k8s.io/kustomize/kustomize/v5", "v5.0.3", "kustomize")
# The oldest that the validator knows, one in between, and its newest.
VERSIONS = ("1.28", "1.32", "1.37")
# The token of the sandbox; the pod has it as a file of a secret.
TOKEN = "/etc/opt/admin/token"


def built():
    """What `kubectl apply --kustomize etc/kubernetes/example` would apply."""
    program = go_program(*KUSTOMIZE)
    told = subprocess.run([program, "build", ROOT / "etc/kubernetes/example"], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(told.stdout))


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.resources = built()
        cls.by_kind = {it["kind"]: it for it in cls.resources if it["kind"] != "Secret"}
        cls.pod = cls.by_kind["Deployment"]["spec"]["template"]["spec"]
        (cls.container,) = cls.pod["containers"]

    def flag(self, name):
        (found,) = [it.partition("=")[2] for it in self.container["args"] if it.startswith(f"--{name}=")]
        return found

    def test_the_schemas_of_kubernetes_allow_them(self):
        for resource in self.resources:
            for version in VERSIONS:
                with self.subTest(resource["kind"], version=version):
                    kubernetes_validate.validate(resource, version, strict=True)

    def test_the_schemas_forbid_what_is_wrong(self):
        wrong = yaml.safe_load(yaml.safe_dump(self.by_kind["Deployment"]))
        wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbes"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)

    def test_the_resources_mean_each_other(self):
        labels = {"app.kubernetes.io/name": "oxicorn"}
        self.assertEqual(self.by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"], labels)
        for selector in (
            self.by_kind["Deployment"]["spec"]["selector"]["matchLabels"], self.by_kind["Service"]["spec"]["selector"],
            self.by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
            self.by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
            self.pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        ):
            self.assertEqual(selector, labels)
        scaled = self.by_kind["HorizontalPodAutoscaler"]["spec"]
        deployment = self.by_kind["Deployment"]
        target = scaled["scaleTargetRef"]
        self.assertEqual((target["kind"], target["name"]), ("Deployment", deployment["metadata"]["name"]))
        # Both would say how many pods there are.
        self.assertNotIn("replicas", deployment["spec"])
        self.assertGreater(scaled["minReplicas"], self.by_kind["PodDisruptionBudget"]["spec"]["maxUnavailable"])
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual(set(ports.values()), {int(self.flag(name).rpartition(":")[2]) for name in ("bind", "admin-bind")})
        used = [self.by_kind["Service"]["spec"]["ports"][0]["targetPort"]]
        used += [port["port"] for rule in self.by_kind["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
        used += [self.container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe")]
        self.assertLessEqual(set(used), set(ports))
        names = {it["metadata"]["name"] for it in self.resources if it["kind"] == "Secret"}
        self.assertEqual(names, {self.container["envFrom"][0]["secretRef"]["name"], self.pod["volumes"][-1]["secret"]["secretName"]})
        mounted = {mount["name"] for mount in self.container["volumeMounts"]}
        self.assertEqual(mounted, {volume["name"] for volume in self.pod["volumes"]})

    def test_there_is_time_to_end(self):
        needed = int(self.flag("drain-delay")) + int(self.flag("graceful-timeout"))
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], needed)
        probe = self.container["readinessProbe"]
        noticed = probe["periodSeconds"] * probe["failureThreshold"]
        self.assertGreater(int(self.flag("drain-delay")), noticed)

    def test_the_pods_meet_the_restricted_pod_security_standard(self):
        pod, container = self.pod["securityContext"], self.container["securityContext"]
        self.assertTrue(pod["runAsNonRoot"] and pod["runAsUser"] and pod["seccompProfile"]["type"] == "RuntimeDefault")
        self.assertEqual(container["allowPrivilegeEscalation"], False)
        self.assertEqual(container["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(container["readOnlyRootFilesystem"])
        self.assertEqual({"emptyDir", "secret"}, {kind for volume in self.pod["volumes"] for kind in volume if kind != "name"})


class Pod(unittest.TestCase):
    """The command line of the manifest, as process 1 of a container without rights, on a root that it cannot write to."""

    def test_it_starts_answers_its_probes_and_drains(self):
        container = next(it for it in built() if it["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
        arguments = [TOKEN.join(it.split("/etc/oxicorn/admin/token")) for it in container["args"]]
        # As long as this test takes.
        arguments = [re.sub("^--drain-delay=.*", "--drain-delay=3600", it) for it in arguments]
        secret = next(it for it in built() if it["kind"] == "Secret" and "DATABASE_URL" in it["data"])["data"]
        self.assertEqual(set(secret), {"DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"})
        for value in secret.values():
            self.assertTrue(base64.b64decode(value))
        # The one thing that is missing here are the backends.
        env = {"DATABASE_URL": "sqlite:/tmp/oxicorn.db", "HOME": "/nowhere"}
        ready = container["readinessProbe"]["httpGet"]["path"]
        live = container["livenessProbe"]["exec"]["command"]
        with Sandbox(["/usr/local/bin/oxicorn", *arguments], 10001, env) as pod:
            pod.until_ready(5002, ready)
            self.assertEqual(pod.run(*live).returncode, 0, pod.log())
            # A pod may be reached from elsewhere, so the admin process asks for the token.
            self.assertEqual(pod.get(9108, "/metrics"), 401)
            told = pod.run("sh", "-c", f'curl --silent --fail --header "Authorization: Bearer $(cat {TOKEN})" http://127.0.0.1:9108/metrics')
            self.assertIn("oxicorn_threads{", told.stdout)
            self.assertIn("oxicorn_request_queue_seconds_count", told.stdout)
            self.assertNotEqual(pod.run("touch", "/usr/x").returncode, 0)
            pod.signal(signal.SIGTERM)
            until("no new clients", lambda: pod.get(5002, ready) == 503, LONG)
            self.assertEqual(pod.run(*live).returncode, 0, "it is not killed while it drains")
            self.assertEqual(pod.get(5002, "/api/v1/eventstreammonitor/tasks"), 200)
            # The end of the long delay.
            pod.signal(signal.SIGTERM)
            self.assertEqual(pod.process.wait(LONG), 0, pod.log())
            self.assertIn("Shutting down: Master", pod.log())

    def test_the_liveness_probe_finds_a_master_that_stands_still(self):
        container = next(it for it in built() if it["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
        live = [*container["livenessProbe"]["exec"]["command"]]
        impatient = [*live]
        live[live.index("--timeout") + 1], impatient[live.index("--timeout") + 1] = str(LONG), "1"
        command = ["/usr/local/bin/oxicorn", "--bind=0.0.0.0:5002", "--control-socket=/run/oxicorn/control", "native:hello"]
        with Sandbox(command, 10001) as pod:
            pod.until_ready(5002, "/")
            self.assertEqual(pod.run(*live).returncode, 0)
            pod.signal(signal.SIGSTOP)
            self.assertNotEqual(pod.run(*impatient).returncode, 0)


class Autoscaling(unittest.TestCase):
    """The rules of prometheus-adapter, over figures as oxicorn has them."""

    SERIES = {
        'oxicorn_threads{namespace="tasks", pod="%s", state="idle"}': "2x20",
        'oxicorn_threads{namespace="tasks", pod="%s", state="running"}': "5x20",
        'oxicorn_threads{namespace="tasks", pod="%s", state="stuck"}': "1x20",
        'oxicorn_threads{namespace="tasks", pod="%s", state="reserve"}': "8x20",
        # Ten requests in fifteen seconds, each of which waits half a second.
        'oxicorn_request_queue_seconds_sum{namespace="tasks", pod="%s"}': "0+5x20",
        'oxicorn_request_queue_seconds_count{namespace="tasks", pod="%s"}': "0+10x20",
    }

    def rules(self):
        rules = yaml.safe_load((ROOT / "etc/prometheus/adapter.yaml").read_text())["rules"]
        return {rule["name"]["as"]: rule for rule in rules}

    def query(self, rule, pod):
        """As the adapter asks for one pod."""
        series = re.match(r"\w+", rule["seriesQuery"])[0]
        text = rule["metricsQuery"].replace("<<.Series>>", series).replace("<<.GroupBy>>", "pod")
        return text.replace("<<.LabelMatchers>>", f'namespace="tasks",pod="{pod}"')

    def test_they_give_what_the_autoscaler_asks_for(self):
        scaled = next(it for it in built() if it["kind"] == "HorizontalPodAutoscaler")
        asked = {it["pods"]["metric"]["name"] for it in scaled["spec"]["metrics"]}
        self.assertEqual(asked, set(self.rules()))
        expected = {"oxicorn_threads_busy": 0.75, "oxicorn_queue_seconds": 0.5}
        series = [{"series": name % "a", "values": values} for name, values in self.SERIES.items()]
        # A pod that nobody asks anything.
        series += [{"series": name % "b", "values": "0x20"} for name in list(self.SERIES)[3:]]
        tests = [
            {"expr": self.query(self.rules()[name], "a"), "eval_time": "4m", "exp_samples": [{"labels": '{pod="a"}', "value": value}]}
            for name, value in expected.items()
        ]
        quiet = {"expr": self.query(self.rules()["oxicorn_queue_seconds"], "b"), "eval_time": "4m"}
        tests.append({**quiet, "exp_samples": [{"labels": '{pod="b"}', "value": 0}]})
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": tests}]}, file)
            file.flush()
            told = subprocess.run(["promtool", "test", "rules", file.name], capture_output=True, text=True, check=False)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_prometheus_scrapes_the_admin_process_of_each_pod_once(self):
        """Debian's Prometheus is built without Kubernetes' discovery, so what it would discover is written down here."""
        configuration = yaml.safe_load((ROOT / "etc/prometheus/kubernetes.yml").read_text())
        (job,) = configuration["scrape_configs"]
        self.assertEqual(job.pop("kubernetes_sd_configs"), [{"role": "pod"}])
        ports = (("oxicorn", "http", 5002), ("oxicorn", "admin", 9108), ("other", "admin", 9108))
        job["static_configs"] = [discovered(*port) for port in ports]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "prometheus.yml"
            (Path(folder) / "rules.yml").write_text("")
            job["authorization"]["credentials_file"] = str(file)
            file.write_text(yaml.safe_dump(configuration))
            told = subprocess.run(
                ["promtool", "check", "service-discovery", "--timeout", "10s", file, "oxicorn"], capture_output=True, text=True, check=True,
            )
        found = [it["labels"] for it in json.loads(told.stdout) if it["labels"]]
        wanted = ("__address__", "__metrics_path__", "namespace", "pod")
        self.assertEqual([tuple(it[name] for name in wanted) for it in found], [("10.0.0.7:9108", "/metrics", "tasks", "oxicorn-0")])


def discovered(name, port, number):
    """What Prometheus hears of one port of a pod."""
    meta = {"namespace": "tasks", "pod_name": f"{name}-0", "pod_label_app_kubernetes_io_name": name, "pod_container_port_name": port}
    return {"targets": [f"10.0.0.7:{number}"], "labels": {f"__meta_kubernetes_{key}": value for key, value in meta.items()}}


if __name__ == "__main__":
    unittest.main()

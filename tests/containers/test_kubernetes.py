"""The manifests are what Kubernetes takes, and ask for no more than the compose file does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from testing.services.process import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.34", "1.37")  # of its API
SECRETS = {
    "identities/broker": (
        "ca.crt",
        "server.pem",
        "crl.pem",
        "access.json",
        "broker.pem",
        "devices.crt",
        "devices.crl",
        "services.crt",
        "services.crl",
    ),
    "identities/processor": ("processor.pem",),
    "identities/gallery": ("gallery.pem",),
    "cos/processor": ("api-key",),
    "cos/gallery": ("api-key",),
    ".": ("users",),
}
CANARY = "canary-in-a-secret"

Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """By the kustomize of the real kubectl."""
    kubectl = str(Path(sys.executable).with_name("kubectl"))
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The example, with secrets in it."""
    folder = tmp_path_factory.mktemp("kubernetes")
    for part in ("base", "example"):
        shutil.copytree(FOLDER / part, folder / part)
    for place, names in SECRETS.items():
        (folder / "example" / place).mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / "example" / place / name).write_text(CANARY)
    return rendered(folder / "example")


def of(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for kind in ("StatefulSet", "Deployment"):
        for name, one in of(manifests, kind).items():
            yield name, one["spec"]["template"]


def container(manifests: list[Manifest], name: str) -> Manifest:
    (one,) = dict(pods(manifests))[name]["spec"]["containers"]
    found: Manifest = one
    return found


def compose() -> Manifest:
    """docker-compose.cloud.yml as it stands; its variables are of no matter here."""
    found: Manifest = yaml.safe_load((ROOT / "docker-compose.cloud.yml").read_text())["services"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_each_manifest_with_every_field_known(
    manifests: list[Manifest], version: str
) -> None:
    assert len(manifests) > 18
    for one in manifests:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_is_none_is_found_out(manifests: list[Manifest]) -> None:
    wrong = json.loads(json.dumps(of(manifests, "Deployment")["processor"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_pods_may_do_what_containers_may_and_no_more(manifests: list[Manifest]) -> None:
    """Which is what Kubernetes calls restricted, and is asked of the whole namespace."""
    assert {name for name, _ in pods(manifests)} == {"broker", "processor", "gallery"}
    for name, pod in pods(manifests):
        spec, one = pod["spec"], container(manifests, name)
        user = spec["securityContext"]
        assert user["runAsNonRoot"]
        assert (user["runAsUser"], user["runAsGroup"], user["fsGroup"]) == (10001,) * 3
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec["automountServiceAccountToken"]
        assert not spec["enableServiceLinks"]  # else BROKER_PORT and the like are set
        assert not [one for one in spec["volumes"] if "hostPath" in one]
        limit = one["resources"]["limits"]["memory"].replace("Mi", "m")
        assert limit == compose()[name]["mem_limit"]
        assert spec["terminationGracePeriodSeconds"] == 15
    (namespace,) = of(manifests, "Namespace").values()
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_each_pod_says_how_it_is(manifests: list[Manifest]) -> None:
    for name, _ in pods(manifests):
        one = container(manifests, name)
        ports = {port["name"] for port in one["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name == "broker":
                assert one[probe]["exec"] == {"command": ["broker/healthy"]}
            else:
                assert one[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
                assert "metrics" in ports


def test_settings_are_those_of_the_compose_file(manifests: list[Manifest]) -> None:
    for name in ("processor", "gallery"):
        one = container(manifests, name)
        env = {each["name"]: each["value"] for each in one["env"]}
        known = compose()[name]["environment"]
        assert env.keys() <= known.keys()
        for same in ("MQTT_HOST", "MQTT_PORT", "MQTT_BUNDLE"):
            assert env[same] == str(known[same])
        (source,) = one["envFrom"]
        store = of(manifests, "ConfigMap")[source["configMapRef"]["name"]]["data"]
        assert {*store} == {"COS_ENDPOINT", "COS_BUCKET"}


def test_every_name_that_a_manifest_uses_is_there(manifests: list[Manifest]) -> None:
    secrets, claims = of(manifests, "Secret"), of(manifests, "PersistentVolumeClaim")
    for _, pod in pods(manifests):
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets
                assert volume["secret"]["defaultMode"] == 0o440
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        names = {volume["name"] for volume in pod["spec"]["volumes"]}
        (one,) = pod["spec"]["containers"]
        assert {mount["name"] for mount in one["volumeMounts"]} == names
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests)}
    for name, service in of(manifests, "Service").items():
        target = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert target in labels, name
        ports = {port["name"] for port in container(manifests, target)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    # Selectors of what replaces pods never change, and so have no label of a whole set.
    for kind in ("Deployment", "StatefulSet"):
        for name, one in of(manifests, kind).items():
            assert one["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": name}}


def test_identities_are_taken_up_in_place_and_other_secrets_by_new_pods(
    manifests: list[Manifest],
) -> None:
    plain = {"facepipe-broker", "facepipe-processor", "facepipe-gallery"}
    for name in of(manifests, "Secret"):
        assert (name in plain) != bool(re.search(r"-[a-z0-9]{10}$", name)), name


def test_secrets_stand_in_secrets_alone(manifests: list[Manifest]) -> None:
    others = [one for one in manifests if one["kind"] != "Secret"]
    assert CANARY not in json.dumps(others)
    ignored = (FOLDER / "example" / ".gitignore").read_text().split()
    assert {f"{place.split('/')[0]}/" for place in SECRETS if place != "."} <= {*ignored}
    assert "users" in ignored


def test_the_autoscaler_counts_what_waits(manifests: list[Manifest]) -> None:
    (scaler,) = of(manifests, "HorizontalPodAutoscaler").values()
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "processor")
    assert scaler["spec"]["minReplicas"] == 2
    assert "replicas" not in of(manifests, "Deployment")["processor"]["spec"]
    (metric,) = [one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"]]
    assert f"`{metric}` | gauge" in (ROOT / "docs" / "metrics.md").read_text()
    adapter = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{metric}{{")
    assert {*rule["resources"]["overrides"]} == {"namespace", "pod"}


def test_policies_open_what_is_needed(manifests: list[Manifest]) -> None:
    policies = of(manifests, "NetworkPolicy")
    nothing = policies.pop("facepipe-nothing")["spec"]
    assert {*nothing["policyTypes"]} == {"Ingress", "Egress"}
    assert "ingress" not in nothing
    assert "egress" not in nothing
    part = nothing["podSelector"]["matchLabels"].items()
    for name, pod in pods(manifests):
        assert part <= pod["metadata"]["labels"].items(), name
    from_anywhere = [
        port["port"]
        for policy in policies.values()
        for rule in policy["spec"].get("ingress", ())
        if "from" not in rule
        for port in rule["ports"]
    ]
    assert from_anywhere == ["devices"]


def test_prometheus_finds_the_pods_by_what_they_say(manifests: list[Manifest]) -> None:
    """Debian's is built without Kubernetes, so that it cannot look at this file."""
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    labels = {rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule}
    assert labels == {"job", "namespace", "pod"}
    for name in ("processor", "gallery"):
        annotations = dict(pods(manifests))[name]["metadata"]["annotations"]
        ports = {one["name"]: one["containerPort"] for one in container(manifests, name)["ports"]}
        assert annotations == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(ports["metrics"]),
        }

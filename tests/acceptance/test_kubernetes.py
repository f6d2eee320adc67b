"""deploy/kubernetes without a cluster: kubectl builds the manifests, and the schemas of Kubernetes
check them. The commands and probes are those of docker/compose.yaml, which test_docker.py runs."""

from __future__ import annotations

import copy
import functools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from sensorflow import __version__, settings
from sensorflow.adapters.objects.bucket_access import S3, SECRETS
from sensorflow.core.metrics import Metric

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
VERSIONS = ("1.30", "1.37")
OVERLAYS = ("base", "overlays/valkey", "overlays/rabbitmq", "overlays/timescale")
OURS = ("migrate", "daemon", "worker", "beat", "flower", "metrics")
LOOPS = ("daemon", "worker", "beat")
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}


def exactly(required: tuple[str, ...], **keys: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": keys,
        "required": [*required],
        "additionalProperties": False,
    }


RULES = exactly(
    ("policies", "stabilizationWindowSeconds"),
    stabilizationWindowSeconds=COUNT,
    policies={
        "type": "array",
        "items": exactly(
            ("type", "value", "periodSeconds"),
            type={"enum": ["Pods", "Percent"]},
            value=COUNT,
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        ),
    },
)
SCALED_OBJECT = exactly(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=exactly(("name",), name=TEXT, kind=TEXT, apiVersion=TEXT),
    minReplicaCount=COUNT,
    maxReplicaCount=COUNT,
    pollingInterval=COUNT,
    cooldownPeriod=COUNT,
    advanced=exactly(
        (),
        horizontalPodAutoscalerConfig=exactly(
            (), behavior=exactly((), scaleUp=RULES, scaleDown=RULES)
        ),
    ),
    triggers={
        "type": "array",
        "minItems": 1,
        "items": exactly(
            ("type", "metadata"),
            type={"const": "prometheus"},
            metadata=exactly(
                ("serverAddress", "query", "threshold"),
                serverAddress={"type": "string", "pattern": "^https?://"},
                query=TEXT,
                threshold={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
            ),
        ),
    },
)
"""The keys of KEDA's ScaledObject (keda.sh/v1alpha1) that we use, written from its documentation."""


def build(folder: Path) -> list[dict[str, Any]]:
    program = Path(sys.executable).with_name("kubectl")
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [str(program), "kustomize", str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [*yaml.safe_load_all(done.stdout)]


@functools.cache
def manifests(overlay: str) -> list[dict[str, Any]]:
    return build(KUBERNETES / overlay)


def named(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in manifests(overlay) if m["kind"] == kind}


def pods(overlay: str = "base") -> dict[str, dict[str, Any]]:
    """Name -> specification of the pods."""
    kinds = ("Deployment", "Job", "StatefulSet")
    found = {name: m for kind in kinds for name, m in named(overlay, kind).items()}
    return {name: m["spec"]["template"]["spec"] for name, m in found.items()}


def container(name: str, overlay: str = "base") -> dict[str, Any]:
    (found,) = pods(overlay)[name]["containers"]
    return found  # type: ignore[no-any-return]


def test_every_component_is_built_into_an_overlay_and_base_has_all_our_parts():
    assert set(pods()) == set(OURS)
    for overlay in OVERLAYS[1:]:
        assert set(pods(overlay)) == {*OURS, "database", "broker"}
        assert all(pods(overlay)[name] == pods()[name] for name in OURS), "servers change nothing"
    images = {overlay: container("broker", overlay)["image"] for overlay in OVERLAYS[1:]}
    assert images["overlays/rabbitmq"].startswith("rabbitmq:")
    assert container("database", "overlays/timescale")["image"].startswith("timescale/")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_follow_the_schemas(overlay: str, version: str):
    for manifest in manifests(overlay):
        assert kubernetes_validate.validate(manifest, version, strict=True).startswith(version)


def test_a_wrong_key_does_not_follow_the_schemas():
    worker = copy.deepcopy(named("base", "Deployment")["worker"])
    worker["spec"]["template"]["spec"]["terminationGracePeriod"] = 300
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(worker, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_meet_the_restricted_standard_and_get_no_token(overlay: str):
    for name, spec in pods(overlay).items():
        pod, inner = spec["securityContext"], spec["containers"][0]["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] > 0
        assert pod["fsGroup"] == pod["runAsUser"]
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "SENSORFLOW_... of services are no settings"
        assert name not in OURS or inner["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_limits_probes_and_exact_images(overlay: str):
    for name in pods(overlay):
        found = container(name, overlay)
        assert found["resources"]["requests"]["memory"]
        assert found["resources"]["limits"]["memory"]
        assert name == "migrate" or found["startupProbe"]
        assert "latest" not in found["image"]
        assert ":" in found["image"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_a_pod_mounts_and_refers_to_is_there(overlay: str):
    claims = {*named(overlay, "PersistentVolumeClaim"), "data"}
    maps = named(overlay, "ConfigMap")
    for name, spec in pods(overlay).items():
        volumes = {v["name"]: v for v in spec.get("volumes", [])}
        templates = named(overlay, "StatefulSet").get(name, {}).get("spec", {})
        templated = {t["metadata"]["name"] for t in templates.get("volumeClaimTemplates", [])}
        mounted = {m["name"] for m in spec["containers"][0]["volumeMounts"]}
        assert mounted == {*volumes, *templated}, name
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "data") in claims
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
            assert volume.get("secret", {}).get("secretName", "servers") in (
                "sensorflow",
                "servers",
            )


@pytest.mark.parametrize("name", OURS)
def test_commands_and_probes_are_those_of_compose(name: str):
    found, service = container(name), COMPOSE[name]
    assert found["args"] == service["command"]
    assert found["image"] == service["image"] == f"sensorflow:{__version__}"
    if name in LOOPS:
        for probe in ("startupProbe", "livenessProbe"):
            assert found[probe]["exec"]["command"][-1] == service["healthcheck"]["test"][-1]
    given = {e["name"]: e["value"] for e in found["env"]}
    assert set(service["environment"]) - {"SENSORFLOW_FLOWER_USER"} == set(given)


def test_servers_have_the_commands_of_compose():
    options = container("database", "overlays/valkey")["args"]
    assert options == COMPOSE["database"]["command"]
    for name, component in (("valkey", "valkey"), ("rabbitmq", "rabbitmq")):
        ours = (KUBERNETES / "components" / component / f"{name}.conf").read_text()
        assert ours == (ROOT / "docker" / f"{name}.conf").read_text()
    probe = container("broker", "overlays/valkey")["startupProbe"]["exec"]["command"][-1]
    assert probe == COMPOSE["broker"]["healthcheck"]["test"][-1].replace("$$", "$")


def test_grace_covers_the_drain_and_only_the_data_folder_is_shared():
    assert pods()["worker"]["terminationGracePeriodSeconds"] == 300
    shared = {
        name: [v["name"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
        for name, spec in pods().items()
    }
    assert shared.pop("daemon") == ["data", "drop"]
    assert shared == {
        "worker": ["data"],
        "beat": ["data"],
        "metrics": ["data"],
        "migrate": [],
        "flower": [],
    }
    claims = named("base", "PersistentVolumeClaim").values()
    assert all(claim["spec"]["accessModes"] == ["ReadWriteMany"] for claim in claims)
    (scratch,) = (v for v in pods()["worker"]["volumes"] if v["name"] == "tmp")
    assert scratch == {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}}


def test_settings_of_the_pods_are_valid_and_in_the_mounted_folders(tmp_path: Path):
    (given,) = named("base", "ConfigMap").values()
    (tmp_path / "sensorflow.toml").write_text(given["data"]["sensorflow.toml"])
    found = settings.load(tmp_path / "sensorflow.toml", {})
    assert found.data_folder == Path("/data")
    assert all(source.path.is_relative_to("/drop") for source in found.folders.values())
    assert tomllib.loads(given["data"]["sensorflow.toml"])["data"] == "/data"


def test_services_and_policies_select_pods_that_exist():
    for overlay in OVERLAYS:
        labels = {
            m["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
            for m in manifests(overlay)
            if "template" in m.get("spec", {})
        }
        for kind in ("Service", "NetworkPolicy", "PodDisruptionBudget"):
            for name, manifest in named(overlay, kind).items():
                spec = manifest["spec"]
                given = spec.get("selector") or spec["podSelector"]
                for part in given.get("matchExpressions", ()):
                    assert set(part["values"]) <= labels
                one = given.get("matchLabels", given).get("app.kubernetes.io/name", name)
                assert one in labels or "matchExpressions" in given, (kind, name)
    assert set(named("base", "PodDisruptionBudget")) == {"daemon", "worker"}


def test_overlay_of_the_docs_sets_image_settings_and_storage(tmp_path: Path):
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    text = page.partition('title="kustomization.yaml"\n')[2].partition("```")[0]
    above = os.path.relpath(KUBERNETES, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(text.replace("../..", above))
    (tmp_path / "sensorflow.toml").write_text("# mine\n")
    result = build(tmp_path)
    pods_ = [m["spec"]["template"]["spec"] for m in result if m["kind"] in ("Deployment", "Job")]
    (settings_,) = (m for m in result if m["kind"] == "ConfigMap")
    assert settings_["data"] == {"sensorflow.toml": "# mine\n"}
    for pod in pods_:
        assert pod["containers"][0]["image"] == "registry.example.org/sensorflow:1"
        assert settings_["metadata"]["name"] in [
            v.get("configMap", {}).get("name") for v in pod["volumes"]
        ]
    claims = [m["spec"] for m in result if m["kind"] == "PersistentVolumeClaim"]
    assert {claim["storageClassName"] for claim in claims} == {"nfs"}


def test_processes_that_store_files_get_the_credentials_of_a_bucket_and_workers_share_no_folder(
    tmp_path: Path,
):
    above = os.path.relpath(KUBERNETES, tmp_path.resolve())
    text = f"resources: [{above}/base]\ncomponents: [{above}/components/s3]\n"
    (tmp_path / "kustomization.yaml").write_text(text)
    result = build(tmp_path)
    for manifest in result:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    found = {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]
        for m in result
        if m["kind"] in ("Deployment", "Job")
    }
    before = pods()
    for name in ("daemon", "worker"):
        (ours,) = found[name]["containers"]
        own = [e["name"] for e in before[name]["containers"][0]["env"]]
        added = {e["name"]: e["value"] for e in ours["env"] if e["name"] not in own}
        assert set(added) == {f"{v}_FILE" for v in SECRETS[S3] if v != "AWS_SESSION_TOKEN"}
        (secrets,) = (m for m in ours["volumeMounts"] if m["name"] == "secrets")
        assert all(Path(value).parent == Path(secrets["mountPath"]) for value in added.values())
        assert len(ours["env"]) == len(own) + len(added)
    shared = {
        name
        for name, spec in found.items()
        for v in spec["volumes"]
        if "persistentVolumeClaim" in v
    }
    assert shared == {"daemon", "metrics"}
    assert all(found[name] == before[name] for name in ("migrate", "flower", "metrics"))


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """An overlay with KEDA, as docs/how-to/kubernetes.md shows."""
    folder = tmp_path_factory.mktemp("overlay").resolve()
    above = os.path.relpath(KUBERNETES, folder)
    text = f"resources: [{above}/base]\ncomponents: [{above}/components/keda]\n"
    (folder / "kustomization.yaml").write_text(text)
    return build(folder)


def test_keda_scales_the_workers_and_nothing_else_sets_their_number(scaled: list[dict[str, Any]]):
    (one,) = (m for m in scaled if m["kind"] == "ScaledObject")
    jsonschema.validate(one["spec"], SCALED_OBJECT)
    assert one["apiVersion"] == "keda.sh/v1alpha1"
    (worker,) = (
        m for m in scaled if m["kind"] == "Deployment" and m["metadata"]["name"] == "worker"
    )
    assert "replicas" not in worker["spec"]
    assert one["spec"]["scaleTargetRef"] == {"name": "worker"}
    expected, waiting = (t["metadata"] for t in one["spec"]["triggers"])
    (autoscale,) = (word for word in container("worker")["args"] if "autoscale" in word)
    assert autoscale == f"--autoscale={expected['threshold']},1", (
        "a pod for as many processes as fit"
    )
    assert "sensorflow_workers_wanted" in expected["query"]
    assert "sensorflow_backlog_seconds" in waiting["query"]


def test_queries_give_processes_and_without_a_worker_seconds(
    scaled: list[dict[str, Any]], tmp_path: Path
):
    """Prometheus itself evaluates them."""
    (one,) = (m for m in scaled if m["kind"] == "ScaledObject")
    expected_rows, waiting = (t["metadata"]["query"] for t in one["spec"]["triggers"])
    names = {str(metric.value) for metric in Metric}
    assert set(re.findall(r"sensorflow_\w+", expected_rows + waiting)) <= names
    series = {"sensorflow_workers_wanted": 7, "sensorflow_backlog_seconds": 90}

    def case(present: dict[str, int], expected: dict[str, float | None]) -> dict[str, Any]:
        given = {
            **series,
            **{f'sensorflow_workers_present{{host="{h}"}}': n for h, n in present.items()},
        }
        return {
            "input_series": [
                {"series": name, "values": str(value)} for name, value in given.items()
            ],
            "promql_expr_test": [
                {
                    "expr": expr,
                    "eval_time": "0m",
                    "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
                }
                for expr, value in expected.items()
            ],
        }

    tests = [
        case({}, {expected_rows: 7, waiting: 90}),
        case({"a": 0}, {expected_rows: 7, waiting: 90}),
        case({"a": 0, "b": 2}, {expected_rows: 7, waiting: None}),
    ]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"tests": tests}))
    command = ["promtool", "test", "rules", str(tmp_path / "tests.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("wrong", [{"pollinginterval": 15}, {"triggers": []}])
def test_a_mistake_in_a_scaled_object_is_seen(scaled: list[dict[str, Any]], wrong: dict[str, Any]):
    (one,) = (m for m in scaled if m["kind"] == "ScaledObject")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**one["spec"], **wrong}, SCALED_OBJECT)

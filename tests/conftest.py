"""What all tests share: their own store each, the small real model, pico models, and no silent skips.

A test that lacks something this machine could have (root, strace, a browser) calls `pytest.skip`. Under
SUTURE_REQUIRE_ALL=1, which CI sets, a skip is a failure, unless its reason begins with "optional: ": what it lacks is
left out of `make setup` on purpose, or is the kernel's to give.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import yaml

from suture.progress import Silent
from suture.recipe import Source
from suture.settings import settings
from suture.steps import PlannedStep, build_all, plan_step
from suture.store import Store

if TYPE_CHECKING:
    from suture.gguf.toolchain import Toolchain

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts us in the background has it ignored, by everything we start: nothing could be interrupted
    signal.signal(signal.SIGINT, signal.default_int_handler)
if "PYTEST_XDIST_WORKER" in os.environ:
    # beside other tests: threads that wait for each other are much slower than one alone
    os.environ.setdefault("SUTURE_THREADS", "1")
hypothesis.settings.register_profile(
    "suture",
    deadline=None,  # the machine may be busy
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    # CI draws the same examples each time, so that it says the same of a commit twice; everybody else draws new ones
    derandomize=os.environ.get("SUTURE_REQUIRE_ALL") == "1",
)
hypothesis.settings.load_profile("suture")
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody answers there: no test asks the real hub
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

PICO_LAYERS = 4
PICO_HIDDEN = 64
PICO_INTERMEDIATE = 128
PICO_HEADS = 4
PICO_KV_HEADS = 2

# -- no silent skips ----------------------------------------------------------------------------------------------


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("SUTURE_REQUIRE_ALL") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if str(reason).startswith("Skipped: optional: "):
            return
        report.outcome = "failed"
        report.longrepr = f"SUTURE_REQUIRE_ALL is set, and this was not run. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


# -- a place of one's own -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Give each test a store and a server state of its own; the cache (downloads, llama.cpp) is the machine's."""
    monkeypatch.setenv("SUTURE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("SUTURE_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def store() -> Store:
    """The test's own store, where the settings say it is."""
    return Store(settings().store)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Generator[Callable[..., Path]]:
    """Mounts a disk of so many bytes."""
    mounted: list[Path] = []

    def mount(size: int, name: str = "disk") -> Path:
        folder = tmp_path / f"{name}{len(mounted)}"
        folder.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs the right to mount a tmpfs")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


# -- models -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """llama.cpp: found, or built once per machine."""
    from suture.gguf import toolchain

    return toolchain.ensure()


@pytest.fixture(scope="session")
def test_store() -> Store:
    """A store in the cache that outlives the test session, for what is made once per machine."""
    return Store(settings().cache / "test-store")


def _smollm2_step() -> PlannedStep:
    from suture.hub.pins import pin

    pinned = pin(Source(name="smollm2", model="builtin:smollm2-135m-instruct"))
    return plan_step("fetch smollm2", "fetch", pinned.spec)


@pytest.fixture(scope="session")
def smollm2(test_store: Store) -> Path:
    """The small real model as a checkpoint folder: 30 layers, 135 M parameters, bf16."""
    return build_all(_smollm2_step(), test_store, Silent()).artifact.path


def _converted_step(toolchain: Toolchain) -> PlannedStep:
    from suture.gguf.convert import ConvertSpec, Provenance

    spec = ConvertSpec(type="bf16", provenance=Provenance(name="smollm2", recipe="", sources=()))
    return plan_step("convert smollm2", "convert", spec, [_smollm2_step()], tool=toolchain.version)


@pytest.fixture(scope="session")
def smollm2_bf16(test_store: Store, toolchain: Toolchain) -> Path:
    """The small real model as a GGUF of 16 bits."""
    return build_all(_converted_step(toolchain), test_store, Silent()).artifact.only(".gguf")


@pytest.fixture(scope="session")
def smollm2_gguf(test_store: Store, toolchain: Toolchain) -> Path:
    """The small real model as a GGUF of type Q4_K_M."""
    from suture.gguf.quantize import QuantizeSpec

    spec, converted = QuantizeSpec(type="Q4_K_M"), _converted_step(toolchain)
    quantize = plan_step("quantize smollm2", "quantize", spec, [converted], tool=toolchain.version)
    return build_all(quantize, test_store, Silent()).artifact.only(".gguf")


@pytest.fixture(scope="session")
def pico_checkpoints(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two llamas of 4 layers and width 64 with random weights and the small real model's tokenizer."""
    a, b = (write_pico(tmp_path_factory.mktemp("pico") / name, smollm2, seed) for seed, name in enumerate("ab"))
    return a, b


def write_pico(folder: Path, donor: Path, seed: int) -> Path:
    """Write a pico llama whose config and tokenizer are those of `donor`, only smaller."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    for path in donor.iterdir():
        if path.suffix in (".json", ".jinja", ".txt") and not path.name.startswith(("model", "manifest")):
            shutil.copyfile(path, folder / path.name)  # not copy: the store's files are read-only
    config = json.loads((donor / "config.json").read_text()) | {
        "num_hidden_layers": PICO_LAYERS,
        "hidden_size": PICO_HIDDEN,
        "intermediate_size": PICO_INTERMEDIATE,
        "num_attention_heads": PICO_HEADS,
        "num_key_value_heads": PICO_KV_HEADS,
        "head_dim": PICO_HIDDEN // PICO_HEADS,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    random = torch.Generator().manual_seed(seed)
    tensors = {
        name: (torch.ones(shape) if len(shape) == 1 else 0.02 * torch.randn(shape, generator=random)).bfloat16()
        for name, shape in pico_shapes(config["vocab_size"]).items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def pico_shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor; the head is tied to the embedding."""
    kv = PICO_KV_HEADS * PICO_HIDDEN // PICO_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, PICO_HIDDEN),
        "model.norm.weight": (PICO_HIDDEN,),
    }
    for layer in range(PICO_LAYERS):
        parts = {
            "input_layernorm": (PICO_HIDDEN,),
            "post_attention_layernorm": (PICO_HIDDEN,),
            "self_attn.q_proj": (PICO_HIDDEN, PICO_HIDDEN),
            "self_attn.k_proj": (kv, PICO_HIDDEN),
            "self_attn.v_proj": (kv, PICO_HIDDEN),
            "self_attn.o_proj": (PICO_HIDDEN, PICO_HIDDEN),
            "mlp.gate_proj": (PICO_INTERMEDIATE, PICO_HIDDEN),
            "mlp.up_proj": (PICO_INTERMEDIATE, PICO_HIDDEN),
            "mlp.down_proj": (PICO_HIDDEN, PICO_INTERMEDIATE),
        }
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return shapes


@pytest.fixture
def pico_recipe(pico_checkpoints: tuple[Path, Path], tmp_path: Path) -> Path:
    """A whole recipe that real tools run in seconds: a stack of two pico models, healed, quantized, measured."""
    a, b = pico_checkpoints
    recipe = {
        "name": "pico",
        "sources": [{"name": "a", "model": str(a)}, {"name": "b", "model": str(b)}],
        "merge": {
            "method": "passthrough",
            "base": "a",
            "slices": [{"source": "a", "layers": [0, 3]}, {"source": "b", "layers": [1, 4]}],
        },
        "heal": {
            "data": [{"text": "builtin:code"}],
            "method": "lora",
            "rank": 2,
            "alpha": 4,
            "learning_rate": 0.001,
            "warmup_steps": 1,
            "steps": 2,
            "batch_size": 1,
            "gradient_accumulation": 1,
            "sequence_length": 32,
            "checkpoint_every": 1,
        },
        "gguf": {"quantize": ["Q8_0"]},
        "benchmark": {
            "perplexity": {"texts": [{"text": "builtin:code"}], "chunks": 2, "context": 32},
            "capability": {"tests": ["exact-instruction"], "context": 512, "max_tokens": 16},
        },
    }
    path = tmp_path / "pico.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path

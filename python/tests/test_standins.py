"""Modules of absent devices and services: they answer as PyTorch does where the device is missing, and refuse the rest."""

import json

import pytest
import rushlight
from rushlight import accelerator, backends, compiler, cuda, distributed, hub, jit, mps, profiler, version, xpu

QUESTIONS = """
    cuda.is_available() cuda.device_count() cuda.is_initialized() cuda.empty_cache() cuda.memory_allocated() cuda.max_memory_allocated()
    cuda.memory_reserved() cuda.manual_seed(1) cuda.manual_seed_all(1) cuda.seed_all() cuda.get_rng_state_all() cuda.is_bf16_supported()
    cuda.default_generators mps.is_available() mps.device_count() mps.manual_seed(1) xpu.is_available() xpu.device_count() xpu.manual_seed(1)
    xpu.empty_cache() accelerator.is_available() accelerator.device_count() compiler.is_compiling() jit.is_scripting() jit.is_tracing()
    backends.mps.is_available() backends.mps.is_built() backends.cudnn.enabled backends.cudnn.benchmark backends.cudnn.deterministic
    backends.cudnn.allow_tf32 backends.cuda.matmul.allow_tf32 backends.cuda.flash_sdp_enabled() distributed.is_initialized()
""".split()


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_pytorchs(question):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a device")
    assert eval(question, vars(rushlight) | globals()) == eval(question, vars(torch))


@pytest.mark.parametrize(
    "module, call, why",
    [
        (cuda, "synchronize", "no CUDA"),
        (cuda, "current_device", "no CUDA"),
        (cuda, "Event", "no CUDA"),
        (cuda, "Stream", "no CUDA"),
        (mps, "synchronize", "no MPS"),
        (xpu, "synchronize", "no XPU"),
        (accelerator, "synchronize", "no accelerator"),
        (distributed, "init_process_group", "one process"),
        (jit, "load", "no TorchScript"),
        (hub, "load", "downloads nothing"),
    ],
)
def test_work_is_refused(module, call, why):
    with pytest.raises(RuntimeError, match=f"{why}.*torch.{module.__name__.split('.')[1]}.{call}"):
        getattr(module, call)()


def test_cuda_contexts_without_a_device_do_nothing():
    with cuda.device(None), cuda.device(-1), cuda.stream(None):
        pass
    with pytest.raises(RuntimeError, match="no CUDA"):
        cuda.device(0)


def test_flags_are_kept_and_restored():
    before = backends.cudnn.benchmark
    backends.cudnn.benchmark = True
    with backends.cudnn.flags(enabled=False, benchmark=False):
        assert not backends.cudnn.enabled and not backends.cudnn.benchmark
    assert backends.cudnn.enabled and backends.cudnn.benchmark
    backends.cudnn.benchmark = before
    with backends.cuda.sdp_kernel(enable_flash=False):
        assert not backends.cuda.flash_sdp_enabled() and backends.cuda.math_sdp_enabled()
    assert backends.cuda.flash_sdp_enabled()


def test_compile_returns_its_argument():
    def double(x):
        return 2 * x

    assert compiler.compile(double, mode="max-autotune") is double
    assert compiler.compile(fullgraph=True, dynamic=False)(double) is double
    assert compiler.disable(double) is double and compiler.disable(recursive=False)(double) is double
    assert jit.script(double) is double and jit.ignore(double) is double and jit.ignore(drop=True)(double) is double
    with pytest.raises(RuntimeError, match="Either mode or options"):
        compiler.compile(double, mode="default", options={})
    with pytest.raises(TypeError):
        compiler.compile(3)


def test_version_names_no_device_library():
    assert version.__version__ == rushlight.__version__
    assert version.cuda is None and version.hip is None


def test_hub_folder(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert hub.get_dir() == torch.hub.get_dir()
    monkeypatch.delenv("TORCH_HOME")
    assert hub.get_dir() == torch.hub.get_dir()


@pytest.mark.parametrize("plan", [dict(wait=1, warmup=1, active=2), dict(wait=0, warmup=1, active=1, repeat=2, skip_first=3), dict(wait=2, warmup=0, active=1, skip_first=1, skip_first_wait=1)])
def test_profiler_schedule(plan):
    torch = pytest.importorskip("torch")
    ours, theirs = profiler.schedule(**plan), torch.profiler.schedule(**plan)
    assert [ours(i) for i in range(12)] == [theirs(i).value for i in range(12)]


def test_profiler_times_marked_ranges(tmp_path):
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as prof:
        for _ in range(3):
            with profiler.record_function("outer"):
                profiler.record_function("inner")(sum)([1, 2])
    with profiler.record_function("after"):
        pass
    assert {row.key: row.count for row in prof.key_averages()} == {"outer": 3, "inner": 3}
    rows = {row.key: row for row in prof.key_averages()}
    assert rows["outer"].cpu_time_total >= rows["inner"].cpu_time_total > 0
    assert "outer" in prof.key_averages().table(sort_by="cpu_time_total", row_limit=1)
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    assert len(json.loads((tmp_path / "trace.json").read_text())["traceEvents"]) == 6
    with pytest.warns(UserWarning, match="profile_memory"):
        profiler.profile(profile_memory=True)


def test_profiler_steps():
    ready = []
    plan = profiler.schedule(wait=1, warmup=1, active=2)
    with profiler.profile(schedule=plan, on_trace_ready=lambda p: ready.append([name for name, *_ in p.ranges])) as prof:
        for step in range(8):
            with profiler.record_function(f"step {step}"):
                pass
            prof.step()
    assert ready == [["step 2", "step 3"], ["step 6", "step 7"]]


def test_multiprocessing_is_pythons():
    import multiprocessing

    from rushlight import multiprocessing as ours

    assert ours.Process is multiprocessing.Process
    with pytest.raises(RuntimeError, match="share"):
        ours.spawn(print)


def test_old_names_of_amp():
    pytest.importorskip("rushlight.amp")
    from rushlight.cuda.amp import GradScaler, autocast

    x = rushlight.ones(2, 2)
    with autocast(enabled=False):
        assert (x @ x).dtype is rushlight.float32
    scaler = GradScaler(enabled=False)
    assert scaler.scale(x) is x

import pytest
import torch

from ecg.errors import UsageError
from ecg.training import TrainConfig, TrainingData, measure, predict, train
from ecg.training.precision import bf16_gain, computing_in, find_precision, is_bf16_fast

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FAST = TrainConfig(model="simple", width_multiplier=0.25, max_epochs=2)


@pytest.mark.parametrize(
    ("known", "limit", "gain", "fast"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, None, None, True),
        ({"amx_bf16": True, "avx512_bf16": True}, "AVX512_CORE", 0.5, False),
        ({"amx_bf16": False, "avx512_bf16": True}, None, 1.9, True),
        ({"amx_bf16": False, "avx512_bf16": True}, None, 1.0, False),
        ({"amx_bf16": False, "avx512_bf16": False}, None, None, False),
        ({"arm_bf16": True}, None, 1.9, True),
        ({"avx512_bf16": "?"}, None, None, False),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_is_known_or_measured_to_be_faster_in_it(
    monkeypatch: pytest.MonkeyPatch,
    known: dict[str, object],
    limit: str | None,
    gain: float | None,
    fast: bool,
) -> None:
    # Without a gain, nothing may be timed: the capabilities alone decide.
    def timed() -> float:
        assert gain is not None
        return gain

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    monkeypatch.setattr("ecg.training.precision.bf16_gain", timed)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert is_bf16_fast() == fast
    monkeypatch.setattr("ecg.training.precision.is_bf16_fast", is_bf16_fast)
    assert find_precision("auto", CPU) == ("bf16" if fast else "fp32")
    assert find_precision("auto", CUDA) == "tf32"


def test_the_gain_of_bfloat16_is_measured_once_and_leaves_the_threads_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bf16_gain.cache_clear()
    threads = torch.get_num_threads()
    gain = bf16_gain()
    assert gain > 0
    assert torch.get_num_threads() == threads
    monkeypatch.setattr("ecg.training.precision._time_convolution", lambda kind: 1 / 0)
    assert bf16_gain() == gain


@pytest.mark.parametrize("name", ["fp32", "tf32", "bf16"])
def test_a_cuda_precision_is_found_by_name(name: str) -> None:
    assert find_precision(name, CUDA) == name


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"unknown precision 'fp8'\. Use one of: auto, fp32, tf32, bf16"
    ):
        find_precision("fp8", CPU)


def test_tf32_on_a_cpu_is_refused(data: TrainingData) -> None:
    with pytest.raises(UsageError, match="tf32 needs a CUDA device"):
        train(FAST, data, precision="tf32")


def test_bf16_computes_products_in_bfloat16_and_keeps_float32_weights(data: TrainingData) -> None:
    plain, half = (train(FAST, data, precision=name) for name in ("fp32", "bf16"))
    assert {weights.dtype for weights in half.weights.values()} == {torch.float32}
    assert half.epochs != plain.epochs
    assert half.best.validation_loss == pytest.approx(plain.best.validation_loss, rel=0.05)


def test_measurements_use_the_requested_precision(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = train(FAST, data).weights
    seen: list[torch.dtype] = []
    real = torch.nn.Linear.forward

    def spy(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        found = real(layer, x)
        seen.append(found.dtype)
        return found

    monkeypatch.setattr(torch.nn.Linear, "forward", spy)
    measure(FAST, weights, data.validation, "bf16")
    predict(FAST, weights, data.validation, "bf16")
    assert set(seen) == {torch.bfloat16}
    seen.clear()
    measure(FAST, weights, data.validation)
    assert set(seen) == {torch.float32}


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")  # of an autocast that is off
@pytest.mark.parametrize(
    ("name", "device", "flag"),
    [("fp32", CUDA, "ieee"), ("tf32", CUDA, "tf32"), ("fp32", CPU, "ieee"), ("bf16", CPU, "ieee")],
)
def test_settings_hold_while_computing_and_go_back_afterwards(
    name: str, device: torch.device, flag: str
) -> None:
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = (torch.get_float32_matmul_precision(), conv.fp32_precision)
    with computing_in(name, device):
        assert (matmul.fp32_precision, conv.fp32_precision) == (flag, flag)
        # torch.compile reads these; it raises if the old and new names contradict each other.
        assert torch.get_float32_matmul_precision() == ("high" if flag == "tf32" else "highest")
        assert torch.backends.cuda.matmul.allow_tf32 == (flag == "tf32")
        assert torch.is_autocast_enabled("cpu") == (name == "bf16")
    assert (torch.get_float32_matmul_precision(), conv.fp32_precision) == before

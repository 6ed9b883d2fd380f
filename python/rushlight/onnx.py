"""`torch.onnx`: Rushlight exports nothing. The module is there for scripts that import it and export only when asked to."""

from ._standin import constant, refuse

is_in_onnx_export = constant(False, "Returns False: nothing is exported.")


class OnnxExporterError(RuntimeError):
    """What an export that fails raises in PyTorch."""


refuse(
    globals(),
    "Rushlight has no ONNX exporter: keep the weights with torch.save or rushlight.safetensors",
    functions=["export"],
    classes="ExportableModule InputObserver ONNXProgram".split(),
)

